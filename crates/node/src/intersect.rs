//! List against list: our own list as one long query, resumable, in bounded memory.
//!
//! A chunk's plan is on disk before it is sent, and its outcome is on disk before the next plan replaces it: after a
//! crash of either node the same bytes are sent again, which the partner answers without charging. Tags are kept for
//! the epoch, so a second run asks only about what is new.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_identifiers::Kind;
use concordat_store::{
    BlindIndex, ChunkItem, ChunkPlan, CompletedChunk, Exchange as ExchangeRow, IdentifierRow, JobId, KeptTag,
    ListId, NewMatch, ScopeId, Selection, StoreError,
};
use concordat_wire::v1::{OfferSummary, Purpose, UnknownReason};
use concordat_wire::{Fault, kind_to_proto};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::agreement::{Offer, purpose_from_name, purpose_name};
use crate::book::{Entry, scope_to_proto, store_fault};
use crate::chunk::{Answer, CanarySeeds, ChunkInput, MIN_DUMMIES};
use crate::compute::Priority;
use crate::exchange::{ChunkDone, Contains, Exchange, Failure, Stats};
use crate::held::{HeldScope, lookup_of};
use crate::jobs::{End, Handle};
use crate::matching::{Context, describe, in_force, usable_scope};
use crate::rows::{identifier_of, kind_of};
use crate::state::State;

/// Chunks on the way at once.
const WINDOW: usize = 8;
/// Chunks per stream; then the agreement, the snapshot and the wish to cancel are looked at again.
const CHUNKS_PER_STREAM: usize = 256;
/// How long one stream may take.
const STREAM_TIME: Duration = Duration::from_secs(600);
/// Kept tags looked up at once.
const PAGE: u32 = 8_192;

/// What to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// By its name in the code list.
    pub purpose: String,
    /// As stated.
    pub legal_basis: String,
    /// As stated.
    pub case_reference: String,
    /// As stated, or the client's name.
    pub officer: String,
    /// Who called our node.
    pub client: String,
    /// Our lists by name.
    pub lists: Vec<String>,
    /// Whom to ask.
    pub partner: String,
    /// Numbers of kinds; empty means all that are offered.
    pub kinds: Vec<u8>,
}

/// Runs the job as far as it goes.
///
/// # Errors
/// Our own trouble; the partner's is an [`End`].
pub async fn run(state: &Arc<State>, handle: &Handle, spec: &Spec) -> Result<End, Fault> {
    let context = Context {
        purpose: purpose_from_name(&spec.purpose).unwrap_or(Purpose::Unspecified),
        legal_basis: spec.legal_basis.clone(),
        case_reference: spec.case_reference.clone(),
        officer: spec.officer.clone(),
        client: spec.client.clone(),
    };
    let mut lists = Vec::with_capacity(spec.lists.len());
    for name in &spec.lists {
        match state
            .store
            .list(name)
            .await
            .map_err(|error| store_fault(&error))?
        {
            Some(list) => lists.push(list.id),
            None => return Ok(End::Failed(format!("list {name} does not exist any more"))),
        }
    }
    let kinds: Vec<Kind> = spec.kinds.iter().filter_map(|kind| kind_of(*kind)).collect();
    let mut works = Vec::new();
    let mut refused = None;
    for entry in state
        .book
        .all()
        .into_iter()
        .filter(|entry| entry.partner.id == spec.partner)
    {
        for offer in &entry.agreement.offers {
            if offer.requester != state.us() || !(kinds.is_empty() || kinds.contains(&offer.kind)) {
                continue;
            }
            let permitted = in_force(&entry).and_then(|()| {
                entry
                    .agreement
                    .permits(offer, context.purpose, &context.legal_basis, state.clock.now())
            });
            match permitted {
                Ok(()) => works.push((Arc::clone(&entry), offer.clone())),
                Err(fault) => refused = Some(fault.to_string()),
            }
        }
    }
    if works.is_empty() {
        return Ok(End::Failed(
            refused.unwrap_or_else(|| "no offer of this partner covers the query".into()),
        ));
    }
    let mut runs = Vec::with_capacity(works.len());
    for (entry, offer) in works {
        let mut summary = OfferSummary {
            agreement_id: entry.agreement.id.clone(),
            offer_id: offer.id.clone(),
            kind: kind_to_proto(offer.kind).into(),
            ..OfferSummary::default()
        };
        let scope = match usable_scope(state, &entry.agreement, &offer, &mut summary).await {
            Ok(scope) => scope,
            Err(failure) => return Ok(end_of(&failure)),
        };
        let selection = Selection {
            lists: lists.clone(),
            kind: offer.kind.id(),
            variants: false,
        };
        runs.push(OfferRun {
            state: Arc::clone(state),
            job: handle.clone(),
            context: context.clone(),
            entry,
            offer,
            scope,
            selection,
            partner: spec.partner.clone(),
            summary,
            totals: Stats::default(),
        });
    }
    let mut total = state
        .store
        .job(handle.id)
        .await
        .map_err(|error| store_fault(&error))?
        .done;
    for run in &runs {
        total += run.count_left().await?;
    }
    state
        .store
        .set_job_total(handle.id, total, state.now_ms())
        .await
        .map_err(|error| store_fault(&error))?;
    for mut run in runs {
        run.known_tags().await?;
        match run.unknown_tags().await? {
            End::Succeeded => {}
            end => return Ok(end),
        }
    }
    Ok(End::Succeeded)
}

