//! What a person may do next with a case: the forms on its page, and what they do.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;
use concordat_disclosure::Document;
use concordat_disclosure::codes::{CaseOutcome, NotPursuedReason};
use concordat_disclosure::event::{Confirmed, MoreTime, NotPursued, OutcomeStated};
use concordat_ledger::{Digest, Hex};
use concordat_node::desk::{self, Action, CaseView};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use maud::{Markup, html};

use super::case::{back, id_of};
use crate::fields::Fields;
use crate::form::Form;
use crate::guard::{Posted, Reads, Shown, Signed, Works};
use crate::texts::{self, case, errors, steps as says};
use crate::{Desk, sign};

/// Forms for what this person may do next; the first is the likely one.
pub(crate) fn next_step(desk: &Desk, signed: &Signed<Reads>, view: &CaseView) -> Result<Markup, Shown> {
    let mut forms = Vec::new();
    for may in &view.may {
        if *may != "say" {
            forms.push(form_for(desk, signed, view, may)?);
        }
    }
    Ok(html! {
        @if let Some((first, rest)) = forms.split_first() {
            section.next aria-labelledby="next" {
                h2 #next { (says::NEXT_STEP) }
                (first)
                @if !rest.is_empty() {
                    details.other {
                        summary { (says::OTHER_STEPS) }
                        @for form in rest { (form) }
                    }
                }
            }
        }
    })
}

fn form_for(desk: &Desk, signed: &Signed<Reads>, view: &CaseView, may: &str) -> Result<Markup, Shown> {
    let id = view.case.id();
    let at = |page: &str| format!("/cases/{id}/{page}");
    Ok(match may {
        "request" => html! { p { a.button.primary href=(at("request")) { (says::ASK) } } },
        "propose" => html! { p { a.button.primary href=(at("propose")) { (says::DRAW_UP) } } },
        "approve" => {
            let digest = view
                .decision
                .as_ref()
                .map(Document::digest)
                .transpose()
                .map_err(desk::refused)?;
            let digest = digest.ok_or_else(|| Fault::internal(errors::DECISION_NOT_AT_HAND))?;
            let hidden = [("csrf", signed.csrf()), ("seen", view.case.head().to_string())];
            let hidden = hidden.each_ref().map(|(name, value)| (*name, value.as_str()));
            html! {
                p { (says::you_approve(html! { a href="#decision" { (case::DECISION) } })) }
                (sign::form(desk, &at("approve"), (&digest, &signed.officer.keys), &hidden, says::APPROVE))
            }
        }
        "question" | "answer" => {
            html! { p { a href="#say" { (if may == "question" { says::ASK_REQUESTER } else { says::ANSWER_OWNER }) } } }
        }
        _ => simple(signed, view, may),
    })
}

/// How a comparison can end.
const COMPARISONS: [(&str, &str); 3] = [
    ("SAME", says::SAME),
    ("DIFFERENT", says::DIFFERENT),
    ("UNSURE", says::UNSURE),
];

