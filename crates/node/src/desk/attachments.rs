//! Attachments: sealed in parts as they are read, opened when all parts are here.

use std::sync::Arc;

use concordat_disclosure::{AttachmentKey, CaseId, Manifest, PART_BYTES, Words, rule, seal_part};
use concordat_ledger::{Hex, Text};
use concordat_store::PartName;
use concordat_wire::{Fault, Reason};
use sha2::{Digest, Sha256};

use super::load::load;
use super::{Who, no_such_case, refused, refused_as, stored};
use crate::state::State;

/// Seals a file for the other desk and keeps its parts. It is sent along; a message then names it.
///
/// # Errors
/// Empty, or larger than 50 MiB; no case with a request.
pub async fn attach(
    state: &Arc<State>,
    who: &Who,
    id: CaseId,
    (name, media_type): (Words, Text),
    bytes: &[u8],
) -> Result<Manifest, Fault> {
    let loaded = load(state, id).await?;
    may_work(state, &loaded, who)?;
    loaded
        .case
        .request()
        .ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    let length = bytes.len() as u64;
    Manifest::count(length).map_err(refused)?;
    let (attachment, seed) = (Hex(state.entropy.bytes()), state.entropy.seed());
    let key = AttachmentKey::new(&seed);
    let mut parts = Vec::new();
    for (number, text) in (0..).zip(bytes.chunks(PART_BYTES)) {
        let sealed = seal_part(&attachment, &key, length, number, text).map_err(refused)?;
        let digest: [u8; 32] = Sha256::digest(&sealed).into();
        state
            .store
            .put_part(&id.0, part(attachment, number), &digest, &sealed, true)
            .await
            .map_err(|error| stored(&error))?;
        parts.push(Hex(digest));
    }
    state.desk.waiting.notify_one();
    let manifest = Manifest {
        id: attachment,
        key,
        name,
        media_type,
        bytes: length,
        sha256: Hex(Sha256::digest(bytes).into()),
        parts,
    };
    manifest.check().map_err(refused)?;
    Ok(manifest)
}

/// A file that a message names, opened and verified.
///
/// # Errors
/// No message of the case names it; parts have not arrived yet (`DESK-016`); a part is damaged.
pub async fn fetch(
    state: &Arc<State>,
    who: &Who,
    id: CaseId,
    attachment: Hex<16>,
) -> Result<(Manifest, Vec<u8>), Fault> {
    let loaded = load(state, id).await?;
    may_work(state, &loaded, who)?;
    let messages = loaded.messages()?;
    let manifests = messages.into_iter().flat_map(|message| message.attachments);
    let manifest = manifests.into_iter().find(|manifest| manifest.id == attachment);
    let manifest = manifest.ok_or_else(no_such_case)?;
    let mut opened = Vec::with_capacity(usize::try_from(manifest.bytes).unwrap_or(0));
    for (number, _) in (0..).zip(&manifest.parts) {
        let sealed = state
            .store
            .part(&id.0, part(attachment, number))
            .await
            .map_err(|error| stored(&error))?;
        let sealed = sealed.ok_or_else(|| {
            Fault::new(
                Reason::Unavailable,
                "DESK-016",
                "parts of the attachment are still on their way: try again in a moment",
            )
        })?;
        opened.extend(manifest.open_part(number, &sealed).map_err(refused)?);
    }
    if Hex(Sha256::digest(&opened).into()) != manifest.sha256 {
        return Err(refused_as(rule::ATTACHMENT_CHUNK));
    }
    Ok((manifest, opened))
}

fn part(attachment: Hex<16>, part: u32) -> PartName {
    PartName {
        attachment: attachment.0,
        part,
    }
}

/// Only the desk works on cases; auditors and administrators read no attachments.
fn may_work(state: &State, loaded: &super::load::Loaded, who: &Who) -> Result<(), Fault> {
    let desk = concordat_disclosure::Role::ANY_DESK;
    let may = loaded.terms.registry.may(&who.person.id, desk, state.clock.now());
    if may { Ok(()) } else { Err(refused_as(rule::ROLE)) }
}
