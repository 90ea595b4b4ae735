//! Signing in and out.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect};
use concordat_disclosure::{Bytes as Octets, OfficerKey, Passkey};
use concordat_ledger::{Digest, Hex, Text};
use concordat_node::desk::officers;
use concordat_wire::Fault;
use maud::html;

use crate::Desk;
use crate::fields::Fields;
use crate::guard::{Anybody, Posted, Shown};
use crate::layout::Page;
use crate::listen::Peer;
use crate::session::COOKIE;
use crate::setup::founded;
use crate::sign::{self, ADDRESS_TRIES, OFFICER_TRIES};
use crate::texts::{errors, sign_in as says};

fn page(title: &str) -> Page<'_> {
    Page {
        title,
        officer: None,
        csrf: None,
        live: false,
    }
}

/// Asks who it is.
pub(crate) async fn ask(State(desk): State<Arc<Desk>>) -> Result<Html<String>, Shown> {
    let founded = founded(&desk).await?;
    Ok(page(says::TITLE).show(&html! {
        @if !founded { p.warn role="status" { (says::NOBODY_YET) } }
        form.narrow method="post" action="/sign-in" {
            label for="officer" { (says::YOUR_ACCOUNT) }
            input #officer name="officer" autocomplete="username webauthn" autocapitalize="none" spellcheck="false"
                required maxlength="128" autofocus;
            button.primary type="submit" { (says::CONTINUE) }
        }
        p.note { (says::PASSKEYS) }
    }))
}

/// Asks for the passkey. Whether somebody of this name is registered the page does not tell.
pub(crate) async fn named(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Bytes,
) -> Result<Html<String>, Shown> {
    let fields = Fields::parse(&body);
    let officer = Text::new(fields.get("officer"))
        .map_err(|_| Fault::invalid("CONS-010", "officer", errors::WRITE_YOUR_ACCOUNT))?;
    let now = desk.state.clock.seconds();
    desk.challenges
        .count(format!("address/{}", peer.ip()), ADDRESS_TRIES, now)?;
    desk.challenges.count(
        format!("officer/{}/{}", peer.ip(), officer.as_str()),
        OFFICER_TRIES,
        now,
    )?;
    let registered = match officers::registry(&desk.state).await {
        Ok(registry) => registry.officer(&officer, desk.state.clock.now()).cloned(),
        Err(fault) if fault.rule == "DESK-001" => None,
        Err(fault) => return Err(fault.into()),
    };
    let passkeys = registered.map(|officer| {
        let keys = officer.keys.into_iter();
        keys.filter(|key| matches!(key, OfficerKey::Passkey(_)))
            .collect::<Vec<_>>()
    });
    // Who has none is asked like who is not registered.
    let keys = passkeys.filter(|keys| !keys.is_empty()).unwrap_or_else(|| {
        vec![OfficerKey::Passkey(Passkey {
            credential: Octets(sign::decoy(&desk, &officer)),
            x: Hex([0; 32]),
            y: Hex([0; 32]),
            backup_eligible: false,
        })]
    });
    let challenge = desk.challenges.draw(&desk, officer.as_str());
    let hidden = [
        ("officer", officer.as_str()),
        ("challenge", &challenge.to_string()),
    ];
    Ok(page(says::TITLE).show(&html! {
        p { (says::account(html! { strong { (officer.as_str()) } })) }
        (sign::form(&desk, "/sign-in/passkey", (&challenge, &keys), &hidden, says::USE_PASSKEY))
        p { a href="/sign-in" { (says::ANOTHER_ACCOUNT) } }
    }))
}

/// Verifies the passkey and opens a session.
pub(crate) async fn signed(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Bytes,
) -> Result<impl IntoResponse, Shown> {
    let fields = Fields::parse(&body);
    let now = desk.state.clock.seconds();
    desk.challenges
        .count(format!("address/{}", peer.ip()), ADDRESS_TRIES, now)?;
    let challenge: Option<Digest> = Hex::parse(fields.get("challenge"));
    let drawn = challenge.filter(|challenge| desk.challenges.take(challenge, fields.get("officer"), now));
    let stale = || {
        Fault::new(
            concordat_wire::Reason::NotPermitted,
            "CONS-011",
            errors::SIGN_IN_TOO_LATE,
        )
    };
    let challenge = drawn.ok_or_else(stale)?;
    let officer = Text::new(fields.get("officer")).map_err(|_| stale())?;
    let registry = officers::registry(&desk.state).await?;
    let known = registry.officer(&officer, desk.state.clock.now());
    let refused = || {
        Fault::new(
            concordat_wire::Reason::NotPermitted,
            "CONS-012",
            errors::ACCOUNT_AND_PASSKEY,
        )
    };
    // Whatever is wrong is answered alike, or the answer would tell who is registered. Our own troubles are none of that.
    let alike = |fault: Fault| match fault.reason {
        concordat_wire::Reason::Internal
        | concordat_wire::Reason::Unavailable
        | concordat_wire::Reason::DataLoss => fault,
        _ => refused(),
    };
    let known = known.ok_or_else(refused)?;
    let approval = sign::approval(known, &challenge, fields.get("answer")).map_err(alike)?;
    officers::signed_in(&desk.state, &approval, &challenge)
        .await
        .map_err(alike)?;
    let token: [u8; 32] = desk.state.entropy.bytes();
    let csrf = desk.state.entropy.bytes();
    desk.sessions.open(&token, csrf, officer, approval.key.id(), now);
    let cookie = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
        hex::encode(token)
    );
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/")))
}

/// Ends the session.
pub(crate) async fn out(State(desk): State<Arc<Desk>>, posted: Posted<Anybody>) -> impl IntoResponse {
    desk.sessions.close(&posted.signed.token);
    let cookie = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    (
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Redirect::to("/sign-in"),
    )
}
