//! What happens in a case, and to the registry of officers, as the ledger records it: never a text that an officer wrote, never a
//! released value.

use concordat_ledger::{
    Actor, Approved, CaseId, CaseStep, Console, DetailRequested, DetailStep, Event as LedgerEvent, HitStep,
    Outcome, Person, Receipt, RegistryChanged, Release, Side, Stated, Text,
};

use crate::approval::Approval;
use crate::case::Documents;
use crate::decision::{Decided, Decision, Verdict};
use crate::document::Document;
use crate::event::{Event, What};
use crate::passkey::RelyingParty;
use crate::registry::{Change, ChangeWhat};
use crate::request::DetailRequest;
use crate::rule::{DOCUMENT_MISSING, MALFORMED, Refused};

/// The ledger's entries for the last step of `history`, all steps of a case that this side knows, oldest first. To be recorded in the
/// transaction that keeps the step, whichever side took it.
///
/// `documents` are those that the step is about: at the owner from the decision on, at the requester when the release was opened; there
/// the decision is recorded together with the receipt, for only then can its approvals be verified. How it came out is in the step that
/// told of it, [`DetailStep::outcome`]. `console` is where the owner's officers sign. [`DetailRequested::case_reference`] is for the
/// requester's node to add: the request does not hold it.
///
/// # Errors
/// [`DOCUMENT_MISSING`] if a decision or one of its approvals is not among `documents`; [`MALFORMED`] if `history` is empty or does
/// not begin with a hit or a request. As [`Document::digest`].
pub fn ledger_events(
    history: &[Event],
    side: Side,
    documents: &Documents,
    console: &RelyingParty,
) -> Result<Vec<LedgerEvent>, Refused> {
    let (event, before) = history.split_last().ok_or_else(|| MALFORMED.at("history"))?;
    let case = Recorded {
        history,
        side,
        documents,
        console,
    };
    if event.what.is_private() {
        return Ok(vec![case.private(event)?]);
    }
    let request = case.request()?;
    Ok(match &event.what {
        What::Requested(_) => vec![case.asked(event, request)?],
        What::Decided(_) if side == Side::Owner => vec![case.decided(event, request, before)?],
        What::Released(released) if side == Side::Owner => {
            let decision = case.decision(&released.decision)?;
            let fields = decision
                .released
                .iter()
                .map(|released| text(released.field.name()));
            let release = Release {
                step: case.step(event, request.exchange)?,
                by: event.by.clone().ok_or_else(|| MALFORMED.at("by"))?,
                partner: request.requester.clone(),
                stated: stated(request),
                document: released.decision,
                package: released.package,
                fields: fields.collect::<Result<_, _>>()?,
            };
            vec![release.into()]
        }
        What::Received(package) => {
            let receipt = Receipt {
                step: case.step(event, request.exchange)?,
                by: event.by.clone(),
                partner: partner(request, side),
                package: *package,
            };
            match side {
                Side::Owner => vec![receipt.into()],
                Side::Requester => vec![case.opened(request, before)?, receipt.into()],
            }
        }
        _ => vec![case.other(event, request)?],
    })
}

/// The ledger's entry for a change of the registry that was applied with these approvals. `console` is where the agency's own officers
/// sign.
///
/// # Errors
/// As [`Document::digest`].
pub fn registry_changed(
    change: &Change,
    approvals: &[Approval],
    console: &RelyingParty,
) -> Result<LedgerEvent, Refused> {
    let (what, officer) = match &change.what {
        ChangeWhat::Found(_) => ("found", None),
        ChangeWhat::Enrol(new) => ("enrol", Some(new.person.clone())),
        ChangeWhat::AddKey { officer, .. } => ("add-key", Some(person(officer))),
        ChangeWhat::RevokeKey { officer, .. } => ("revoke-key", Some(person(officer))),
        ChangeWhat::Retire { officer, .. } => ("retire", Some(person(officer))),
    };
    Ok(RegistryChanged {
        number: change.sequence,
        what: text(what)?,
        officer,
        document: change.digest()?,
        approvals: approvals.iter().map(approved).collect::<Result<_, _>>()?,
        console: pages(console),
    }
    .into())
}

struct Recorded<'a> {
    history: &'a [Event],
    side: Side,
    documents: &'a Documents,
    console: &'a RelyingParty,
}