/// A step that needs a few words or none.
fn simple(signed: &Signed<Reads>, view: &CaseView, may: &str) -> Markup {
    let id = view.case.id();
    let (button, body) = match may {
        "confirm" => (
            says::RECORD_COMPARISON,
            html! {
                fieldset {
                    legend { (says::IS_IT_THE_SAME) }
                    @for (code, words) in COMPARISONS {
                        label.choice { input type="radio" name="comparison" value=(code) required; " " (words) }
                    }
                }
                (Form::default().line("method", says::HOW_COMPARED, says::HOW_COMPARED_HINT))
            },
        ),
        "not-pursue" => (
            says::DO_NOT_PURSUE,
            html! {
                (Form::default().choice(("reason", says::WHY_NOT), NotPursuedReason::ALL, texts::code))
                (text_field(may, says::IN_YOUR_WORDS))
            },
        ),
        "take-up" => (says::TAKE_UP, html! { p { (says::TAKE_UP_NOTE) } }),
        "await-judicial" => (says::AWAIT_JUDICIAL, text_field(may, says::WHICH_AUTHORITY)),
        "judicial" => (says::RECORD_ANSWER, text_field(may, says::REFERENCE)),
        "reconsider" => (says::RECONSIDER, text_field(may, says::WHY)),
        "release" => (says::RELEASE, html! { p { (says::RELEASE_NOTE) } }),
        "open" => (says::OPEN, html! { p { (says::OPEN_NOTE) } }),
        "outcome" => (
            says::STATE_OUTCOME,
            html! {
                (Form::default().choice(("outcome", says::WHAT_CAME_OF_IT), CaseOutcome::ALL, texts::code))
                (Form::default().line("action", says::WHAT_WAS_DONE, ""))
            },
        ),
        "withdraw" => (says::WITHDRAW, text_field(may, says::WHY)),
        "recall" => (says::RECALL, text_field(may, says::RECALL_WHY)),
        "confirm-recall" => (says::CONFIRM_RECALL, html! { p { (says::CONFIRM_RECALL_NOTE) } }),
        "more-time" => (
            says::MORE_TIME,
            html! {
                div.field { label for="until" { (says::UNTIL) } input #until type="datetime-local" name="until" required; }
                (text_field(may, says::WHY))
            },
        ),
        _ => (says::CLOSE, html! {}),
    };
    html! {
        form method="post" action=(format!("/cases/{id}/step")) {
            input type="hidden" name="csrf" value=(signed.csrf());
            input type="hidden" name="seen" value=(view.case.head().to_string());
            input type="hidden" name="step" value=(may);
            (body)
            button.primary type="submit" { (button) }
        }
    }
}

/// The words of a step, under an id of their own: several steps stand on one page.
fn text_field(may: &str, label: &str) -> Markup {
    let id = format!("{may}-text");
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name="text" value="" required maxlength="1000" placeholder="" autocomplete="off";
        }
    }
}

/// A step of a few words, as its form says.
fn action(fields: &Fields) -> Result<Action, Fault> {
    Ok(match fields.get("step") {
        "confirm" => Action::Confirm(Confirmed {
            comparison: fields.code("comparison")?,
            method: fields.words("method")?,
        }),
        "not-pursue" => Action::NotPursue(NotPursued {
            reason: fields.code("reason")?,
            text: fields.words("text")?,
        }),
        "take-up" => Action::TakeUp,
        "await-judicial" => Action::AwaitJudicial(fields.words("text")?),
        "judicial" => Action::Judicial(fields.words("text")?),
        "reconsider" => Action::Reconsider(fields.words("text")?),
        "release" => Action::Release,
        "open" => Action::Open,
        "outcome" => Action::Outcome(OutcomeStated {
            outcome: fields.code("outcome")?,
            action: fields.words("action")?,
        }),
        "withdraw" => Action::Withdraw(fields.words("text")?),
        "recall" => Action::Recall {
            reason: fields.words("text")?,
            corrected_in: None,
        },
        "confirm-recall" => Action::ConfirmRecall,
        "more-time" => Action::MoreTime(MoreTime {
            until: local(fields.get("until"))?,
            reason: fields.words("text")?,
        }),
        "close" => Action::Close,
        _ => return Err(Fault::invalid("DESK-021", "step", errors::NO_STEP)),
    })
}

/// A time as browsers write it, in UTC.
fn local(text: &str) -> Result<Timestamp, Fault> {
    let at: Result<jiff::civil::DateTime, _> = text.parse();
    let at = at.ok().and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok());
    at.map(|at| at.timestamp())
        .ok_or_else(|| Fault::invalid("DESK-021", "until", errors::A_DATE_AND_TIME))
}

/// A step of a few words.
pub(crate) async fn step(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let action = action(&posted.fields)?;
    let seen: Option<Digest> = Hex::parse(posted.fields.get("seen"));
    desk::act(&desk.state, &posted.signed.who(), id, seen, action).await?;
    Ok(back(id))
}

/// An officer's passkey has signed.
pub(crate) async fn approve(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let view = desk::view(&desk.state, Some(&posted.signed.who()), id).await?;
    let digest = view
        .decision
        .as_ref()
        .map(Document::digest)
        .transpose()
        .map_err(desk::refused)?;
    let missing = || Fault::new(Reason::Precondition, "DISC-020", errors::NO_DECISION);
    let digest = digest.ok_or_else(missing)?;
    let approval = sign::approval(&posted.signed.officer, &digest, posted.fields.get("answer"))?;
    let seen: Option<Digest> = Hex::parse(posted.fields.get("seen"));
    let action = desk::Action::Approve(Box::new(approval));
    desk::act(&desk.state, &posted.signed.who(), id, seen, action).await?;
    Ok(back(id))
}