/// Whether a failure passes by itself.
fn end_of(failure: &Failure) -> End {
    match failure.reason {
        UnknownReason::Unreachable
        | UnknownReason::Deadline
        | UnknownReason::Overloaded
        | UnknownReason::Quota
        | UnknownReason::SnapshotMissing
        | UnknownReason::SnapshotStale => End::Paused(failure.detail.clone()),
        _ => End::Failed(failure.detail.clone()),
    }
}

/// One offer of the job.
struct OfferRun {
    state: Arc<State>,
    job: Handle,
    context: Context,
    entry: Arc<Entry>,
    offer: Offer,
    scope: Arc<HeldScope>,
    selection: Selection,
    partner: String,
    summary: OfferSummary,
    totals: Stats,
}

impl OfferRun {
    /// Identifiers still to be asked about.
    async fn count_left(&self) -> Result<u64, Fault> {
        let store = &self.state.store;
        store
            .count_unasked(self.scope.scope, &self.selection)
            .await
            .map_err(|error| store_fault(&error))
    }

    /// Looks up the tags kept from earlier runs of this epoch: the snapshot may have changed since.
    async fn known_tags(&self) -> Result<(), Fault> {
        let (store, scope) = (&self.state.store, self.scope.scope);
        let Some((_, contains)) = self.scope.snapshot().as_ref().and_then(lookup_of) else {
            return Ok(());
        };
        let mut cursor: Option<BlindIndex> = None;
        loop {
            let page = store
                .kept_tags_page(scope, cursor, PAGE)
                .await
                .map_err(|error| store_fault(&error))?;
            let Some(last) = page.last() else { return Ok(()) };
            cursor = Some(last.blind_index);
            let tags: Vec<_> = page.iter().map(|kept| kept.tag).collect();
            let found = look_up(&contains, tags).await?;
            let mut matches = Vec::new();
            for (kept, _) in page.iter().zip(found).filter(|(_, found)| *found) {
                matches.extend(self.matches_of(kept.blind_index).await?);
            }
            store
                .add_matches(self.job.id, &matches)
                .await
                .map_err(|error| store_fault(&error))?;
            self.job.touch();
        }
    }

