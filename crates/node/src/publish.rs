//! Publishing: our lists' identifiers become tags under a scope's key, the tags a padded, signed snapshot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use concordat_identifiers::canary;
use concordat_ledger::SnapshotPublished;
use concordat_oprf::Output;
use concordat_store::{BlindIndex, IndexedIdentifier, KeptTag, Selection, StoreError};
use concordat_tagset::{
    Base, Delta, DeltaBuilder, Error as TagsetError, Manifest, Options, Padding, Predecessor, SignedManifest,
    Snapshot, SnapshotBuilder, collect_garbage, forget_installed,
};
use concordat_wire::{Fault, Reason};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::agreement::{Agreement, Offer};
use crate::book::{Entry, store_fault};
use crate::chunk::Tag;
use crate::compute::Priority;
use crate::held::{folder, owner_key, tag_scope};
use crate::keys::OwnKey;
use crate::ledger;
use crate::rows::identifier_of;
use crate::state::State;

/// Known-present identifiers per layer of a snapshot.
const CANARIES: u32 = 16;
/// Identifiers read from the store at once.
const PAGE: u32 = 4_096;
/// So many deltas are merged into the base when the next one comes.
const MERGE_AT: usize = 8;

/// The snapshots we serve, opened once.
#[derive(Default)]
pub struct ServedScopes(Mutex<HashMap<(String, String, u32), Arc<Snapshot>>>);

