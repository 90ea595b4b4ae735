//! Publishing: our lists' identifiers become tags under a scope's key, the tags a padded, signed snapshot.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use concordat_identifiers::canary;
use concordat_oprf::Output;
use concordat_store::{BlindIndex, IndexedIdentifier, KeptTag, Selection, StoreError};
use concordat_tagset::{
    Base, Delta, DeltaBuilder, Error as TagsetError, Manifest, Options, Padding, SignedManifest, Snapshot,
    SnapshotBuilder, collect_garbage,
};
use concordat_wire::{Fault, Reason};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::agreement::{Agreement, Offer};
use crate::book::{Entry, store_fault};
use crate::chunk::Tag;
use crate::compute::Priority;
use crate::held::{folder, owner_key, tag_scope};
use crate::keys::OwnKey;
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

    fn put(&self, name: (String, String, u32), snapshot: Arc<Snapshot>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, snapshot);
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
pub async fn served(
    state: &State,
    (agreement, offer, epoch): (&Agreement, &Offer, u32),
) -> Result<Option<Arc<Snapshot>>, Fault> {
    let name = (agreement.id.clone(), offer.id.clone(), epoch);
    if let Some(snapshot) = state.served.get(&name) {
        return Ok(Some(snapshot));
    }
    let scope = state
        .store
        .scope_of_epoch(&agreement.id, &offer.id, epoch, concordat_store::ScopeRole::Owner)
        .await
        .map_err(|error| store_fault(&error))?;
    let Some(scope) = scope else { return Ok(None) };
    let latest = state
        .store
        .latest_served(scope.id)
        .await
        .map_err(|error| store_fault(&error))?;
    let Some(latest) = latest else { return Ok(None) };
    let expected = tag_scope(agreement, offer, epoch, scope.public_key);
    let owner = owner_key(agreement, offer)?;
    let folder = folder(state, "served", agreement, offer, epoch);
    let snapshot = blocking(move || {
        let signed = SignedManifest::verify(latest.manifest.as_bytes(), &owner, &expected)?;
        Snapshot::install(&folder, signed, None)
    })
    .await?;
    let snapshot = Arc::new(snapshot);
    state.served.put(name, Arc::clone(&snapshot));
    Ok(Some(snapshot))
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
    match attempt(state, entry, offer, epoch, progress, false).await {
        // More was added than padding could give way: the set moves to its next size class with a new base.
        Err(Trouble::PaddingExhausted) => attempt(state, entry, offer, epoch, progress, true).await,
        other => other,
    }
    .map_err(|trouble| match trouble {
        Trouble::Fault(fault) => fault,
        Trouble::PaddingExhausted => Fault::internal("a new base has no padding to run out of"),
    })
}

enum Trouble {
    Fault(Fault),
    PaddingExhausted,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
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
    new_base: bool,
) -> Result<Published, Trouble> {
    let agreement = &entry.agreement;
    let key = state
        .own_keys
        .get(
            &state.store,
            &state.identity.signing,
            &state.entropy,
            (agreement, offer, epoch),
            state.now_ms(),
        )
        .await?;
    let selection = selection(state, offer).await?;
    let current = served(state, (agreement, offer, epoch)).await?;
    let as_of = state.clock.now();
    let mut publication = state.store.begin_publication(key.scope, selection).await?;
    let version = publication.version();
    let delta_of = if new_base { None } else { current.clone() };
    let folder = folder(state, "served", agreement, offer, epoch);
    let canary_seed: [u8; 32] = state.entropy.bytes();
    let canaries = canary_tags(&key, &canary_seed)?;
    let current_version = current.as_ref().map(|current| current.manifest().version);
    let mut padding = load_padding(state, &key, version, current_version.filter(|_| !new_base)).await?;
    let options = Options {
        memory_bytes: usize::try_from(state.config.snapshot.sort_memory_mib).unwrap_or(64) << 20,
        ..Options::default()
    };

    // The builder works on files: it has a thread of its own and takes tags as they come.
    let (changes, received) = mpsc::sync_channel::<Changes>(4);
    let building = {
        let (delta_of, folder) = (delta_of.clone(), folder.clone());
        tokio::task::spawn_blocking(move || {
            let layer = build(
                delta_of.as_deref(),
                folder,
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
            removed.extend(page.removes);
            send(
                &changes,
                Changes {
                    adds,
                    removes: Vec::new(),
                },
            );
        } else {
            send(
                &changes,
                Changes {
                    adds,
                    removes: page.removes,
                },
            );
        }
    }
    if new_base && let Some(before) = &current {
        // Everything that was published before and stays.
        removed.sort_unstable();
        let before = before.manifest().version;
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
    let layer = layer.map_err(|error| match error {
        TagsetError::PaddingExhausted { .. } => Trouble::PaddingExhausted,
        error => Trouble::Fault(tagset_fault(&error)),
    })?;
    store_padding(state, &key, version, current_version, &padding).await?;

    let (base, deltas) = match (layer, delta_of) {
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
    publication.commit(signed.note(), state.now_ms()).await?;
    let snapshot = {
        let (folder, previous) = (folder, current);
        blocking(move || {
            let snapshot = Snapshot::install(&folder, signed, None)?;
            // Partners may be fetching the version before this one.
            let keep = previous
                .iter()
                .map(|previous| previous.manifest())
                .chain([snapshot.manifest()]);
            collect_garbage(&folder, keep)?;
            Ok(snapshot)
        })
        .await?
    };
    state.served.put(
        (agreement.id.clone(), offer.id.clone(), epoch),
        Arc::new(snapshot),
    );
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

/// The owner's lists of an offer.
///
/// # Errors
/// One of them does not exist.
async fn selection(state: &State, offer: &Offer) -> Result<Selection, Fault> {
    let mut lists = Vec::with_capacity(offer.lists.len());
    for name in &offer.lists {
        let list = state
            .store
            .list(name)
            .await
            .map_err(|error| store_fault(&error))?;
        let list = list.ok_or_else(|| {
            Fault::new(
                Reason::Precondition,
                "SNAP-010",
                format!(
                    "offer {} names list {name}, which does not exist: create and import it",
                    offer.id
                ),
            )
        })?;
        lists.push(list.id);
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

/// Takes changes until the sender is gone, then pads, sorts and writes.
fn build(
    delta_of: Option<&Snapshot>,
    folder: PathBuf,
    options: Options,
    changes: &mpsc::Receiver<Changes>,
    canaries: &[Tag],
    canary_seed: [u8; 32],
    padding: &mut Padding,
) -> Result<Layer, TagsetError> {
    match delta_of {
        None => {
            let mut builder = SnapshotBuilder::new(&folder, options)?;
            for change in changes {
                change.adds.iter().try_for_each(|tag| builder.push(tag))?;
            }
            canaries.iter().try_for_each(|tag| builder.push_canary(tag))?;
            Ok(Layer::Base(builder.finish(canary_seed, padding)?.0))
        }
        Some(snapshot) => {
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
            Ok(Layer::Delta(builder.finish(canary_seed, padding)?.0))
        }
    }
}

/// Padding with the version of the base it belongs to.
struct BasePadding(Padding, u64);

/// The padding of the base that is served as version `current`, or fresh padding for a new base of `version`. Its
/// seed comes from the scope's own secret seed, so it is as secret and is destroyed with it; how much of it was drawn
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
) -> Result<T, Fault> {
    let result = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::internal("a file operation"))?;
    result.map_err(|error| tagset_fault(&error))
}