    /// Our records behind an identifier that is on both lists.
    async fn matches_of(&self, blind_index: BlindIndex) -> Result<Vec<NewMatch>, Fault> {
        let records = self
            .state
            .store
            .records_with(self.selection.kind, blind_index)
            .await;
        let records = records.map_err(|error| store_fault(&error))?;
        let lists: HashSet<ListId> = self.selection.lists.iter().copied().collect();
        Ok(records
            .into_iter()
            .filter(|record| lists.contains(&record.list) && !record.variant)
            .map(|record| NewMatch {
                list: record.list,
                source_id: record.source_id,
                partner: self.partner.clone(),
                kind: self.selection.kind,
                rule: record.rule,
                grade: record.grade,
            })
            .collect())
    }

    /// Asks about everything that has no tag yet.
    async fn unknown_tags(&mut self) -> Result<End, Fault> {
        loop {
            if self.job.cancel.is_cancelled() {
                return Ok(if self.state.stop.is_cancelled() {
                    End::Stopping
                } else {
                    End::Cancelled
                });
            }
            let mut summary = self.summary.clone();
            match usable_scope(&self.state, &self.entry.agreement, &self.offer, &mut summary).await {
                // Another epoch has begun: its tags are others.
                Ok(scope) if scope.epoch != self.scope.epoch => {
                    return Ok(End::Paused("a new epoch has begun".into()));
                }
                Ok(_) => self.summary = summary,
                Err(failure) => return Ok(end_of(&failure)),
            }
            match self.one_stream().await? {
                Some(end) => return Ok(end),
                None => self.job.touch(),
            }
        }
    }

    /// One stream of chunks; `None` if there may be more.
    async fn one_stream(&mut self) -> Result<Option<End>, Fault> {
        let (state, scope, job) = (Arc::clone(&self.state), Arc::clone(&self.scope), self.job.id);
        let snapshot = scope.snapshot();
        let Some((canaries, contains)) = snapshot.as_ref().and_then(lookup_of) else {
            return Ok(Some(End::Paused("the partner's snapshot is gone".into())));
        };
        let planner = Planner {
            state: Arc::clone(&state),
            job,
            scope: scope.scope,
            selection: self.selection.clone(),
            offer: self.offer.clone(),
            again: state
                .store
                .planned_chunks(job, scope.scope)
                .await
                .map_err(|error| store_fault(&error))?,
            left: CHUNKS_PER_STREAM,
            plans: Arc::default(),
        };
        let Some((first, planner)) = planner.next().await? else {
            return Ok(Some(End::Succeeded));
        };
        let plans = Arc::clone(&planner.plans);
        // A chunk may be sent again after the snapshot has grown a layer: its dummies must stay the same.
        let canaries = canaries.oldest_only();
        let chunk_size = state.config.matching.job_chunk_elements;
        let exchange_id = state.new_uuid();
        let row = ExchangeRow {
            id: exchange_id,
            at_ms: state.now_ms(),
            partner: self.partner.clone(),
            scope: Some(scope.scope),
            purpose: purpose_name(self.context.purpose).to_owned(),
            legal_basis: self.context.legal_basis.clone(),
            elements: 0,
            asked: Some(self.context.asked(uuid::Uuid::from_bytes(*job.as_bytes()))),
        };
        state
            .store
            .append_exchange(&row)
            .await
            .map_err(|error| store_fault(&error))?;
        let exchange = Exchange {
            partner: self.entry.partner.clone(),
            open: concordat_wire::v1::EvaluateOpen {
                scope: Some(scope_to_proto(&self.entry.agreement, &self.offer, scope.epoch)),
                request_id: request_id(job, scope.scope, &canaries, chunk_size).to_vec(),
                purpose: self.context.purpose.into(),
                legal_basis: self.context.legal_basis.clone(),
                padded_elements: CHUNKS_PER_STREAM as u64 * u64::from(chunk_size),
            },
            client: scope.client.clone(),
            canaries,
            contains,
            compute: state.compute.clone(),
            priority: Priority::Bulk,
            deadline: Instant::now() + STREAM_TIME,
            window: WINDOW,
        };
        // The planner writes to the database while the exchange and the outcomes do: it has a task of its own, so
        // that none of them can hold the connection that another one waits for.
        let (planned, chunks) = mpsc::channel(2);
        let planning = tokio::spawn(planner.run(first, planned));
        let outcome = self.exchange(exchange, chunks, &plans, exchange_id).await;
        // Its channel is closed now: it ends, and the next stream's planner begins where it stopped.
        let planning = planning.await.map_err(|_| Fault::internal("planning chunks"))?;
        let end = outcome?;
        planning?;
        Ok(end)
    }