impl ServedScopes {
    fn get(&self, name: &(String, String, u32)) -> Option<Arc<Snapshot>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Keeps a snapshot unless a newer one is kept.
    fn put(&self, name: (String, String, u32), snapshot: Arc<Snapshot>) {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = scopes.entry(name).or_insert_with(|| Arc::clone(&snapshot));
        if kept.manifest().version < snapshot.manifest().version {
            *kept = snapshot;
        }
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

/// The newest snapshot of a scope that we serve, verified as a partner would.
///
/// # Errors
/// The database, or a file of it is damaged.
pub async fn served(state: &State, scope: (&Agreement, &Offer, u32)) -> Result<Option<Arc<Snapshot>>, Fault> {
    open_served(state, scope).await.map_err(Trouble::into_fault)
}

async fn open_served(
    state: &State,
    (agreement, offer, epoch): (&Agreement, &Offer, u32),
) -> Result<Option<Arc<Snapshot>>, Trouble> {
    let name = (agreement.id.clone(), offer.id.clone(), epoch);
    if let Some(snapshot) = state.served.get(&name) {
        return Ok(Some(snapshot));
    }
    let scope = state
        .store
        .scope_of_epoch(&agreement.id, &offer.id, epoch, concordat_store::ScopeRole::Owner)
        .await?;
    let Some(scope) = scope else { return Ok(None) };
    let expected = tag_scope(agreement, offer, epoch, scope.public_key);
    let owner = owner_key(agreement, offer)?;
    loop {
        let Some(latest) = state.store.latest_served(scope.id).await? else {
            return Ok(None);
        };
        let (expected, owner) = (expected.clone(), owner.clone());
        let folder = folder(state, "served", agreement, offer, epoch);
        let version = latest.version;
        let snapshot = blocking(move || {
            let signed = SignedManifest::verify(latest.manifest.as_bytes(), &owner, &expected)?;
            Snapshot::install(&folder, signed, None)
        })
        .await?;
        let snapshot = Arc::new(snapshot);
        state.served.put(name.clone(), Arc::clone(&snapshot));
        // Another version may have been published since: the database has the last word.
        let latest = state.store.latest_served(scope.id).await?;
        if latest.is_some_and(|latest| latest.version == version) {
            return Ok(Some(snapshot));
        }
        state.served.forget(&agreement.id, &offer.id, epoch);
    }
}

/// Whether an offer's snapshot should be published: there is none of this epoch that can be used, it does not show the
/// offer's lists as they are, or it has lived half of its `max_age`.
///
/// # Errors
/// A list of the offer does not exist, or the database.
pub async fn is_due(state: &State, scope: (&Agreement, &Offer, u32)) -> Result<bool, Fault> {
    let (agreement, offer, epoch) = scope;
    let selection = selection(state, offer).await?;
    let Ok(Some(snapshot)) = served(state, scope).await else {
        // Publishing again makes whole what is damaged.
        return Ok(true);
    };
    let half_of_life = i64::try_from(offer.max_age_s / 2).unwrap_or(i64::MAX);
    let age = state.clock.now().as_second() - snapshot.manifest().as_of.as_second();
    if age >= half_of_life {
        return Ok(true);
    }
    let kept = state
        .store
        .scope_of_epoch(&agreement.id, &offer.id, epoch, concordat_store::ScopeRole::Owner)
        .await
        .map_err(|error| store_fault(&error))?;
    let Some(kept) = kept else { return Ok(true) };
    let shown = state.store.shows_lists_as_they_are(kept.id, &selection).await;
    shown.map(|shown| !shown).map_err(|error| store_fault(&error))
}

/// What a publication did.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its version.
    pub version: u64,
    /// Distinct identifiers in it.
    pub identifiers: u64,
    /// Of which evaluated now.
    pub evaluated: u64,
}

/// Publishes the next version of one offer's snapshot. `progress` hears of identifiers as they are done.
///
/// # Errors
/// A list of the offer does not exist, another publication of the scope runs, or disk or database fail. What is
/// served stays as it was.
pub async fn publish(
    state: &State,
    entry: &Entry,
    offer: &Offer,
    epoch: u32,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Published, Fault> {
    let mut plan = Plan::Delta;
    loop {
        plan = match (attempt(state, entry, offer, epoch, progress, plan).await, plan) {
            (Ok(published), _) => return Ok(published),
            // More was added than padding could give way: the set moves to its next size class with a new base.
            (Err(Trouble::PaddingExhausted), Plan::Delta) => Plan::NewBase,
            (Err(Trouble::Damaged(error)), Plan::Delta | Plan::NewBase) => {
                tracing::error!(
                    agreement = entry.agreement.id,
                    offer = offer.id,
                    epoch,
                    %error,
                    "the snapshot that is served is damaged: publishing it anew"
                );
                Plan::Anew
            }
            (Err(trouble), _) => return Err(trouble.into_fault()),
        };
    }
}

/// How the next version is made from what was published before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Changes on top of it.
    Delta,
    /// All tags again, with its padding.
    NewBase,
    /// All tags again; its files cannot be used.
    Anew,
}

enum Trouble {
    Fault(Fault),
    PaddingExhausted,
    /// Files of the snapshot that is served do not hold what was published, or are gone.
    Damaged(TagsetError),
}

impl Trouble {
    fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::PaddingExhausted => Fault::internal("a new base has no padding to run out of"),
            Self::Damaged(error) => tagset_fault(&error),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<TagsetError> for Trouble {
    fn from(error: TagsetError) -> Self {
        /// The system's word for a sector that cannot be read.
        const EIO: i32 = 5;
        match error {
            TagsetError::PaddingExhausted { .. } => Self::PaddingExhausted,
            TagsetError::Missing { .. }
            | TagsetError::Damaged { .. }
            | TagsetError::Malformed { .. }
            | TagsetError::Rollback { .. }
            | TagsetError::Fork { .. } => Self::Damaged(error),
            TagsetError::Io { ref source, .. } if source.raw_os_error() == Some(EIO) => Self::Damaged(error),
            error => Self::Fault(tagset_fault(&error)),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Fault(match error {
            StoreError::PublicationRunning { .. } => Fault::new(
                Reason::Precondition,
                "SNAP-011",
                "this offer is being published already: wait for that job",
            ),
            error => store_fault(&error),
        })
    }
}

async fn attempt(
    state: &State,
    entry: &Entry,
    offer: &Offer,
    epoch: u32,
    progress: &(dyn Fn(u64) + Send + Sync),
    plan: Plan,
) -> Result<Published, Trouble> {
    let agreement = &entry.agreement;
    let key = state.own_keys.get(state, (agreement, offer, epoch)).await?;
    let selection = selection(state, offer).await?;
    let as_of = state.clock.now();
    let mut publication = state.store.begin_publication(key.scope, selection).await?;
    let version = publication.version();
    // From here on nobody else publishes this scope. The changes below are those since the version before.
    let before = Some(version - 1).filter(|before| *before > 0);
    let current = match plan {
        Plan::Delta | Plan::NewBase => exactly(state, (agreement, offer, epoch), before).await?,
        Plan::Anew => {
            state.served.forget(&agreement.id, &offer.id, epoch);
            None
        }
    };
    let new_base = plan != Plan::Delta;
    let follows = match (before, &current) {
        (None, _) => Follows::Nothing,
        (Some(_), Some(current)) if new_base => Follows::WithNewBase(Arc::clone(current)),
        (Some(_), Some(current)) => Follows::WithDelta(Arc::clone(current)),
        (Some(_), None) => Follows::Lost,
    };
    let folder = folder(state, "served", agreement, offer, epoch);
    let canary_seed: [u8; 32] = state.entropy.bytes();
    let canaries = canary_tags(&key, &canary_seed)?;
    let mut padding = load_padding(state, &key, version, before).await?;
    let options = Options {
        memory_bytes: usize::try_from(state.config.snapshot.sort_memory_mib).unwrap_or(64) << 20,
        ..Options::default()
    };

    // The builder works on files: it has a thread of its own and takes tags as they come.
    let (changes, received) = mpsc::sync_channel::<Changes>(4);
    let building = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || {
            let layer = build(
                &follows,
                &folder,
                options,
                &received,
                &canaries,
                canary_seed,
                &mut padding.0,
            );
            (layer, padding)
        })
    };
    let send = |changes: &mpsc::SyncSender<Changes>, change: Changes| {
        // The builder is gone only after an error, which it reports itself.
        tokio::task::block_in_place(|| changes.send(change)).is_ok()
    };
    let (mut evaluated, mut removed) = (0, Vec::new());
    while let Some(page) = publication.next_page(PAGE).await? {
        let tags = evaluate_own(state, &key, &page.untagged).await?;
        publication.add_tags(&tags).await?;
        evaluated += tags.len() as u64;
        progress(publication.identifiers());
        let adds: Vec<Tag> = tags.iter().map(|kept| kept.tag).chain(page.adds).collect();
        if new_base {
            removed.extend_from_slice(&page.removes);
        }
        send(
            &changes,
            Changes {
                adds,
                removes: page.removes,
            },
        );
    }
    if new_base && let Some(before) = before {
        // Everything that was published before and stays.
        removed.sort_unstable();
        let mut cursor: Option<BlindIndex> = None;
        loop {
            let page = state
                .store
                .published_tags_page(key.scope, before, cursor, PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            cursor = Some(last.blind_index);
            let stay = page.iter().filter(|own| removed.binary_search(&own.tag).is_err());
            send(
                &changes,
                Changes {
                    adds: stay.map(|own| own.tag).collect(),
                    removes: Vec::new(),
                },
            );
        }
    }
    drop(changes);
    let (layer, padding) = building
        .await
        .map_err(|_| Fault::internal("building a snapshot"))?;
    let layer = layer?;
    store_padding(state, &key, version, before, &padding).await?;

    let (base, deltas) = match (layer, current.clone()) {
        (Layer::Base(base), _) => (base, Vec::new()),
        (Layer::Unchanged, Some(current)) => {
            let manifest = current.manifest();
            (manifest.base.clone(), manifest.deltas.clone())
        }
        (Layer::Delta(delta), Some(current)) => {
            let deltas = current.manifest().deltas.clone();
            if deltas.len() < MERGE_AT {
                (
                    current.manifest().base.clone(),
                    deltas.into_iter().chain([delta]).collect(),
                )
            } else {
                let merged = blocking(move || current.merge(deltas.len())).await?;
                (merged, vec![delta])
            }
        }
        (Layer::Delta(_) | Layer::Unchanged, None) => {
            return Err(Fault::internal("a delta without a base").into());
        }
    };
    let manifest = Manifest {
        scope: tag_scope(agreement, offer, epoch, *key.pair.public_key().as_bytes()),
        version,
        as_of: whole_seconds(as_of),
        max_age_seconds: u32::try_from(offer.max_age_s).unwrap_or(u32::MAX),
        base,
        deltas,
    };
    let signed =
        SignedManifest::sign(manifest, &state.identity.signing).map_err(|error| tagset_fault(&error))?;
    let identifiers = publication.identifiers();
    // First the database: should we be stopped here, the next start installs what it says.
    let published = state.entry(SnapshotPublished {
        partner: ledger::text(&entry.partner.id),
        scope: ledger::scope(agreement, offer, epoch),
        version,
        manifest: ledger::digest(Sha256::digest(signed.note()).into()),
    })?;
    let committed = publication.commit_with(signed.note(), state.now_ms(), published);
    let installed = match committed.await {
        Ok(()) => install(folder, signed, current, plan).await,
        Err(error) => Err(error.into()),
    };
    match installed {
        Ok(snapshot) => state.served.put(
            (agreement.id.clone(), offer.id.clone(), epoch),
            Arc::new(snapshot),
        ),
        Err(trouble) => {
            // The version may be the one that counts now: what is in memory must not be built upon.
            state.served.forget(&agreement.id, &offer.id, epoch);
            return Err(trouble.into_fault().into());
        }
    }
    tracing::info!(
        agreement = agreement.id,
        offer = offer.id,
        epoch,
        version,
        identifiers,
        evaluated,
        "published"
    );
    Ok(Published {
        version,
        identifiers,
        evaluated,
    })
}

/// The snapshot that is served, which must be of the version that the database calls the latest: `before`.
async fn exactly(
    state: &State,
    scope: (&Agreement, &Offer, u32),
    before: Option<u64>,
) -> Result<Option<Arc<Snapshot>>, Trouble> {
    let version = |snapshot: &Arc<Snapshot>| snapshot.manifest().version;
    let mut current = open_served(state, scope).await?;
    if current.as_ref().map(version) != before {
        let (agreement, offer, epoch) = scope;
        tracing::warn!(
            agreement = agreement.id,
            offer = offer.id,
            epoch,
            "memory and database name other versions: reading the snapshot again"
        );
        state.served.forget(&agreement.id, &offer.id, epoch);
        current = open_served(state, scope).await?;
    }
    if current.as_ref().map(version) == before {
        return Ok(current);
    }
    Err(Fault::internal("the snapshot that is served is not the latest of the database").into())
}

/// Takes a version that was committed into use.
async fn install(
    folder: PathBuf,
    signed: SignedManifest,
    previous: Option<Arc<Snapshot>>,
    plan: Plan,
) -> Result<Snapshot, Trouble> {
    blocking(move || {
        if plan == Plan::Anew {
            // The folder may name a version that the database does not know; the database has the last word.
            forget_installed(&folder)?;
        }
        let snapshot = Snapshot::install(&folder, signed, None)?;
        // Partners may be fetching the version before this one.
        let keep = previous
            .iter()
            .map(|previous| previous.manifest())
            .chain([snapshot.manifest()]);
        if let Err(error) = collect_garbage(&folder, keep) {
            tracing::warn!(%error, "removing old segments");
        }
        Ok(snapshot)
    })
    .await
}

/// The owner's lists of an offer.
///
/// # Errors
/// One of them does not exist, or never held a record.
pub(crate) async fn selection(state: &State, offer: &Offer) -> Result<Selection, Fault> {
    let mut lists = Vec::with_capacity(offer.lists.len());
    for name in &offer.lists {
        let list = state
            .store
            .list(name)
            .await
            .map_err(|error| store_fault(&error))?;
        // An import that failed leaves an empty list: published, it would say of everybody that nobody is listed.
        let missing = match list {
            Some(list) if list.filled => {
                lists.push(list.id);
                continue;
            }
            Some(_) => "which was never filled: import it",
            None => "which does not exist: create and import it",
        };
        let message = format!("offer {} names list {name}, {missing}", offer.id);
        return Err(Fault::new(Reason::Precondition, "SNAP-010", message));
    }
    Ok(Selection {
        lists,
        kind: offer.kind.id(),
        variants: true,
    })
}

fn canary_tags(key: &OwnKey, seed: &[u8; 32]) -> Result<Vec<Tag>, Fault> {
    let inputs: Vec<Zeroizing<Vec<u8>>> = (0..CANARIES).map(|index| canary::present(seed, index)).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| input.as_slice()).collect();
    let outputs = key
        .pair
        .evaluate_own(&inputs)
        .map_err(|error| Fault::internal(error.to_string()))?;
    Ok(outputs.iter().map(Output::tag).collect())
}

/// Tags of identifiers, on all cores.
async fn evaluate_own(
    state: &State,
    key: &Arc<OwnKey>,
    identifiers: &[IndexedIdentifier],
) -> Result<Vec<KeptTag>, Fault> {
    let share = identifiers.len().div_ceil(state.compute.threads()).max(64);
    let mut parts = Vec::new();
    for part in identifiers.chunks(share) {
        let mut inputs = Vec::with_capacity(part.len());
        for indexed in part {
            let identifier = identifier_of(&indexed.identifier).ok_or_else(|| {
                Fault::new(
                    Reason::DataLoss,
                    "NODE-003",
                    "an identifier was stored by a newer version of the node",
                )
            })?;
            inputs.push((indexed.blind_index, identifier.oprf_input()));
        }
        let key = Arc::clone(key);
        parts.push(state.compute.run(Priority::Bulk, move || {
            let bytes: Vec<&[u8]> = inputs.iter().map(|(_, input)| input.as_slice()).collect();
            key.pair.evaluate_own(&bytes).map(|outputs| {
                inputs
                    .iter()
                    .zip(&outputs)
                    .map(|((blind_index, _), output)| KeptTag {
                        blind_index: *blind_index,
                        tag: output.tag(),
                    })
                    .collect::<Vec<_>>()
            })
        }));
    }
    let mut tags = Vec::with_capacity(identifiers.len());
    for part in futures_util::future::join_all(parts).await {
        let part = part.map_err(|_| Fault::internal("evaluating our own identifiers"))?;
        tags.extend(part.map_err(|error| Fault::internal(error.to_string()))?);
    }
    Ok(tags)
}

struct Changes {
    adds: Vec<Tag>,
    removes: Vec<Tag>,
}

enum Layer {
    Base(Base),
    Delta(Delta),
    Unchanged,
}

/// What a version comes after.
enum Follows {
    /// The first of its scope.
    Nothing,
    /// Changes on top.
    WithDelta(Arc<Snapshot>),
    /// All tags again.
    WithNewBase(Arc<Snapshot>),
    /// All tags again, after a version whose files are damaged.
    Lost,
}

/// Takes changes until the sender is gone, then pads, sorts and writes.
fn build(
    follows: &Follows,
    folder: &Path,
    options: Options,
    changes: &mpsc::Receiver<Changes>,
    canaries: &[Tag],
    canary_seed: [u8; 32],
    padding: &mut Padding,
) -> Result<Layer, TagsetError> {
    if let Follows::WithDelta(snapshot) = follows {
        let mut builder = DeltaBuilder::new(snapshot, options)?;
        let mut changed = false;
        for change in changes {
            changed |= !change.adds.is_empty() || !change.removes.is_empty();
            change.adds.iter().try_for_each(|tag| builder.add(tag))?;
            change.removes.iter().try_for_each(|tag| builder.remove(tag))?;
        }
        if !changed {
            return Ok(Layer::Unchanged);
        }
        canaries.iter().for_each(|tag| builder.add_canary(tag));
        return Ok(Layer::Delta(builder.finish(canary_seed, padding)?.0));
    }
    let mut builder = SnapshotBuilder::new(folder, options)?;
    let mut removed = 0;
    for change in changes {
        change.adds.iter().try_for_each(|tag| builder.push(tag))?;
        removed += change.removes.len() as u64;
    }
    canaries.iter().try_for_each(|tag| builder.push_canary(tag))?;
    let (base, _) = match follows {
        Follows::Nothing => builder.finish(canary_seed, padding)?,
        Follows::WithDelta(snapshot) | Follows::WithNewBase(snapshot) => {
            let before = Predecessor::Published { snapshot, removed };
            builder.finish_after(before, canary_seed, padding)?
        }
        Follows::Lost => builder.finish_after(Predecessor::Lost, canary_seed, padding)?,
    };
    Ok(Layer::Base(base))
}

/// Padding with the version whose base began it.
struct BasePadding(Padding, u64);

/// The padding of the scope as version `current` left it, or fresh padding for the first one, `version`. A new base goes
/// on with it: under fresh padding a holder of both bases would see which tags are real. Its seed comes from the scope's own secret seed, so it is as secret and is destroyed with it; how much of it was drawn
/// is kept beside.
async fn load_padding(
    state: &State,
    key: &OwnKey,
    version: u64,
    current: Option<u64>,
) -> Result<BasePadding, Fault> {
    let (base, drawn) = match current {
        None => (version, 0),
        Some(current) => {
            let kept = padding_entries(state, key).await?;
            let entry = kept.into_iter().find(|entry| entry[0] == current);
            let lost = || Fault::new(Reason::DataLoss, "NODE-004", "the padding of a snapshot is lost");
            entry.map(|[_, base, drawn]| (base, drawn)).ok_or_else(lost)?
        }
    };
    let secret = state
        .store
        .scope_seed(key.scope)
        .await
        .map_err(|error| store_fault(&error))?;
    let mut seed = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(b"concordat/v1/padding"), secret.as_slice())
        .expand(&base.to_be_bytes(), &mut *seed)
        .map_err(|_| Fault::internal("deriving padding"))?;
    Ok(BasePadding(Padding::resume(*seed, drawn), base))
}

