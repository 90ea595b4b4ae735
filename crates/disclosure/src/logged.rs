//! Steps as the ledger records them.

use concordat_ledger::{Actor, DetailRequested, DetailStep, Event as LedgerEvent, Side, Stated, Text};

use crate::document::Document;
use crate::event::{Event, What};
use crate::request::DetailRequest;
use crate::rule::{MALFORMED, Refused};

/// The ledger's entry for a step: the step's name and digest, never its texts. Given for every step of the shared history; the same
/// exchange and step number join the two sides' entries.
///
/// # Errors
/// [`MALFORMED`] for a private step: those are logged with the query. As [`Document::digest`].
pub fn ledger_event(event: &Event, side: Side, request: &DetailRequest) -> Result<LedgerEvent, Refused> {
    MALFORMED.unless_at("what", !event.what.is_private())?;
    if let What::Requested(requested) = &event.what {
        return asked(&requested.request, side);
    }
    let what = format!("{} {}", event.what.name(), event.digest()?);
    Ok(DetailStep {
        exchange: request.exchange,
        side,
        step: event.step,
        by: event.by.clone().map_or(Actor::Node, Actor::Person),
        what: Text::new(what).map_err(|_| MALFORMED.at("what"))?,
        request: request.digest()?,
    }
    .into())
}

fn asked(request: &DetailRequest, side: Side) -> Result<LedgerEvent, Refused> {
    let partner = match side {
        Side::Requester => &request.owner,
        Side::Owner => &request.requester,
    };
    Ok(DetailRequested {
        exchange: request.exchange,
        side,
        by: Some(request.by.clone()),
        ordered_by: Some(request.ordered_by.clone()),
        partner: partner.clone(),
        stated: Stated {
            purpose: request.purpose.clone(),
            legal_basis: request.legal_basis.clone(),
        },
        case_reference: None,
        request: request.digest()?,
    }
    .into())
}
