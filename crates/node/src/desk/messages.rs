//! Messages between the two desks.

use std::sync::Arc;

use concordat_disclosure::{Message, Step, What, rule};
use concordat_ledger::{Digest, Hex};
use concordat_wire::Fault;

use super::act::{Saying, Taken, new_document};
use super::keep::Also;
use super::load::{Loaded, kind};
use super::{refused, refused_as};
use crate::partner::disclosure_key;
use crate::state::State;

/// A message of ours, sealed for the other desk; `what` makes the step that carries its digest.
pub(super) async fn say(
    state: &Arc<State>,
    loaded: &Loaded,
    step: &Step,
    saying: Saying,
    what: impl FnOnce(Digest) -> What,
) -> Result<Taken, Fault> {
    // Before a request there is nobody to talk to.
    loaded
        .case
        .request()
        .ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    let message = Message {
        case: loaded.id(),
        id: Hex(state.entropy.bytes()),
        answers: saying.answers,
        side: loaded.side,
        by: step.by.clone().ok_or_else(|| refused_as(rule::NEEDS_PERSON))?,
        at: step.at,
        text: saying.text,
        attachments: saying.attachments,
    };
    let to = disclosure_key(state, &loaded.terms.entry).await?;
    let sealed = message.seal(&to, &mut state.entropy.rng()).map_err(refused)?;
    let sealed_document = new_document(kind::SEALED_MESSAGE, &sealed)?;
    Ok(Taken {
        what: what(sealed.name().map_err(refused)?),
        also: Also {
            documents: vec![sealed_document, new_document(kind::MESSAGE, &message)?],
            ..Also::default()
        },
        documents: loaded.documents.clone(),
    })
}
