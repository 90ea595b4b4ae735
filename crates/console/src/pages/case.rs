//! One case: who asks, why, what is released, the clock, what was said, what comes next.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use concordat_disclosure::codes::Onward;
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::{AnyCase, CaseId, Decision, DetailRequest, Document, Verdict, Words};
use concordat_identifiers::{NameText, Subject};
use concordat_ledger::{Side, Text};
use concordat_node::desk::hits::HeldSubject;
use concordat_node::desk::{self, CaseView, records};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use maud::{Markup, html};

use super::clock::clock;
use super::messages::messages;
use super::steps::next_step;
use super::{history, inbox};
use crate::Desk;
use crate::form::Form;
use crate::guard::{Reads, Shown, Signed, Works};
use crate::layout::mend;
use crate::texts::{self, case as says, errors, history as told};

/// A case's id in an address.
pub(crate) fn id_of(text: &str) -> Result<CaseId, Fault> {
    CaseId::parse(text).ok_or_else(|| Fault::new(Reason::NotFound, "DESK-002", errors::NO_CASE))
}

/// To the case.
pub(crate) fn back(id: CaseId) -> Redirect {
    Redirect::to(&format!("/cases/{id}"))
}

/// The case.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Reads>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let now = desk.state.clock.now();
    let title = says::title(&id[24..]);
    let mut page = signed.page(&title);
    page.live = true;
    Ok(page.show(&whole(&desk, &signed, &view, now)?))
}

/// All of a case that this person may see.
pub(crate) fn whole(
    desk: &Desk,
    signed: &Signed<Reads>,
    view: &CaseView,
    now: Timestamp,
) -> Result<Markup, Shown> {
    let request = view.case.request();
    let signs = view.may.contains(&"approve");
    Ok(html! {
        section.summary aria-label=(says::SUMMARY) {
            p.state { strong { (texts::state(view.case.name())) } " " (says::with(inbox::side(view.row.side), html! { strong { (view.row.partner) } })) }
            p { (clock(&view.row, now)) }
            @if let Some(sending) = &view.sending {
                p.warn role="status" { (says::on_its_way(&texts::time(sending.since), texts::step(sending.what))) }
            }
            @if !view.undelivered.is_empty() {
                p.warn role="status" { (says::not_there_yet(&view.undelivered.iter().map(|step| texts::step(step)).collect::<Vec<_>>().join("; "))) }
            }
            @if let AnyCase::Recalled(case) = &view.case {
                p.warn role="status" { strong { (says::TAKEN_BACK) } (says::delete_by(&texts::time(case.due()))) }
            }
        }
        // What is signed is read first: it stands above the button that signs it.
        @if signs { @if let Some(decision) = &view.decision { (decision_of(view, decision)) } }
        (next_step(desk, signed, view)?)
        @if let Some(request) = request { (asked(request)) }
        @if let Some(subject) = &view.subject { (held(subject)) }
        @if !view.records.is_empty() { (our_records(view)) }
        @if !signs { @if let Some(decision) = &view.decision { (decision_of(view, decision)) } }
        @if request.is_some() { (messages(signed, view)) }
        section aria-labelledby="history" {
            h2 #history { (told::HISTORY) }
            p.note { (told::REBUILT) }
            (history::history(view, &view.rules.console))
        }
    })
}

/// Agencies or officers, one after the other.
fn names<'a>(all: impl IntoIterator<Item = &'a Text>) -> String {
    let names: Vec<&str> = all.into_iter().map(Text::as_str).collect();
    names.join(", ")
}

