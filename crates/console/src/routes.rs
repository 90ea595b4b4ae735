//! Which page answers what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use concordat_disclosure::Role;

use crate::Desk;
use crate::guard::{self, Administers, Anybody, Audits, Needs, Reads, Shown, Works};
use crate::layout::{CSS, JS, asset};
use crate::pages::{
    admin, audit, case, decide, enrol, inbox, messages, reconcile, reports, request, sign_in, steps,
};
use crate::texts::errors;

/// How long a page may take.
const ANSWER: Duration = Duration::from_secs(60);
/// A message with a file of 50 MiB.
const MESSAGE_BYTES: usize = 51 << 20;

/// One address, and who may open it.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    methods: MethodRouter<Arc<Desk>>,
    /// The roles that may; `None` where nobody has signed in yet. The extractor of each handler decides: the tests hold the two
    /// together.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what the tests compare with what the handlers do")
    )]
    pub(crate) roles: Option<&'static [Role]>,
}

fn open(path: &'static str, methods: MethodRouter<Arc<Desk>>) -> Route {
    Route {
        path,
        methods,
        roles: None,
    }
}

fn only<N: Needs>(path: &'static str, methods: MethodRouter<Arc<Desk>>) -> Route {
    Route {
        path,
        methods,
        roles: Some(N::ROLES),
    }
}

/// Every page.
pub(crate) fn table() -> Vec<Route> {
    let message = post(messages::message).layer(DefaultBodyLimit::max(MESSAGE_BYTES));
    vec![
        open("/sign-in", get(sign_in::ask).post(sign_in::named)),
        open("/sign-in/passkey", post(sign_in::signed)),
        only::<Anybody>("/sign-out", post(sign_in::out)),
        only::<Anybody>("/", get(inbox::show)),
        only::<Reads>("/events", get(inbox::events)),
        only::<Reads>("/cases/{id}", get(case::show)),
        only::<Works>("/cases/{id}/step", post(steps::step)),
        only::<Works>("/cases/{id}/propose", get(decide::propose).post(decide::proposed)),
        only::<Works>("/cases/{id}/approve", post(steps::approve)),
        only::<Works>(
            "/cases/{id}/request",
            get(request::request).post(request::requested),
        ),
        only::<Works>("/cases/{id}/message", message),
        only::<Works>("/cases/{id}/attachments/{attachment}", get(messages::attachment)),
        only::<Audits>("/audit", get(audit::ledger)),
        only::<Audits>("/audit/reconcile", post(reconcile::now)),
        only::<Audits>("/audit/reports", get(reports::show)),
        only::<Audits>("/audit/reports.csv", get(reports::export)),
        only::<Administers>("/admin", get(admin::show)),
        only::<Administers>("/admin/officers", post(admin::invite)),
        only::<Administers>("/admin/keys", post(admin::keys)),
        only::<Administers>("/admin/changes", post(admin::sign)),
        open("/setup/{token}", get(enrol::setup).post(enrol::founder)),
        open("/setup/{token}/key", post(enrol::founder_key)),
        open("/setup/{token}/sign", post(enrol::founder_signs)),
        open("/enrol/{token}", get(enrol::show)),
        open("/enrol/{token}/key", post(enrol::key)),
    ]
}

/// The console as a service, whoever carries its connections.
pub fn router(desk: Arc<Desk>) -> Router {
    let guarded = Arc::clone(&desk);
    let pages = table().into_iter();
    let pages = pages.fold(Router::new(), |router, route| {
        router.route(route.path, route.methods)
    });
    pages
        .route(
            &asset("console.css", CSS),
            get(|| async { kept("text/css; charset=utf-8", CSS) }),
        )
        .route(
            &asset("console.js", JS),
            get(|| async { kept("text/javascript; charset=utf-8", JS) }),
        )
        .fallback(|| async { Shown::new(StatusCode::NOT_FOUND, "CONS-008", errors::NO_PAGE) })
        .layer(DefaultBodyLimit::max(guard::FORM_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(
            guarded,
            |State(desk): State<Arc<Desk>>, request, next| guard::every_request(desk, request, next),
        ))
        .with_state(desk)
}

fn kept(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(guard::FOREVER));
    response
}

async fn in_time(request: axum::extract::Request, next: middleware::Next) -> Response {
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Shown::new(StatusCode::GATEWAY_TIMEOUT, "CONS-009", errors::TOO_SLOW).into_response(),
    }
}
