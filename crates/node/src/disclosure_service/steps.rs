//! Steps as callers ask for them.

use concordat_disclosure::codes::{Field, Ground, Marks};
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::event::{Confirmed, MoreTime, NotPursued, OutcomeStated};
use concordat_disclosure::{Approval, CaseId, Document, Manifest, Refusal, Released, Withheld, Words};
use concordat_ledger::Text;
use concordat_wire::Fault;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{AskStep, FieldValues, ProposeStep, SayStep};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::desk::{Action, Asking, Proposal, Saying, Who, refused};
use crate::ledger::person;

/// The step of a request, as `who` takes it.
pub(super) fn action(step: Option<Step>, who: &Who) -> Result<Action, Fault> {
    let step = step.ok_or_else(|| invalid("step", "which step is taken"))?;
    Ok(match step {
        Step::Confirm(confirm) => Action::Confirm(Confirmed {
            comparison: code("comparison", &confirm.comparison)?,
            method: words("method", &confirm.method)?,
        }),
        Step::NotPursue(why) => Action::NotPursue(NotPursued {
            reason: code("reason", &why.reason)?,
            text: words("text", &why.text)?,
        }),
        Step::Request(ask) => Action::Request(Box::new(asking(ask, who)?)),
        Step::TakeUp(_) => Action::TakeUp,
        Step::Say(say) => Action::Say(saying(say)?),
        Step::Question(say) => Action::Question(saying(say)?),
        Step::Answer(say) => Action::Answer(saying(say)?),
        Step::AwaitJudicial(authority) => Action::AwaitJudicial(words("await_judicial", &authority)?),
        Step::Judicial(reference) => Action::Judicial(words("judicial", &reference)?),
        Step::MoreTime(more) => Action::MoreTime(MoreTime {
            until: time("until", &more.until)?,
            reason: words("reason", &more.reason)?,
        }),
        Step::Propose(propose) => Action::Propose(Box::new(proposal(propose)?)),
        Step::Approve(approval) => Action::Approve(Box::new(Approval::decode(&approval).map_err(refused)?)),
        Step::Reconsider(why) => Action::Reconsider(words("reconsider", &why)?),
        Step::Release(_) => Action::Release,
        Step::Open(_) => Action::Open,
        Step::Outcome(outcome) => Action::Outcome(OutcomeStated {
            outcome: code("outcome", &outcome.outcome)?,
            action: words("action", &outcome.action)?,
        }),
        Step::Withdraw(why) => Action::Withdraw(words("withdraw", &why)?),
        Step::Recall(recall) => Action::Recall {
            reason: words("reason", &recall.reason)?,
            corrected_in: match recall.corrected_in.as_str() {
                "" => None,
                id => {
                    Some(CaseId::parse(id).ok_or_else(|| invalid("corrected_in", "32 hexadecimal digits"))?)
                }
            },
        },
        Step::ConfirmRecall(_) => Action::ConfirmRecall,
        Step::Close(_) => Action::Close,
    })
}

fn invalid(field: &str, message: &str) -> Fault {
    Fault::invalid("DESK-021", field, message)
}

/// A code by its name, as documents write it.
fn code<T: DeserializeOwned>(field: &str, name: &str) -> Result<T, Fault> {
    serde_json::from_value(serde_json::Value::from(name))
        .map_err(|_| invalid(field, "not a code of this list (docs/disclosure.md)"))
}

fn words(field: &str, text: &str) -> Result<Words, Fault> {
    Words::new(text).map_err(|error| refused(error).field(field))
}

fn text(field: &str, value: &str) -> Result<Text, Fault> {
    Text::new(value).map_err(|_| invalid(field, "required, one line"))
}

fn time(field: &str, text: &str) -> Result<Timestamp, Fault> {
    text.parse()
        .map_err(|_| invalid(field, "an RFC 3339 time such as 2026-11-01T00:00:00Z"))
}

