//! Administration: officers and keys, agreements, partners, quotas used, how fresh snapshots are.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, Redirect};
use concordat_disclosure::{ChangeWhat, Document, Listed, NewOfficer, Registry, Role};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_node::desk::console::record_link;
use concordat_node::desk::officers;
use concordat_store::ScopeRole;
use concordat_wire::Fault;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::form::Form;
use crate::guard::{Administers, Posted, Shown, Signed};
use crate::setup::{For, Waiting, needed, short};
use crate::texts::{self, admin as says, errors};
use crate::{Desk, sign};

/// Everything that is administered.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Administers>,
) -> Result<Html<String>, Shown> {
    let registry = officers::registry(&desk.state).await?;
    let waiting = desk.setups.waiting(&desk).await?;
    let body = html! {
        @if !waiting.is_empty() {
            section.next aria-labelledby="waiting" {
                h2 #waiting { (says::WAITING) }
                @for change in &waiting { (change_form(&desk, &signed, change)?) }
            }
        }
        (officers_of(&signed, &registry))
        (invite_form(&signed))
        (agreements(&desk).await?)
    };
    Ok(signed.page(says::TITLE).show(&body))
}

fn describe(what: &ChangeWhat) -> String {
    match what {
        ChangeWhat::Found(_) => says::FOUNDING.to_owned(),
        ChangeWhat::Enrol(new) => {
            let keys = new.keys.iter().map(short).collect::<Vec<_>>().join(", ");
            says::enrol(new.person.id.as_str(), &texts::roles(&new.roles), &keys)
        }
        ChangeWhat::AddKey { officer, key } => says::further_key(officer.as_str(), &short(key)),
        ChangeWhat::RevokeKey { officer, reason, .. } => says::revoke(officer.as_str(), reason.as_str()),
        ChangeWhat::Retire { officer, reason } => says::retire(officer.as_str(), reason.as_str()),
    }
}

fn change_form(desk: &Desk, signed: &Signed<Administers>, waiting: &Waiting) -> Result<Markup, Shown> {
    let digest = waiting.change.digest().map_err(concordat_node::desk::refused)?;
    let text = waiting.change.encode().map_err(concordat_node::desk::refused)?;
    let mine = waiting
        .approvals
        .iter()
        .any(|approval| approval.officer == signed.officer.person.id);
    let (csrf, change) = (signed.csrf(), digest.to_string());
    let hidden = [("csrf", csrf.as_str()), ("change", change.as_str())];
    Ok(html! {
        article.change {
            h3 { (describe(&waiting.change.what)) }
            p { (says::signed(waiting.approvals.len(), needed(&waiting.change.what))) }
            details { summary { (says::EXACT_TEXT) } pre tabindex="0" { (text) } }
            @if mine {
                p { (says::YOU_HAVE_SIGNED) }
            } @else {
                (sign::form(desk, "/admin/changes", (&digest, &signed.officer.keys), &hidden, says::SIGN))
            }
            form method="post" action="/admin/changes" {
                input type="hidden" name="csrf" value=(csrf);
                input type="hidden" name="change" value=(change);
                input type="hidden" name="discard" value="yes";
                button type="submit" { (says::DISCARD) }
            }
        }
    })
}

fn officers_of(signed: &Signed<Administers>, registry: &Registry) -> Markup {
    let (number, digest) = registry.head();
    html! {
        section aria-labelledby="officers" {
            h2 #officers { (says::OFFICERS_AND_KEYS) }
            p { (says::last_change(number, html! { code.digest { (digest.to_string()) } })) }
            table {
                caption.visually-hidden { (says::OFFICERS) }
                thead { tr { th scope="col" { (says::ACCOUNT) } th scope="col" { (says::ROLES) } th scope="col" { (says::SINCE) } th scope="col" { (says::KEYS) } } }
                tbody {
                    @for listed in registry.officers() { (officer_row(signed, &listed)) }
                }
            }
        }
    }
}