    /// Runs an exchange and writes its outcomes down as they come.
    async fn exchange(
        &mut self,
        exchange: Exchange,
        chunks: mpsc::Receiver<ChunkInput>,
        plans: &Plans,
        exchange_id: uuid::Uuid,
    ) -> Result<Option<End>, Fault> {
        let (sender, mut receiver) = mpsc::unbounded_channel::<ChunkDone>();
        let mut run = tokio::spawn(exchange.run(ReceiverStream::new(chunks), move |done| {
            // The receiver is gone only after a failure: then the chunk is sent again by the next run.
            let _ = sender.send(done);
        }));
        let cancel = self.job.cancel.clone();
        let mut failed: Option<Failure> = None;
        while failed.is_none() {
            let done = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    run.abort();
                    return Ok(Some(if self.state.stop.is_cancelled() { End::Stopping } else { End::Cancelled }));
                }
                done = receiver.recv() => done,
            };
            match done {
                Some(done) => failed = self.complete(done, plans).await?,
                None => break,
            }
        }
        match failed {
            Some(failure) => {
                // What is still on the way is sent again by the next run; it costs nothing.
                run.abort();
                self.state.report(&self.partner, exchange_id, &failure).await;
                Ok(Some(end_of(&failure)))
            }
            None => {
                let stats = (&mut run)
                    .await
                    .map_err(|_| Fault::internal("running an exchange"))?;
                self.add(&stats);
                Ok(None)
            }
        }
    }

    /// Writes down what became of a chunk; returns its failure.
    async fn complete(&mut self, done: ChunkDone, plans: &Plans) -> Result<Option<Failure>, Fault> {
        let answers = match done.result {
            Ok(answers) => answers,
            Err(failure) => return Ok(Some(failure)),
        };
        let Some(items) = plans.lock().await.remove(&done.index) else {
            return Ok(None);
        };
        let mut matches = Vec::new();
        let mut tags = Vec::with_capacity(answers.len());
        for Answer { number, tag, found } in answers {
            let Some(blind_index) = items.get(number).copied() else {
                continue;
            };
            tags.push(KeptTag { blind_index, tag });
            if found {
                matches.extend(self.matches_of(blind_index).await?);
            }
        }
        let completed = CompletedChunk {
            job: self.job.id,
            scope: self.scope.scope,
            index: done.index,
            done: items.len() as u64,
            tags,
            matches,
            unknown: Vec::new(),
        };
        let now_ms = self.state.now_ms();
        self.state
            .store
            .complete_chunk(&completed, now_ms)
            .await
            .map_err(|error| store_fault(&error))?;
        self.summary.identifiers += completed.done;
        self.job.touch();
        Ok(None)
    }

    fn add(&mut self, stats: &Stats) {
        self.totals.elements += stats.elements;
        self.totals.bytes_sent += stats.bytes_sent;
        self.totals.bytes_received += stats.bytes_received;
        self.totals.blind += stats.blind;
        self.totals.verify_finalize += stats.verify_finalize;
        self.totals.lookup += stats.lookup;
        self.totals.partner_evaluate += stats.partner_evaluate;
        describe(&mut self.summary, &self.totals);
        self.job.describe(self.summary.clone());
    }
}

/// The identifiers of chunks on the way, by the chunk's index.
type Plans = Arc<tokio::sync::Mutex<HashMap<u32, Vec<BlindIndex>>>>;

/// Makes chunks: first those planned before a crash, then new ones.
struct Planner {
    state: Arc<State>,
    job: JobId,
    scope: ScopeId,
    selection: Selection,
    offer: Offer,
    again: Vec<ChunkPlan>,
    left: usize,
    plans: Plans,
}