fn field_of(name: &str) -> Result<Field, Fault> {
    name.parse().map_err(|_| {
        let known = "a to k (docs/disclosure.md, section 9), or x:name of the owner's list";
        let message = match name.chars().count() {
            // What is longer may be anything, and is not repeated.
            0..=4 => format!("there is no field \"{name}\": {known}"),
            _ => format!("a field is {known}"),
        };
        invalid("fields", &message)
    })
}

fn asking(ask: AskStep, who: &Who) -> Result<Asking, Fault> {
    Ok(Asking {
        purpose: text("purpose", &ask.purpose)?,
        legal_basis: text("legal_basis", &ask.legal_basis)?,
        intended_use: code("intended_use", &ask.intended_use)?,
        subject: code("subject_class", &ask.subject_class)?,
        facts: words("facts", &ask.facts)?,
        offence: text("offence", &ask.offence)?,
        max_penalty_months: ask.max_penalty_months,
        fields: ask
            .fields
            .iter()
            .map(|name| field_of(name))
            .collect::<Result<_, _>>()?,
        urgency: match ask.urgency.as_str() {
            "" | "NORMAL" => Urgency::Normal,
            "URGENT" => Urgency::Urgent(words("urgency_reason", &ask.urgency_reason)?),
            "URGENT_INDIRECT" => Urgency::UrgentIndirect(words("urgency_reason", &ask.urgency_reason)?),
            _ => return Err(invalid("urgency", "NORMAL, URGENT or URGENT_INDIRECT")),
        },
        onward: ask
            .onward
            .iter()
            .map(|agency| text("onward", agency))
            .collect::<Result<_, _>>()?,
        ordered_by: match ask.ordered_by.as_str() {
            "" => who.person.clone(),
            ordered_by => person(ordered_by),
        },
        expires: time("expires_at", &ask.expires_at)?,
    })
}

fn saying(say: SayStep) -> Result<Saying, Fault> {
    let manifests = say.attachments.iter().map(|manifest| {
        serde_json::from_str::<Manifest>(manifest)
            .map_err(|_| invalid("attachments", "the manifest that Attach gave"))
    });
    Ok(Saying {
        text: say
            .text
            .iter()
            .map(|text| words("text", text))
            .collect::<Result<_, _>>()?,
        answers: match say.answers.as_str() {
            "" => None,
            id => Some(CaseId::parse(id).ok_or_else(|| invalid("answers", "32 hexadecimal digits"))?),
        },
        attachments: manifests.collect::<Result<_, _>>()?,
    })
}

fn released(values: &FieldValues) -> Result<Released, Fault> {
    Ok(Released {
        field: field_of(&values.field)?,
        values: values
            .values
            .iter()
            .map(|value| words("values", value))
            .collect::<Result<_, _>>()?,
    })
}

fn proposal(propose: ProposeStep) -> Result<Proposal, Fault> {
    let withheld = propose.withheld.iter().map(|withheld| {
        Ok(Withheld {
            field: field_of(&withheld.field)?,
            ground: code("ground", &withheld.ground)?,
        })
    });
    let marks: Marks = serde_json::from_str(&propose.marks).map_err(|_| {
        invalid(
            "marks",
            "the object `marks` of a decision, JSON (docs/disclosure.md)",
        )
    })?;
    let mut released = propose
        .released
        .iter()
        .map(released)
        .collect::<Result<Vec<_>, _>>()?;
    let mut withheld = withheld.collect::<Result<Vec<_>, Fault>>()?;
    // A decision has its fields in their order.
    released.sort_by(|one, other| one.field.cmp(&other.field));
    withheld.sort_by(|one, other| one.field.cmp(&other.field));
    Ok(Proposal {
        refusal: match propose.refusal_ground.as_str() {
            "" => None,
            ground => Some(Refusal {
                ground: code::<Ground>("refusal_ground", ground)?,
                text: words("refusal_text", &propose.refusal_text)?,
            }),
        },
        released,
        withheld,
        marks,
        conditions: propose
            .conditions
            .iter()
            .map(|text| words("conditions", text))
            .collect::<Result<_, _>>()?,
    })
}