fn row(name: &str, value: impl maud::Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Who asks, why, under what law.
fn asked(request: &DetailRequest) -> Markup {
    let fields: Vec<String> = request.fields.iter().map(texts::field).collect();
    html! {
        section aria-labelledby="request" {
            h2 #request { (says::REQUEST) }
            dl {
                (row(says::ASKED_BY, says::person_of(request.by.id.as_str(), request.requester.as_str())))
                (row(says::ORDERED_BY, request.ordered_by.id.as_str()))
                (row(says::CONFIRMED_BY, says::confirmed(request.confirmed.person.id.as_str(), request.confirmed.method.as_str())))
                (row(says::FACTS, request.facts.as_str()))
                (row(says::OFFENCE, says::penalty(request.offence.as_str(), request.max_penalty_months)))
                (row(says::PURPOSE, texts::code(request.purpose.as_str())))
                (row(says::LEGAL_BASIS, request.legal_basis.as_str()))
                (row(says::USE, texts::code(&texts::name_of(&request.intended_use))))
                (row(says::SUBJECT, texts::code(&texts::name_of(&request.subject))))
                (row(says::URGENCY, urgency(&request.urgency)))
                (row(says::ASKED_FOR, fields.join(", ")))
                (row(says::MAY_GO_ON_TO, if request.onward.is_empty() { says::NOBODY.to_owned() } else { names(&request.onward) }))
                (row(says::VOID_AFTER, texts::time(request.expires)))
            }
        }
    }
}

fn urgency(urgency: &Urgency) -> String {
    match urgency {
        Urgency::Normal => says::NORMAL.to_owned(),
        Urgency::Urgent(why) => says::urgent(why.as_str()),
        Urgency::UrgentIndirect(why) => says::urgent_indirect(why.as_str()),
    }
}

fn held(held: &HeldSubject) -> Markup {
    html! {
        section aria-labelledby="held" {
            h2 #held { (says::WHAT_HIT) }
            p.note { (says::WE_ASKED_ABOUT) }
            dl {
                (row(says::ITEM, held.item.as_str()))
                (row(says::MATCHED_BY, says::matched(&held.rule, texts::grade(&held.grade))))
                (row(says::CASE_OR_FLIGHT, held.case_reference.as_str()))
                (row(says::QUERY_BY, says::query(&held.officer, &held.ordered_by)))
            }
            (subject(&held.subject))
        }
    }
}

/// What is, or was, released, with how it must be handled; and the text that is signed.
fn decision_of(view: &CaseView, decision: &Decision) -> Markup {
    let marks = &decision.marks;
    let conditions: Vec<&str> = decision.conditions.iter().map(Words::as_str).collect();
    let onward = match &marks.onward {
        Onward::Nobody => says::ONWARD_TO_NOBODY.to_owned(),
        Onward::To(agencies) => names(agencies),
    };
    let evaluation = [texts::name_of(&marks.source), texts::name_of(&marks.information)];
    let evaluation = evaluation.map(|code| texts::mark(&code));
    html! {
        section.decision aria-labelledby="decision" {
            h2 #decision { (if view.side == Side::Requester { says::WHAT_WAS_RELEASED } else { says::DECISION }) }
            p.marks {
                strong { (says::handling(&texts::mark(&texts::name_of(&marks.handling)))) }
                @if let Some(restriction) = &marks.restriction { (says::restriction(restriction.as_str())) }
                (says::marks(
                    &texts::code(&texts::name_of(&marks.classification)),
                    evaluation.each_ref().map(String::as_str),
                    html! { time { (marks.retain_until.to_string()) } },
                    &onward,
                ))
            }
            @if !conditions.is_empty() { p { strong { (says::CONDITIONS) } (conditions.join("; ")) } }
            @if let Verdict::Refused(refusal) = &decision.verdict {
                p { strong { (says::ALL_REFUSED) } (says::refusal(&texts::code(&texts::name_of(&refusal.ground)), refusal.text.as_str())) }
            }
            div.sides {
                div {
                    h3 { (says::RELEASED) }
                    @if decision.released.is_empty() { p { (says::NOTHING) } }
                    dl {
                        @for released in &decision.released {
                            (row(&texts::field(&released.field), released.values.iter().map(Words::as_str).collect::<Vec<_>>().join("; ")))
                        }
                    }
                }
                div {
                    h3 { (says::WITHHELD) }
                    @if decision.withheld.is_empty() { p { (says::NOTHING) } }
                    dl {
                        @for withheld in &decision.withheld {
                            (row(&texts::field(&withheld.field), texts::code(&texts::name_of(&withheld.ground))))
                        }
                    }
                }
            }
            p { (says::approvals(view.approvals.len(), decision.approvers(&view.rules), &names(view.approvals.iter().map(|approval| &approval.officer)))) }
            details {
                summary { (says::EXACT_TEXT) }
                pre tabindex="0" { (view.decision_text.as_deref().unwrap_or_default()) }
                p { (says::DIGEST) code.digest { (decision.digest().map(|digest| digest.to_string()).unwrap_or_default()) } }
            }
            @if let Some(umf) = &view.umf {
                details { summary { (says::AS_XML) } pre tabindex="0" { (umf) } }
            }
        }
    }
}

/// A person or document as it was read.
fn subject(subject: &Subject) -> Markup {
    html! {
        ul.subject {
            @for name in &subject.names {
                li { @match &name.text {
                    NameText::Whole(whole) => { (whole) }
                    NameText::Parts { primary, secondary } => { strong { (primary) } ", " (secondary) }
                } }
            }
            @for birth in &subject.births { li { (says::born(&records::date(birth))) } }
            @for document in &subject.documents {
                li { (match &document.issuer {
                    Some(issuer) => says::document_of(&document.number, issuer.as_ref()),
                    None => says::document(&document.number),
                }) }
            }
            @if !subject.others.is_empty() { li { (says::further(subject.others.len())) } }
        }
    }
}

/// Our records behind the hit.
pub(crate) fn our_records(view: &CaseView) -> Markup {
    html! {
        section aria-labelledby="records" {
            h2 #records { (says::OUR_RECORD) }
            @for record in &view.records {
                h3 { (record.list) " " code { (record.source_id) } }
                (subject(&record.subject))
                @if !record.published.is_empty() {
                    dl {
                        @for (name, values) in &record.published {
                            div { dt { (texts::code(name)) } dd { (values.join("; ")) } }
                        }
                    }
                }
            }
        }
    }
}

/// What the person can mend in the form. Anything else needs a fresh look at the case.
pub(crate) fn mendable(fault: Fault) -> Result<Fault, Shown> {
    match fault.reason {
        Reason::Invalid | Reason::NotPermitted => Ok(fault),
        _ => Err(fault.into()),
    }
}

/// A form as it was filled in, with what is to be mended.
pub(crate) fn again(
    signed: &Signed<Works>,
    title: &str,
    form: &Form,
    fault: &Fault,
    body: &Markup,
) -> Response {
    let body = html! { (mend(form, fault)) (body) };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    (status, signed.page(title).show(&body)).into_response()
}

/// The token, and the case as it was when the form was first shown: a later look must not hide that it has moved on.
pub(crate) fn hidden(signed: &Signed<Works>, view: &CaseView, form: &Form) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(signed.csrf());
        input type="hidden" name="seen" value=(form.or("seen", &view.case.head().to_string()));
    }
}