fn officer_row(signed: &Signed<Administers>, listed: &Listed<'_>) -> Markup {
    let id = listed.officer.person.id.as_str();
    html! {
        tr {
            th scope="row" data-label=(says::ACCOUNT) { (id) @if listed.retired.is_some() { (says::RETIRED) } }
            td data-label=(says::ROLES) { (texts::roles(&listed.officer.roles)) }
            td data-label=(says::SINCE) { (texts::time(listed.since)) }
            td data-label=(says::KEYS) {
                @for key in &listed.officer.keys {
                    @let key = key.id();
                    p { code { (&key.to_string()[..12]) }
                        @if let Some(at) = listed.revoked.get(&key) { (says::revoked(&texts::time(*at))) } @else { (says::VALID) } }
                }
                @if listed.retired.is_none() {
                    details {
                        summary { (says::change(id)) }
                        form method="post" action="/admin/keys" {
                            input type="hidden" name="csrf" value=(signed.csrf());
                            input type="hidden" name="officer" value=(id);
                            @for key in listed.officer.keys.iter().map(|key| key.id()).filter(|key| !listed.revoked.contains_key(key)) {
                                label.choice { input type="radio" name="what" value=(key.to_string()); " " (says::revoke_key(html! { code { (&key.to_string()[..12]) } })) }
                            }
                            label.choice { input type="radio" name="what" value="retire"; " " (says::RETIRE_ACCOUNT) }
                            label.choice { input type="radio" name="what" value="add"; " " (says::LINK_FOR_KEY) }
                            div.field { label for=(format!("reason-{id}")) { (says::WHY) } input id=(format!("reason-{id}")) name="reason" maxlength="500"; }
                            button type="submit" { (says::CONTINUE) }
                        }
                    }
                }
            }
        }
    }
}

