//! Partners' scopes: the pinned key and the snapshot we hold of each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use concordat_oprf::{Client, PublicKey};
use concordat_store::{ScopeId, ScopeRole, ScopeStatus};
use concordat_tagset::{Seen, SignedManifest, Snapshot};
use concordat_wire::{Fault, Reason};

use crate::agreement::{Agreement, Offer};
use crate::book::store_fault;
use crate::chunk::{CanarySeeds, Tag};
use crate::exchange::Contains;
use crate::state::State;

/// A scope in which we ask.
pub struct HeldScope {
    /// Its row.
    pub scope: ScopeId,
    /// Its epoch.
    pub epoch: u32,
    /// Trusts the pinned key.
    pub client: Client,
    /// Folder of its segments.
    pub folder: PathBuf,
    /// One fetch at a time.
    pub fetching: tokio::sync::Mutex<()>,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
}

impl HeldScope {
    /// The newest snapshot that was verified and installed.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a newer snapshot into use.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }
}

/// What a query needs of a snapshot.
pub fn lookup_of(snapshot: &Arc<Snapshot>) -> Option<(CanarySeeds, Contains)> {
    let layers = snapshot
        .manifest()
        .canaries()
        .map(|layer| (layer.seed, u32::from(layer.count)))
        .collect();
    let canaries = CanarySeeds::new(layers)?;
    let snapshot = Arc::clone(snapshot);
    let contains = move |tags: &[Tag]| {
        snapshot.contains_many(tags).map_err(|error| {
            tracing::error!(%error, "looking tags up failed");
            error.to_string()
        })
    };
    Some((canaries, Arc::new(contains)))
}

/// All scopes in which we ask, as far as they were needed.
#[derive(Default)]
pub struct HeldScopes(Mutex<HashMap<(String, String, u32), Arc<HeldScope>>>);

impl HeldScopes {
    /// A scope whose key has been pinned before, with the snapshot installed last; `None` if there is none yet.
    ///
    /// # Errors
    /// The database, or what is on disk is damaged.
    pub async fn get(
        &self,
        state: &State,
        (agreement, offer, epoch): (&Agreement, &Offer, u32),
    ) -> Result<Option<Arc<HeldScope>>, Fault> {
        let name = (agreement.id.clone(), offer.id.clone(), epoch);
        if let Some(scope) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Some(Arc::clone(scope)));
        }
        let kept = state
            .store
            .scope_of_epoch(&agreement.id, &offer.id, epoch, ScopeRole::Requester)
            .await
            .map_err(|error| store_fault(&error))?;
        let Some(kept) = kept.filter(|kept| kept.status != ScopeStatus::Destroyed) else {
            return Ok(None);
        };
        let key = PublicKey::from_bytes(&kept.public_key)
            .map_err(|_| Fault::new(Reason::DataLoss, "NODE-002", "a stored public key is damaged"))?;
        let folder = folder(state, "held", agreement, offer, epoch);
        let snapshot = open(
            state,
            (agreement, offer, epoch),
            kept.id,
            kept.public_key,
            &folder,
        )
        .await?;
        let scope = Arc::new(HeldScope {
            scope: kept.id,
            epoch,
            client: Client::new(key),
            folder,
            fetching: tokio::sync::Mutex::default(),
            snapshot: RwLock::new(snapshot),
        });
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(Arc::clone(scopes.entry(name).or_insert(scope))))
    }

    /// Drops a scope from memory.
    pub fn forget(&self, agreement: &str, offer: &str, epoch: u32) {
        let name = (agreement.to_owned(), offer.to_owned(), epoch);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&name);
    }
}

/// Opens and verifies the snapshot installed last.
async fn open(
    state: &State,
    (agreement, offer, epoch): (&Agreement, &Offer, u32),
    scope: ScopeId,
    public_key: [u8; 32],
    folder: &std::path::Path,
) -> Result<Option<Arc<Snapshot>>, Fault> {
    let kept = state
        .store
        .latest_held(scope)
        .await
        .map_err(|error| store_fault(&error))?;
    let Some(kept) = kept else { return Ok(None) };
    let tag_scope = tag_scope(agreement, offer, epoch, public_key);
    let owner = owner_key(agreement, offer)?;
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let signed = SignedManifest::verify(kept.manifest.as_bytes(), &owner, &tag_scope)?;
        let seen: Seen = signed.seen();
        // The folder may be one step ahead of the database after a crash, never behind it.
        Snapshot::open(&folder, &owner, &tag_scope, Some(seen))
    })
    .await
    .map_err(|_| Fault::internal("opening a snapshot"))?;
    match opened {
        Ok(snapshot) => Ok(snapshot.map(Arc::new)),
        Err(error) => {
            // Fetched again at the next poll; until then verdicts are UNKNOWN.
            tracing::error!(%error, agreement = agreement.id, offer = offer.id, "a held snapshot cannot be used");
            Ok(None)
        }
    }
}

/// What a manifest of this scope must say.
pub fn tag_scope(
    agreement: &Agreement,
    offer: &Offer,
    epoch: u32,
    public_key: [u8; 32],
) -> concordat_tagset::Scope {
    concordat_tagset::Scope {
        agreement: agreement.id.clone(),
        offer: offer.id.clone(),
        epoch: u64::from(epoch),
        owner: offer.owner.clone(),
        requester: offer.requester.clone(),
        profile: concordat_identifiers::PROFILE.to_owned(),
        profile_fingerprint: concordat_identifiers::profile_fingerprint(),
        public_key,
    }
}

/// The identity that signs an offer's snapshots.
pub fn owner_key(agreement: &Agreement, offer: &Offer) -> Result<concordat_note::VerifierKey, Fault> {
    let owner = agreement.parties.iter().find(|party| party.id == offer.owner);
    Ok(owner
        .ok_or_else(|| Fault::internal("an offer's owner is a party"))?
        .identity
        .clone())
}

/// Where a scope's segments are. Every part is an id of letters, digits, `-` and `.` that starts with a letter or
/// digit, so it names one folder.
pub fn folder(state: &State, role: &str, agreement: &Agreement, offer: &Offer, epoch: u32) -> PathBuf {
    let segments = state.config.node.data_dir.join("segments").join(role);
    segments
        .join(&agreement.id)
        .join(&offer.id)
        .join(epoch.to_string())
}
