//! The key pair of each scope: drawn fresh for its epoch by the owner, pinned by a signed statement, destroyed after.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concordat_ledger::{Actor, KeyChange, KeyChanged, Scope};
use concordat_note::{Limits, Note, Policy};
use concordat_oprf::{KeyPair, PublicKey};
use concordat_store::{NewScope, NewScopeRole, ScopeId, ScopeRole, ScopeStatus, StoreError};
use concordat_wire::{Fault, PROTOCOL, Reason, SUITE};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::agreement::{Agreement, Offer};
use crate::book::store_fault;
use crate::ledger;
use crate::state::State;

/// First line of a key statement.
const MARKER: &str = "concordat/v1/scope-key";
/// The rule that refuses what needs a key that is destroyed.
pub(crate) const KEY_DESTROYED: &str = "AGR-114";
const LIMITS: Limits = Limits {
    max_bytes: 4_096,
    max_signatures: 4,
};

/// A scope whose secret key we hold.
pub struct OwnKey {
    /// Its row.
    pub scope: ScopeId,
    /// The key.
    pub pair: KeyPair,
    /// The statement that pins its public half.
    pub note: String,
}

/// The keys of scopes we own, read once and kept in memory while their epoch lasts.
#[derive(Default)]
pub struct OwnKeys(Mutex<HashMap<(String, String, u32), Arc<OwnKey>>>);

impl OwnKeys {
    /// The key of an epoch; made if the epoch has begun and has none yet.
    ///
    /// # Errors
    /// The key was destroyed, or the database failed.
    pub async fn get(
        &self,
        state: &State,
        (agreement, offer, epoch): (&Agreement, &Offer, u32),
    ) -> Result<Arc<OwnKey>, Fault> {
        let store = &state.store;
        let name = (agreement.id.clone(), offer.id.clone(), epoch);
        if let Some(key) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Arc::clone(key));
        }
        let kept = store
            .scope_of_epoch(&agreement.id, &offer.id, epoch, ScopeRole::Owner)
            .await
            .map_err(|error| store_fault(&error))?;
        let info = key_info(agreement, offer, epoch);
        let derive = |seed: &[u8; 32]| {
            KeyPair::derive(seed, &info)
                .map_err(|error| Fault::internal(format!("deriving a scope key: {error}")))
        };
        let key = match kept {
            Some(scope) if scope.status == ScopeStatus::Destroyed => {
                return Err(Fault::new(
                    Reason::NotPermitted,
                    KEY_DESTROYED,
                    "the key of this epoch was destroyed",
                ));
            }
            Some(scope) => {
                let seed = store
                    .scope_seed(scope.id)
                    .await
                    .map_err(|error| store_fault(&error))?;
                OwnKey {
                    scope: scope.id,
                    pair: derive(&seed)?,
                    note: scope.key_note,
                }
            }
            None => {
                let seed = state.entropy.seed();
                let pair = derive(&seed)?;
                let public_key = *pair.public_key().as_bytes();
                let text = statement(agreement, offer, epoch, &public_key);
                let note = Note::sign(&text, &[&state.identity.signing])
                    .map_err(|error| Fault::internal(format!("signing a key statement: {error}")))?
                    .to_string();
                let new = new_scope(
                    (agreement, offer, epoch),
                    NewScopeRole::Owner { seed },
                    public_key,
                    &note,
                );
                let entry = state.entry(changed(
                    OURS,
                    ledger::scope(agreement, offer, epoch),
                    &public_key,
                    KeyChange::Created,
                ))?;
                match store.recording(entry).create_scope(&new, state.now_ms()).await {
                    Ok(scope) => {
                        tracing::info!(
                            agreement = agreement.id,
                            offer = offer.id,
                            epoch,
                            "made a scope key"
                        );
                        OwnKey { scope, pair, note }
                    }
                    // Two at once: the other one's key counts.
                    Err(StoreError::AlreadyExists { .. }) => {
                        return Box::pin(self.get(state, (agreement, offer, epoch))).await;
                    }
                    Err(error) => return Err(store_fault(&error)),
                }
            }
        };
        let key = Arc::new(key);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&key));
        Ok(key)
    }

    /// Drops a key from memory.
    pub fn forget(&self, agreement: &str, offer: &str, epoch: u32) {
        let name = (agreement.to_owned(), offer.to_owned(), epoch);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&name);
    }
}