impl Planner {
    /// Makes chunks until there are no more, or nobody takes them.
    async fn run(self, first: ChunkInput, planned: mpsc::Sender<ChunkInput>) -> Result<(), Fault> {
        let (mut chunk, mut planner) = (first, self);
        while planned.send(chunk).await.is_ok() {
            match planner.next().await? {
                Some(next) => (chunk, planner) = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The next chunk; `None` when there is nothing more to ask in this stream.
    async fn next(mut self) -> Result<Option<(ChunkInput, Self)>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let plan = if self.again.is_empty() {
            match self.plan().await? {
                Some(plan) => plan,
                None => return Ok(None),
            }
        } else {
            self.again.remove(0)
        };
        let mut inputs = Vec::with_capacity(plan.items.len());
        for (number, item) in plan.items.iter().enumerate() {
            let row = IdentifierRow {
                kind: self.selection.kind,
                rule: item.rule,
                grade: item.grade,
                variant: false,
                canonical: item.canonical.clone(),
            };
            let identifier =
                identifier_of(&row).ok_or_else(|| Fault::internal("an identifier of a newer version"))?;
            inputs.push((number, identifier.oprf_input()));
        }
        let full = self.state.config.matching.job_chunk_elements as usize;
        let size = self
            .offer
            .padding
            .class(inputs.len() + MIN_DUMMIES)
            .min(full)
            .max(inputs.len() + MIN_DUMMIES);
        let blind_indexes = plan.items.iter().map(|item| item.blind_index).collect();
        self.plans.lock().await.insert(plan.index, blind_indexes);
        Ok(Some((
            ChunkInput {
                index: plan.index,
                inputs,
                size,
                seed: plan.seed,
            },
            self,
        )))
    }

    /// Plans the next chunk and writes the plan down.
    async fn plan(&self) -> Result<Option<ChunkPlan>, Fault> {
        let store = &self.state.store;
        let fault = |error: StoreError| store_fault(&error);
        let cursor = store.plan_cursor(self.job, self.scope).await.map_err(fault)?;
        let limit = self.state.config.matching.job_chunk_elements - MIN_DUMMIES as u32;
        let after = cursor.map(|cursor| cursor.after);
        let page = store
            .unasked_page(self.scope, &self.selection, after, limit)
            .await
            .map_err(fault)?;
        if page.is_empty() {
            return Ok(None);
        }
        let plan = ChunkPlan {
            job: self.job,
            scope: self.scope,
            index: cursor.map_or(0, |cursor| cursor.next_index),
            seed: self.state.entropy.seed(),
            items: page
                .into_iter()
                .map(|indexed| ChunkItem {
                    blind_index: indexed.blind_index,
                    rule: indexed.identifier.rule,
                    grade: indexed.identifier.grade,
                    canonical: indexed.identifier.canonical,
                })
                .collect(),
        };
        store.plan_chunk(&plan).await.map_err(fault)?;
        Ok(Some(plan))
    }
}

/// The same for every run of the job in this scope: a chunk sent again is known by it and its index. Whatever else
/// decides a chunk's bytes is part of it: with another base, or other chunks, it is another request.
fn request_id(job: JobId, scope: ScopeId, canaries: &CanarySeeds, chunk_size: u32) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"concordat/v1/job\0");
    hash.update(job.as_bytes());
    hash.update(scope.0.to_be_bytes());
    hash.update(chunk_size.to_be_bytes());
    canaries.seeds().for_each(|seed| hash.update(seed));
    let digest: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|at| digest[at])
}

async fn look_up(contains: &Contains, tags: Vec<crate::chunk::Tag>) -> Result<Vec<bool>, Fault> {
    let contains = Arc::clone(contains);
    let found = tokio::task::spawn_blocking(move || contains(&tags)).await;
    found
        .map_err(|_| Fault::internal("looking tags up"))?
        .map_err(|_| Fault::internal("the snapshot on our disk cannot be read"))
}
