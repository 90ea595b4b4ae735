//! Registering a passkey by a link: the first two administrators, a new officer, a further key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use concordat_disclosure::{ChangeWhat, Document, NewOfficer};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_wire::{Fault, Reason};
use maud::{Markup, html};

use crate::Desk;
use crate::fields::Fields;
use crate::guard::Shown;
use crate::layout::Page;
use crate::setup::For;
use crate::{sign, texts};

fn page(title: &str, body: &Markup) -> Html<String> {
    let page = Page {
        title,
        officer: None,
        csrf: None,
        live: false,
    };
    page.show(body)
}

fn wrong_link() -> Shown {
    Shown::from(Fault::new(
        Reason::NotFound,
        "CONS-005",
        "this link is used up or was never given: ask an administrator for a new one",
    ))
}

fn named(fields: &Fields) -> Result<Person, Fault> {
    let id = Text::new(fields.get("officer"))
        .map_err(|_| Fault::invalid("CONS-010", "officer", "write the name of the account"))?;
    Ok(Person { id, unit: None })
}

fn founders(desk: &Desk, token: &str) -> Result<Vec<NewOfficer>, Shown> {
    match desk.setups.look(desk, token)? {
        For::Founders(founders) => Ok(founders),
        _ => Err(wrong_link()),
    }
}

/// The founding, as far as it has come.
pub(crate) async fn setup(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
) -> Result<Html<String>, Shown> {
    let founders = founders(&desk, &token)?;
    let intro = html! {
        p { "Nobody can work here yet. Two administrators register their passkeys and sign the beginning of the register of officers; afterwards every change of it needs two of them." }
        ol.steps {
            @for founder in &founders { li.done { (founder.person.id.as_str()) " has registered" } }
        }
    };
    if founders.len() < 2 {
        let which = if founders.is_empty() { "First" } else { "Second" };
        return Ok(page(
            "Set up this console",
            &html! {
                (intro)
                form.narrow method="post" action=(format!("/setup/{token}")) {
                    label for="officer" { (which) " administrator: account" }
                    input #officer name="officer" required maxlength="128" autocapitalize="none" spellcheck="false" autofocus;
                    button.primary type="submit" { "Continue" }
                }
            },
        ));
    }
    let waiting = desk.setups.waiting(&desk).await?;
    let founding = waiting
        .iter()
        .find(|waiting| matches!(waiting.change.what, ChangeWhat::Found(_)));
    let Some(founding) = founding else {
        return Ok(page(
            "Set up this console",
            &html! { p { "It is done. " a href="/sign-in" { "Sign in" } } },
        ));
    };
    let digest = founding.change.digest().map_err(concordat_node::desk::refused)?;
    let signed: Vec<&str> = founding
        .approvals
        .iter()
        .map(|approval| approval.officer.as_str())
        .collect();
    Ok(page(
        "Set up this console",
        &html! {
            (intro)
            p { "Write down this number and keep it outside: it is what everything later rests on. " code.digest { (digest.to_string()) } }
            @for founder in &founders {
                @let name = founder.person.id.as_str();
                @if signed.contains(&name) {
                    p { "✓ " (name) " has signed." }
                } @else {
                    h2 { (name) }
                    (sign::form(&desk, &format!("/setup/{token}/sign"), (&digest, &founder.keys), &[("officer", name), ("change", &digest.to_string())], &format!("Sign as {name}")))
                }
            }
        },
    ))
}

/// A founder says who it is.
pub(crate) async fn founder(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Html<String>, Shown> {
    let person = named(&Fields::parse(&body))?;
    let known = founders(&desk, &token)?;
    if known.len() >= 2 || known.iter().any(|founder| founder.person.id == person.id) {
        return Err(Fault::new(
            Reason::Conflict,
            "DISC-051",
            "an administrator of this name has registered already",
        )
        .into());
    }
    let options = desk.setups.begin(&desk, &token, person.clone())?;
    Ok(page(
        "Set up this console",
        &html! {
            p { "Account " strong { (person.id.as_str()) } }
            (sign::register_form(&format!("/setup/{token}/key"), &options, &[], "Register my passkey"))
        },
    ))
}

/// A founder's new passkey.
pub(crate) async fn founder_key(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Redirect, Shown> {
    founders(&desk, &token)?;
    desk.setups
        .register(&desk, &token, Fields::parse(&body).get("answer"))
        .await?;
    Ok(Redirect::to(&format!("/setup/{token}")))
}

/// A founder signs.
pub(crate) async fn founder_signs(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Redirect, Shown> {
    let fields = Fields::parse(&body);
    let known = founders(&desk, &token)?;
    let founder = known
        .iter()
        .find(|founder| founder.person.id.as_str() == fields.get("officer"));
    let digest: Option<Digest> = Hex::parse(fields.get("change"));
    let (Some(founder), Some(digest)) = (founder, digest) else {
        return Err(wrong_link());
    };
    let approval = sign::approval(founder, &digest, fields.get("answer"))?;
    desk.setups.sign(&desk, &digest, approval).await?;
    Ok(Redirect::to(&format!("/setup/{token}")))
}

/// A new officer, or a further key.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
) -> Result<Html<String>, Shown> {
    let (person, what) = match desk.setups.look(&desk, &token)? {
        For::Officer(new) => (new.person, format!("a new account: {}", texts::roles(&new.roles))),
        For::Key(officer) => (
            Person {
                id: officer,
                unit: None,
            },
            "a further key".to_owned(),
        ),
        For::Founders(_) => return Err(wrong_link()),
    };
    let options = desk.setups.begin(&desk, &token, person.clone())?;
    Ok(page(
        "Register a passkey",
        &html! {
            p { "Account " strong { (person.id.as_str()) } ", " (what) ". Afterwards two administrators sign it; then you can sign in." }
            (sign::register_form(&format!("/enrol/{token}/key"), &options, &[], "Register my passkey"))
        },
    ))
}

/// The new passkey.
pub(crate) async fn key(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Html<String>, Shown> {
    desk.setups
        .register(&desk, &token, Fields::parse(&body).get("answer"))
        .await?;
    Ok(page(
        "Register a passkey",
        &html! {
            p { "Your passkey is registered. Two administrators have to sign now; then you can " a href="/sign-in" { "sign in" } "." }
        },
    ))
}
