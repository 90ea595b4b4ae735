//! What stands before every page: headers, where a form comes from, who is signed in and may see it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use concordat_disclosure::{NewOfficer, Role};
use concordat_node::desk::{Via, Who, officers};
use concordat_wire::Fault;
use subtle::ConstantTimeEq;

use crate::Desk;
use crate::fields::Fields;
use crate::layout::{self, Page};
use crate::session::{COOKIE, Session};
use crate::texts::{errors, frame};

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How long what is named by its hash may be kept.
pub(crate) const FOREVER: &str = "public, max-age=31536000, immutable";

/// The largest form.
pub(crate) const FORM_BYTES: usize = 64 << 10;

/// Headers on every answer, and the door for forms of other pages.
pub(crate) async fn every_request(desk: Arc<Desk>, request: Request, next: Next) -> Response {
    let ours = request.method() == Method::GET || comes_from_us(request.headers(), desk.origin());
    let mut response = if ours {
        next.run(request).await
    } else {
        Shown::new(StatusCode::FORBIDDEN, "CONS-001", errors::OTHER_PAGE).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms of ours still say where they come from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages hold personal data; what is named by its hash does not.
    if headers
        .get(header::CACHE_CONTROL)
        .is_none_or(|kept| kept != FOREVER)
    {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// A browser says where a form comes from; one that does not is not let in.
fn comes_from_us(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    same_site && text("origin") == Some(origin)
}

/// What a page needs.
pub(crate) trait Needs: Send + Sync + 'static {
    /// One of these roles.
    const ROLES: &'static [Role];
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident = $roles:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Needs for $name {
            const ROLES: &'static [Role] = $roles;
        }
    )*};
}

needs! {
    /// Somebody of the agency.
    Anybody = Role::ALL;
    /// Who works on cases.
    Works = Role::ANY_DESK;
    /// Who works on cases, or audits them.
    Reads = &[Role::Analyst, Role::Officer, Role::Supervisor, Role::Auditor];
    /// An auditor, or a supervisor.
    Audits = &[Role::Auditor, Role::Supervisor];
    /// An administrator.
    Administers = &[Role::Administrator];
}

/// Who sends this request; the role was checked against the registry as it is now.
pub(crate) struct Signed<N> {
    pub(crate) officer: NewOfficer,
    pub(crate) session: Session,
    pub(crate) token: [u8; 32],
    needs: PhantomData<N>,
}

impl<N> Signed<N> {
    pub(crate) fn who(&self) -> Who {
        Who {
            person: self.officer.person.clone(),
            via: Via::Console,
        }
    }

    pub(crate) fn is(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.officer.roles.contains(role))
    }

    /// A page for this person.
    pub(crate) fn page<'a>(&'a self, title: &'a str) -> Page<'a> {
        Page {
            title,
            officer: Some(&self.officer),
            csrf: Some(hex::encode(self.session.csrf)),
            live: false,
        }
    }

    /// The hidden field of every form.
    pub(crate) fn csrf(&self) -> String {
        hex::encode(self.session.csrf)
    }
}

fn token_of(headers: &HeaderMap) -> Option<[u8; 32]> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut ours = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let mut token = [0; 32];
    hex::decode_to_slice(ours.next()?, &mut token).ok()?;
    Some(token)
}

impl<N: Needs> FromRequestParts<Arc<Desk>> for Signed<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let sign_in = || Redirect::to("/sign-in").into_response();
        let token = token_of(&parts.headers).ok_or_else(sign_in)?;
        let now = desk.state.clock.seconds();
        let active = parts.uri.path() != "/events";
        let session = desk.sessions.of(&token, now, active).ok_or_else(sign_in)?;
        let registry = officers::registry(&desk.state)
            .await
            .map_err(|fault| Shown::from(fault).into_response())?;
        let at = desk.state.clock.now();
        let officer = registry.officer(&session.officer, at).cloned();
        // A revoked key or a retired officer is out at once.
        let key = officer
            .as_ref()
            .and_then(|officer| officer.keys.iter().find(|key| key.id() == session.key));
        let valid = key.is_some_and(|key| registry.check(&session.officer, key, at).is_ok());
        let Some(officer) = officer.filter(|_| valid) else {
            desk.sessions.close(&token);
            return Err(sign_in());
        };
        if !N::ROLES.iter().any(|role| officer.roles.contains(role)) {
            return Err(Shown::new(StatusCode::FORBIDDEN, "CONS-002", errors::OTHER_ROLE).into_response());
        }
        Ok(Self {
            officer,
            session,
            token,
            needs: PhantomData,
        })
    }
}

