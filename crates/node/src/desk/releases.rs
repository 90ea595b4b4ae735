//! Releases: sealed and sent by the owner, opened by the people whom the request names, taken back.

use std::sync::Arc;

use concordat_disclosure::release::{self, Opened};
use concordat_disclosure::{AnyCase, Case, CaseId, Document, ReleasedTo, Step, What, Words, rule};
use concordat_ledger::Person;
use concordat_note::VerifierKey;
use concordat_store::CaseDocument;
use concordat_wire::Fault;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::act::{Taken, new_document, recalled};
use super::keep::Also;
use super::load::{Loaded, kind};
use super::{refused, refused_as};
use crate::partner::disclosure_key;
use crate::state::State;

/// Seals what was decided to the requester's key.
pub(super) async fn release(state: &Arc<State>, loaded: &Loaded, step: &Step) -> Result<Taken, Fault> {
    let to = disclosure_key(state, &loaded.terms.entry).await?;
    let (world, key) = (loaded.world(), &state.identity.signing);
    let mut rng = state.entropy.rng();
    let sealed = match &loaded.case {
        AnyCase::Approved(case) => release::seal(case, &world, step.at, &to, key, &mut rng),
        AnyCase::Partial(case) => release::seal(case, &world, step.at, &to, key, &mut rng),
        _ => return Err(refused_as(rule::WRONG_STATE)),
    };
    let (sealed, released) = sealed.map_err(refused)?;
    Ok(Taken {
        also: Also {
            documents: vec![new_document(kind::RELEASE, &sealed)?],
            ..Also::default()
        },
        what: What::Released(released),
        documents: loaded.documents.clone(),
    })
}

/// Opens the release, verifies everything in it, and answers with a signed receipt.
pub(super) async fn open(state: &Arc<State>, loaded: &Loaded, step: &Step) -> Result<Taken, Fault> {
    let AnyCase::Released(case) = &loaded.case else {
        return Err(refused_as(rule::WRONG_STATE));
    };
    let reader = step.by.as_ref().ok_or_else(|| refused_as(rule::NEEDS_PERSON))?;
    let opened = opened(state, loaded, case, reader)?;
    let receipt = opened
        .receipt(step.at, &state.identity.signing)
        .map_err(refused)?;
    let mut documents = loaded.documents.clone();
    let mut kept = vec![
        new_document(kind::DECISION, opened.decision())?,
        statement(receipt),
    ];
    documents
        .add_decision(opened.decision().clone())
        .map_err(refused)?;
    for approval in opened.approvals() {
        kept.push(new_document(kind::APPROVAL, approval)?);
        documents.add_approval(approval.clone()).map_err(refused)?;
    }
    Ok(Taken {
        what: What::Received(opened.digest()),
        also: Also {
            documents: kept,
            ..Also::default()
        },
        documents,
    })
}

fn opened(state: &State, loaded: &Loaded, case: &Case<ReleasedTo>, reader: &Person) -> Result<Opened, Fault> {
    let sealed = loaded
        .release()?
        .ok_or_else(|| refused_as(rule::DOCUMENT_MISSING))?;
    let key = &state.identity.disclosure;
    release::open(case, &loaded.world(), &sealed, key, owner(state, loaded)?, reader).map_err(refused)
}

fn owner<'a>(state: &State, loaded: &'a Loaded) -> Result<&'a VerifierKey, Fault> {
    let owner = loaded.terms.entry.agreement.partner_of(state.us());
    Ok(&owner.ok_or_else(|| refused_as(rule::OTHER_AGREEMENT))?.identity)
}

/// Takes a release back.
pub(super) fn recall(
    state: &State,
    loaded: &Loaded,
    step: &Step,
    reason: Words,
    corrected_in: Option<CaseId>,
) -> Result<Taken, Fault> {
    let sealed = loaded.release()?.ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    let note = sealed.recall(step.at, &state.identity.signing).map_err(refused)?;
    let package = sealed.digest().map_err(refused)?;
    Ok(Taken {
        what: recalled(package, reason, corrected_in),
        also: Also {
            documents: vec![statement(note)],
            ..Also::default()
        },
        documents: loaded.documents.clone(),
    })
}

/// States that what was released is gone, and destroys it here.
pub(super) async fn confirm_recall(state: &Arc<State>, loaded: &Loaded, step: &Step) -> Result<Taken, Fault> {
    let sealed = loaded.release()?.ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    let done = sealed
        .recall_done(step.at, owner(state, loaded)?, &state.identity.signing)
        .map_err(refused)?;
    Ok(Taken {
        what: What::RecallConfirmed,
        also: Also {
            documents: vec![statement(done)],
            forget: released_documents(loaded),
            ..Also::default()
        },
        documents: loaded.documents.clone(),
    })
}

/// What the requester's side holds of a release.
pub(super) fn released_documents(loaded: &Loaded) -> Vec<[u8; 32]> {
    let held = [kind::DECISION, kind::RELEASE];
    let held = loaded
        .kept
        .iter()
        .filter(|kept| held.contains(&kept.kind.as_str()));
    held.map(|kept| kept.digest).collect()
}

/// A node's statement as a document.
pub(super) fn statement(note: String) -> CaseDocument {
    CaseDocument {
        digest: Sha256::digest(&note).into(),
        kind: kind::STATEMENT.to_owned(),
        document: Zeroizing::new(note),
    }
}