impl<'a> Recorded<'a> {
    fn request(&self) -> Result<&'a DetailRequest, Refused> {
        let asked = self.history.iter().find_map(|event| match &event.what {
            What::Requested(requested) => Some(&requested.request),
            _ => None,
        });
        asked.ok_or_else(|| MALFORMED.at("history"))
    }

    fn step(&self, event: &Event, exchange: CaseId) -> Result<CaseStep, Refused> {
        Ok(CaseStep {
            exchange,
            case: event.case,
            side: self.side,
            step: event.step,
            digest: event.digest()?,
        })
    }

    fn private(&self, event: &Event) -> Result<LedgerEvent, Refused> {
        let hit = self.history.iter().find_map(|event| match &event.what {
            What::Hit(hit) => Some(hit),
            _ => None,
        });
        let exchange = hit.ok_or_else(|| MALFORMED.at("history"))?.exchange;
        Ok(HitStep {
            step: self.step(event, exchange)?,
            by: actor(event),
            what: text(event.what.name())?,
        }
        .into())
    }

    fn asked(&self, event: &Event, request: &DetailRequest) -> Result<LedgerEvent, Refused> {
        Ok(DetailRequested {
            step: self.step(event, request.exchange)?,
            by: Some(request.by.clone()),
            ordered_by: Some(request.ordered_by.clone()),
            partner: partner(request, self.side),
            stated: stated(request),
            case_reference: None,
            request: request.digest()?,
        }
        .into())
    }

    fn other(&self, event: &Event, request: &DetailRequest) -> Result<LedgerEvent, Refused> {
        Ok(DetailStep {
            step: self.step(event, request.exchange)?,
            by: actor(event),
            what: text(event.what.name())?,
            outcome: match &event.what {
                What::Decided(stated) => Some(outcome(stated.result)),
                _ => None,
            },
            request: request.digest()?,
        }
        .into())
    }

    fn decision(&self, digest: &concordat_ledger::Digest) -> Result<&'a Decision, Refused> {
        let decision = self.documents.decision(digest);
        decision.ok_or_else(|| DOCUMENT_MISSING.at("decision"))
    }

    /// The decision of the step that decided, which the requester has now that it opened the release.
    fn opened(&self, request: &DetailRequest, before: &[Event]) -> Result<LedgerEvent, Refused> {
        let place = before
            .iter()
            .rposition(|event| matches!(event.what, What::Decided(_)));
        let place = place.ok_or_else(|| MALFORMED.at("history"))?;
        self.decided(&before[place], request, &before[..place])
    }

    fn decided(
        &self,
        event: &Event,
        request: &DetailRequest,
        before: &[Event],
    ) -> Result<LedgerEvent, Refused> {
        let What::Decided(stated_as) = &event.what else {
            return Err(MALFORMED.at("what"));
        };
        let decision = self.decision(&stated_as.decision)?;
        // Those since it was drawn up: what was approved before it was reconsidered counts no more.
        let proposed = before
            .iter()
            .rposition(|event| matches!(event.what, What::Proposed(_)));
        let since = proposed.map_or(before, |place| &before[place..]);
        let approvals = since.iter().filter_map(|event| match &event.what {
            What::Approved(digest) => Some((digest, &event.by)),
            _ => None,
        });
        let approvals = approvals.map(|(digest, by)| {
            let approval = self.documents.approval(digest);
            let approval = approval.ok_or_else(|| DOCUMENT_MISSING.at("approval"))?;
            let mut approved = approved(approval)?;
            if let Some(by) = by.as_ref().filter(|by| by.id == approval.officer) {
                approved.by = by.clone();
            }
            Ok(approved)
        });
        Ok(concordat_ledger::Decision {
            step: self.step(event, request.exchange)?,
            by: decision.by.clone(),
            partner: partner(request, self.side),
            outcome: outcome(stated_as.result),
            stated: stated(request),
            ground: match &decision.verdict {
                Verdict::Refused(refusal) => Some(code(&refusal.ground)?),
                _ => None,
            },
            request: request.digest()?,
            document: stated_as.decision,
            approvals: approvals.collect::<Result<_, Refused>>()?,
            console: pages(self.console),
        }
        .into())
    }
}

fn outcome(result: Decided) -> Outcome {
    match result {
        Decided::Approved => Outcome::Released,
        Decided::Partial => Outcome::Partly,
        Decided::Refused => Outcome::Refused,
    }
}

fn partner(request: &DetailRequest, side: Side) -> Text {
    match side {
        Side::Requester => request.owner.clone(),
        Side::Owner => request.requester.clone(),
    }
}

fn stated(request: &DetailRequest) -> Stated {
    Stated {
        purpose: request.purpose.clone(),
        legal_basis: request.legal_basis.clone(),
    }
}

fn actor(event: &Event) -> Actor {
    event.by.clone().map_or(Actor::Node, Actor::Person)
}

fn person(id: &Text) -> Person {
    Person {
        id: id.clone(),
        unit: None,
    }
}

fn approved(approval: &Approval) -> Result<Approved, Refused> {
    Ok(Approved {
        by: person(&approval.officer),
        approval: approval.encode()?,
    })
}

fn pages(console: &RelyingParty) -> Console {
    Console {
        id: console.id.clone(),
        origins: console.origins.iter().cloned().collect(),
    }
}

fn text(text: impl std::fmt::Display) -> Result<Text, Refused> {
    Text::new(text.to_string()).map_err(|_| MALFORMED.refused())
}

/// A code as documents write it.
fn code(code: &impl serde::Serialize) -> Result<Text, Refused> {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => text(name),
        _ => Err(MALFORMED.refused()),
    }
}