/// Keeps the state of the padding for `version`, beside that of the version it may replace: which of the two counts
/// is decided by the publication's commit.
async fn store_padding(
    state: &State,
    key: &OwnKey,
    version: u64,
    current: Option<u64>,
    padding: &BasePadding,
) -> Result<(), Fault> {
    let mut entries = padding_entries(state, key).await?;
    entries.retain(|entry| Some(entry[0]) == current);
    entries.push([version, padding.1, padding.0.drawn()]);
    let text: Vec<String> = entries
        .iter()
        .map(|[version, base, drawn]| format!("{version}:{base}:{drawn}"))
        .collect();
    let kept = state
        .store
        .set_fact(&padding_fact(key), &text.join(" "), state.now_ms())
        .await;
    kept.map_err(|error| store_fault(&error))
}

/// `version:base:drawn` for the version served and the one last attempted.
async fn padding_entries(state: &State, key: &OwnKey) -> Result<Vec<[u64; 3]>, Fault> {
    let text = state
        .store
        .fact(&padding_fact(key))
        .await
        .map_err(|error| store_fault(&error))?;
    let parse = |entry: &str| {
        let numbers: Option<Vec<u64>> = entry.split(':').map(|number| number.parse().ok()).collect();
        numbers.and_then(|numbers| <[u64; 3]>::try_from(numbers).ok())
    };
    Ok(text
        .as_deref()
        .unwrap_or_default()
        .split(' ')
        .filter_map(parse)
        .collect())
}

fn padding_fact(key: &OwnKey) -> String {
    format!("padding/{}", key.scope)
}

fn whole_seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn tagset_fault(error: &TagsetError) -> Fault {
    tracing::error!(%error, "a snapshot's files");
    Fault::internal("the node's segment files failed; its log has the details")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TagsetError> + Send + 'static,
) -> Result<T, Trouble> {
    let result = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::internal("a file operation"))?;
    Ok(result?)
}