/// A scope's key is ours.
pub const OURS: &str = "scope";
/// A scope's key is the partner's.
pub const THEIRS: &str = "partner's scope";

/// What became of a scope's key, for the ledger. The node does all of it by itself.
pub fn changed(what: &str, scope: Scope, public_key: &[u8; 32], change: KeyChange) -> KeyChanged {
    KeyChanged {
        by: Actor::Node,
        what: ledger::text(what),
        scope: Some(scope),
        public_key: Some(ledger::digest(Sha256::digest(public_key).into())),
        fingerprint: None,
        change,
    }
}

/// `info` of `DeriveKeyPair` (RFC 9497 §3.2.1): every part with its length in two bytes.
fn key_info(agreement: &Agreement, offer: &Offer, epoch: u32) -> Vec<u8> {
    let epoch = epoch.to_be_bytes();
    let parts: [&[u8]; 6] = [
        PROTOCOL.as_bytes(),
        agreement.id.as_bytes(),
        offer.owner.as_bytes(),
        offer.requester.as_bytes(),
        offer.id.as_bytes(),
        &epoch,
    ];
    let mut info = Vec::new();
    for part in parts {
        // Ids have at most 64 bytes.
        info.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        info.extend_from_slice(part);
    }
    info
}

/// The whole text of a key statement: both sides can write it, so a requester compares it byte for byte.
fn statement(agreement: &Agreement, offer: &Offer, epoch: u32, public_key: &[u8; 32]) -> String {
    let (start, end) = agreement.epoch_bounds(epoch);
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    format!(
        "{MARKER}\nagreement {}\nagreement-digest {}\noffer {}\nepoch {epoch}\nowner {}\nrequester {}\nsuite {SUITE}\n\
         public-key {}\nnot-before {}\nnot-after {}\n",
        agreement.id,
        hex::encode(agreement.digest),
        offer.id,
        offer.owner,
        offer.requester,
        hex::encode(public_key),
        time(start),
        time(end),
    )
}

/// Checks an owner's key statement: signed by the owner's identity, and word for word what it must say of this scope.
///
/// # Errors
/// The partner is to blame: `PEER-010`.
pub fn verify_statement(
    agreement: &Agreement,
    offer: &Offer,
    epoch: u32,
    note: &str,
) -> Result<PublicKey, Fault> {
    let wrong = |reason: String| {
        Fault::new(
            Reason::NotPermitted,
            "PEER-010",
            format!("key statement: {reason}"),
        )
    };
    let owner = agreement
        .parties
        .iter()
        .find(|party| party.id == offer.owner)
        .ok_or_else(|| wrong("the owner is not a party".into()))?;
    let note = Note::parse(note.as_bytes(), LIMITS).map_err(|error| wrong(error.to_string()))?;
    let keys = [owner.identity.clone()];
    let opened = note
        .open(&keys, Policy::All)
        .map_err(|error| wrong(error.to_string()))?;
    let mut bytes = [0; 32];
    let key = opened
        .text
        .lines()
        .find_map(|line| line.strip_prefix("public-key "));
    key.and_then(|key| hex::decode_to_slice(key, &mut bytes).ok())
        .ok_or_else(|| wrong("it states no public key".into()))?;
    if opened.text != statement(agreement, offer, epoch, &bytes) {
        return Err(wrong("it is about another scope".into()));
    }
    PublicKey::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))
}

/// A scope row for either side.
pub fn new_scope(
    (agreement, offer, epoch): (&Agreement, &Offer, u32),
    role: NewScopeRole,
    public_key: [u8; 32],
    note: &str,
) -> NewScope {
    let (start, end) = agreement.epoch_bounds(epoch);
    NewScope {
        agreement_id: agreement.id.clone(),
        offer_id: offer.id.clone(),
        epoch,
        role,
        public_key,
        key_note: note.to_owned(),
        not_before_ms: start.saturating_mul(1_000),
        not_after_ms: end.saturating_add(agreement.grace_s()).saturating_mul(1_000),
    }
}