/// A form of ours, sent by somebody who may.
pub(crate) struct Posted<N> {
    pub(crate) signed: Signed<N>,
    pub(crate) fields: Fields,
}

impl<N: Needs> FromRequest<Arc<Desk>> for Posted<N> {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let signed = Signed::<N>::from_request_parts(&mut parts, desk).await?;
        let bytes = axum::body::to_bytes(body, FORM_BYTES).await.map_err(|_| {
            Shown::new(StatusCode::PAYLOAD_TOO_LARGE, "CONS-003", errors::FORM_TOO_LARGE).into_response()
        })?;
        let fields = Fields::parse(&bytes);
        if !holds(&signed, fields.get("csrf")) {
            return Err(stale_form().into_response());
        }
        Ok(Self { signed, fields })
    }
}

/// Whether a form's token is the session's.
pub(crate) fn holds<N>(signed: &Signed<N>, token: &str) -> bool {
    let mut given = [0; 32];
    hex::decode_to_slice(token, &mut given).is_ok() && bool::from(given.ct_eq(&signed.session.csrf))
}

/// A form of another session.
pub(crate) fn stale_form() -> Shown {
    Shown::new(StatusCode::FORBIDDEN, "CONS-001", errors::EARLIER_SESSION)
}

/// A trouble, as a person sees it.
#[derive(Debug)]
pub(crate) struct Shown {
    status: StatusCode,
    rule: String,
    message: String,
}

impl Shown {
    pub(crate) fn new(status: StatusCode, rule: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            rule: rule.to_owned(),
            message: message.into(),
        }
    }
}

impl From<Fault> for Shown {
    fn from(fault: Fault) -> Self {
        use concordat_wire::Reason;
        let status = match fault.reason {
            Reason::Invalid => StatusCode::BAD_REQUEST,
            Reason::NotFound => StatusCode::NOT_FOUND,
            Reason::Conflict | Reason::Precondition => StatusCode::CONFLICT,
            Reason::NotPermitted | Reason::Unauthenticated => StatusCode::FORBIDDEN,
            Reason::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Reason::Unavailable | Reason::Deadline => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = match &fault.field {
            Some(field) => frame::of_field(&fault.message, field),
            None => fault.message,
        };
        Self::new(status, fault.rule, message)
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let page = Page {
            title: frame::NOT_DONE_TITLE,
            officer: None,
            csrf: None,
            live: false,
        };
        let body = layout::trouble(&self.rule, &self.message);
        (self.status, page.show(&body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://console.example:8443";

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = of
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn forms_come_from_this_very_origin() {
        assert!(comes_from_us(&headers(&[("origin", OURS)]), OURS));
        assert!(comes_from_us(
            &headers(&[("origin", OURS), ("sec-fetch-site", "same-origin")]),
            OURS
        ));
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "null")],
            &[("origin", "https://console.example")],
            &[("origin", "http://console.example:8443")],
            &[("origin", "https://console.example:8443.evil.example")],
            &[("origin", OURS), ("sec-fetch-site", "same-site")],
            &[("origin", OURS), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!comes_from_us(&headers(foreign), OURS), "{foreign:?}");
        }
    }

    #[test]
    fn a_cookie_is_ours_by_its_whole_name_and_length() {
        let token = "ab".repeat(32);
        let cookies = |text: String| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(&text).expect("a header"));
            token_of(&headers)
        };
        assert_eq!(cookies(format!("a=b; {COOKIE}={token}")), Some([0xab; 32]));
        assert_eq!(cookies(format!("concordat={token}")), None);
        assert_eq!(cookies(format!("{COOKIE}2={token}")), None);
        assert_eq!(cookies(format!("{COOKIE}={}", &token[2..])), None);
        assert_eq!(cookies(format!("{COOKIE}={token}00")), None);
    }
}
