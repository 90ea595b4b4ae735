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
use crate::setup::{For, founded, no_link, no_link_here};
use crate::sign;
use crate::texts::{self, enrol as says, errors, sign_in};

fn page(title: &str, body: &Markup) -> Html<String> {
    let page = Page {
        title,
        officer: None,
        csrf: None,
        live: false,
    };
    page.show(body)
}

fn named(fields: &Fields) -> Result<Person, Fault> {
    let id = Text::new(fields.get("officer"))
        .map_err(|_| Fault::invalid("CONS-010", "officer", errors::WRITE_THE_ACCOUNT))?;
    Ok(Person { id, unit: None })
}

async fn founders(desk: &Desk, token: &str) -> Result<Vec<NewOfficer>, Shown> {
    match desk.setups.look(desk, token) {
        Ok(For::Founders(founders)) => Ok(founders),
        _ => Err(no_link_here(desk).await?.into()),
    }
}

/// The founding, as far as it has come.
pub(crate) async fn setup(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
) -> Result<Html<String>, Shown> {
    if founded(&desk).await? {
        return Ok(page(
            says::SET_UP,
            &html! { p role="status" { (says::founded(html! { a href="/sign-in" { (says::SIGN_IN) } })) } },
        ));
    }
    let founders = founders(&desk, &token).await?;
    let intro = html! {
        p { (says::INTRODUCTION) }
        p { (says::belongs_to(desk.origin())) }
        ol.steps {
            @for founder in &founders { li.done { (says::has_registered(founder.person.id.as_str())) } }
        }
    };
    if founders.len() < 2 {
        let which = if founders.is_empty() {
            says::FIRST
        } else {
            says::SECOND
        };
        return Ok(page(
            says::SET_UP,
            &html! {
                (intro)
                form.narrow method="post" action=(format!("/setup/{token}")) {
                    label for="officer" { (which) }
                    input #officer name="officer" required maxlength="128" autocapitalize="none" spellcheck="false" autofocus;
                    button.primary type="submit" { (says::CONTINUE) }
                }
            },
        ));
    }
    let waiting = desk.setups.waiting(&desk).await?;
    let founding = waiting
        .iter()
        .find(|waiting| matches!(waiting.change.what, ChangeWhat::Found(_)));
    let founding = founding.ok_or_else(no_link)?;
    let digest = founding.change.digest().map_err(concordat_node::desk::refused)?;
    let signed: Vec<&str> = founding
        .approvals
        .iter()
        .map(|approval| approval.officer.as_str())
        .collect();
    Ok(page(
        says::SET_UP,
        &html! {
            (intro)
            p { (says::write_down(html! { code.digest { (digest.to_string()) } })) }
            @for founder in &founders {
                @let name = founder.person.id.as_str();
                @if signed.contains(&name) {
                    p { (says::has_signed(name)) }
                } @else {
                    h2 { (name) }
                    (sign::form(&desk, &format!("/setup/{token}/sign"), (&digest, &founder.keys), &[("officer", name), ("change", &digest.to_string())], &says::sign_as(name)))
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
    let known = founders(&desk, &token).await?;
    if known.len() >= 2 || known.iter().any(|founder| founder.person.id == person.id) {
        return Err(Fault::new(Reason::Conflict, "DISC-051", errors::REGISTERED_ALREADY).into());
    }
    let options = desk.setups.begin(&desk, &token, person.clone())?;
    Ok(page(
        says::SET_UP,
        &html! {
            p { (sign_in::account(html! { strong { (person.id.as_str()) } })) }
            (sign::register_form(&format!("/setup/{token}/key"), &options, &[], says::REGISTER_MINE))
        },
    ))
}

/// A founder's new passkey.
pub(crate) async fn founder_key(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Redirect, Shown> {
    founders(&desk, &token).await?;
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
    let known = founders(&desk, &token).await?;
    let founder = known
        .iter()
        .find(|founder| founder.person.id.as_str() == fields.get("officer"));
    let digest: Option<Digest> = Hex::parse(fields.get("change"));
    let (Some(founder), Some(digest)) = (founder, digest) else {
        return Err(no_link().into());
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
    let (person, what) = match desk.setups.look(&desk, &token) {
        Ok(For::Officer(new)) => (new.person, says::new_account(&texts::roles(&new.roles))),
        Ok(For::Key(officer)) => (
            Person {
                id: officer,
                unit: None,
            },
            says::FURTHER_KEY.to_owned(),
        ),
        Ok(For::Founders(_)) | Err(_) => return Err(no_link_here(&desk).await?.into()),
    };
    let options = desk.setups.begin(&desk, &token, person.clone())?;
    Ok(page(
        says::REGISTER_A_PASSKEY,
        &html! {
            p { (says::account_and_what(html! { strong { (person.id.as_str()) } }, &what)) }
            (sign::register_form(&format!("/enrol/{token}/key"), &options, &[], says::REGISTER_MINE))
        },
    ))
}

/// The new passkey.
pub(crate) async fn key(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Html<String>, Shown> {
    let key = desk
        .setups
        .register(&desk, &token, Fields::parse(&body).get("answer"))
        .await?;
    Ok(page(
        says::REGISTER_A_PASSKEY,
        &html! {
            p { (says::registered(html! { a href="/sign-in" { (says::THEN_SIGN_IN) } })) }
            p { (says::key_to_compare(html! { code { (key) } })) }
        },
    ))
}