fn invite_form(signed: &Signed<Administers>) -> Markup {
    html! {
        section aria-labelledby="invite" {
            h2 #invite { (says::ENROL_SOMEBODY) }
            form method="post" action="/admin/officers" {
                input type="hidden" name="csrf" value=(signed.csrf());
                (Form::default().line("officer", says::ACCOUNT, ""))
                div.field { label for="unit" { (says::UNIT) } input #unit name="unit" maxlength="128"; }
                fieldset {
                    legend { (says::ROLE) }
                    @for role in Role::ALL { label.choice { input type="radio" name="role" value=(role.name()) required; " " (texts::role(*role)) } }
                }
                button.primary type="submit" { (says::MAKE_A_LINK) }
            }
        }
    }
}

async fn link(
    signed: &Signed<Administers>,
    desk: &Desk,
    what: For,
    officer: Person,
) -> Result<Html<String>, Fault> {
    let person = officer.id.as_str().to_owned();
    let new = matches!(what, For::Officer(_));
    let token = desk.setups.link(desk, what)?;
    record_link(&desk.state, signed.officer.person.clone(), officer, new).await?;
    Ok(signed.page(says::LINK).show(&html! {
        p { (says::give_link(html! { strong { (person) } })) }
        p { code.digest { (desk.origin()) "/enrol/" (token) } }
        p { a href="/admin" { (says::BACK) } }
    }))
}

/// A link for somebody new.
pub(crate) async fn invite(
    State(desk): State<Arc<Desk>>,
    posted: Posted<Administers>,
) -> Result<Html<String>, Shown> {
    let fields = &posted.fields;
    let text = |name: &str| {
        Text::new(fields.get(name)).map_err(|_| Fault::invalid("CONS-010", name, errors::REQUIRED_LINE))
    };
    let role = Role::ALL.iter().find(|role| role.name() == fields.get("role"));
    let role = role.ok_or_else(|| Fault::invalid("CONS-010", "role", errors::CHOOSE_ONE))?;
    let unit = match fields.get("unit") {
        "" => None,
        _ => Some(text("unit")?),
    };
    let new = NewOfficer {
        person: Person {
            id: text("officer")?,
            unit,
        },
        roles: BTreeSet::from([*role]),
        accounts: BTreeSet::new(),
        keys: Vec::new(),
    };
    let person = new.person.clone();
    Ok(link(&posted.signed, &desk, For::Officer(new), person).await?)
}

/// A key is revoked, an account retired, or a further key invited.
pub(crate) async fn keys(
    State(desk): State<Arc<Desk>>,
    posted: Posted<Administers>,
) -> Result<axum::response::Response, Shown> {
    use axum::response::IntoResponse;
    let fields = &posted.fields;
    let officer = Text::new(fields.get("officer"))
        .map_err(|_| Fault::invalid("CONS-010", "officer", errors::REQUIRED_LINE))?;
    let what = match fields.get("what") {
        "add" => {
            let person = Person {
                id: officer.clone(),
                unit: None,
            };
            let shown = link(&posted.signed, &desk, For::Key(officer), person).await?;
            return Ok(shown.into_response());
        }
        "retire" => ChangeWhat::Retire {
            officer,
            reason: fields.words("reason")?,
        },
        key => ChangeWhat::RevokeKey {
            officer,
            key: Hex::parse(key).ok_or_else(|| Fault::invalid("CONS-010", "what", errors::CHOOSE_CHANGE))?,
            reason: fields.words("reason")?,
        },
    };
    desk.setups.propose(&desk, what).await?;
    Ok(Redirect::to("/admin").into_response())
}

/// An administrator signs a change, or discards it.
pub(crate) async fn sign(
    State(desk): State<Arc<Desk>>,
    posted: Posted<Administers>,
) -> Result<Redirect, Shown> {
    let digest: Option<Digest> = Hex::parse(posted.fields.get("change"));
    let digest = digest.ok_or_else(|| Fault::invalid("CONS-010", "change", errors::OPEN_AGAIN))?;
    if posted.fields.get("discard") == "yes" {
        desk.setups.discard(&digest);
    } else {
        let approval = sign::approval(&posted.signed.officer, &digest, posted.fields.get("answer"))?;
        desk.setups.sign(&desk, &digest, approval).await?;
    }
    Ok(Redirect::to("/admin"))
}

/// Agreements with partners, what is used of their quotas, and how old the snapshots are.
async fn agreements(desk: &Desk) -> Result<Markup, Shown> {
    let (state, now) = (&desk.state, desk.state.clock.now());
    let mut rows = Vec::new();
    for entry in state.book.even_ended() {
        let agreement = &entry.agreement;
        for offer in &agreement.offers {
            let owned = offer.owner == state.us();
            let role = if owned {
                ScopeRole::Owner
            } else {
                ScopeRole::Requester
            };
            let epoch = agreement.epoch_at(now).unwrap_or(0);
            let stored = |error| Fault::internal(errors::reading_quotas(error));
            let scope = state
                .store
                .scope_of_epoch(&agreement.id, &offer.id, epoch, role)
                .await
                .map_err(stored)?;
            let used = match &scope {
                Some(scope) if owned => {
                    state
                        .store
                        .usage(scope.id, state.clock.day())
                        .await
                        .map_err(stored)?
                        .day
                }
                Some(scope) => {
                    state
                        .store
                        .announced(scope.id, state.clock.day())
                        .await
                        .map_err(stored)?
                        .day
                }
                None => 0,
            };
            let fresh = freshness(desk, agreement, offer, epoch, owned).await;
            rows.push((Arc::clone(&entry), offer.clone(), used, fresh));
        }
    }
    Ok(html! {
        section aria-labelledby="agreements" {
            h2 #agreements { (says::AGREEMENTS_AND_MORE) }
            @if rows.is_empty() { p.empty { (says::NO_AGREEMENTS) } } @else {
                table {
                    caption.visually-hidden { (says::AGREEMENTS) }
                    thead { tr { th scope="col" { (says::AGREEMENT) } th scope="col" { (says::PARTNER) } th scope="col" { (says::OFFER) } th scope="col" { (says::STATUS) } th scope="col" { (says::USED_TODAY) } th scope="col" { (says::SNAPSHOT) } } }
                    tbody {
                        @for (entry, offer, used, fresh) in &rows {
                            tr {
                                th scope="row" data-label=(says::AGREEMENT) { (entry.agreement.id) }
                                td data-label=(says::PARTNER) { (entry.partner.id) }
                                td data-label=(says::OFFER) { (says::offer(&offer.id, &texts::code(offer.kind.name()))) }
                                td data-label=(says::STATUS) { (says::status_until(texts::status(entry.status.as_str()), &texts::time(entry.agreement.valid_until))) }
                                td data-label=(says::USED_TODAY) { (says::used_of(*used, offer.quota_per_day)) }
                                td data-label=(says::SNAPSHOT) { (fresh) }
                            }
                        }
                    }
                }
            }
        }
    })
}

async fn freshness(
    desk: &Desk,
    agreement: &concordat_node::agreement::Agreement,
    offer: &concordat_node::agreement::Offer,
    epoch: u32,
    owned: bool,
) -> String {
    let as_of: Option<Timestamp> = if owned {
        let served = concordat_node::publish::served(&desk.state, (agreement, offer, epoch)).await;
        served
            .ok()
            .flatten()
            .and_then(|snapshot| snapshot.manifest().as_of.to_string().parse().ok())
    } else {
        let held = desk.state.held.get(&desk.state, (agreement, offer, epoch)).await;
        let snapshot = held.ok().flatten().and_then(|scope| scope.snapshot());
        snapshot.and_then(|snapshot| snapshot.manifest().as_of.to_string().parse().ok())
    };
    match as_of {
        None => says::NO_SNAPSHOT.to_owned(),
        Some(as_of) => {
            let age = desk
                .state
                .clock
                .now()
                .duration_since(as_of)
                .max(SignedDuration::ZERO);
            let stale = age.as_secs() > i64::try_from(offer.max_age_s).unwrap_or(i64::MAX);
            let age = texts::span(age);
            if stale {
                says::too_old(&age)
            } else {
                says::old(&age)
            }
        }
    }
}
