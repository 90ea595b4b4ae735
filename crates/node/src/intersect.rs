//! List against list: our own list as one long query, resumable, in bounded memory.
//!
//! The size of the request is a class of the offer's padding, fixed and announced before its first chunk. A chunk's
//! plan is on disk before it is sent, and its outcome is on disk before the next plan replaces it: after a crash of
//! either node the same bytes are sent again, which the partner answers without charging. Tags are kept for the epoch,
//! so a second run asks only about what is new.
//!
//! When everything has a tag, all tags are looked up in one snapshot, and that pass is the result: whichever job asked
//! for a tag, and whatever snapshot was held when it came, the job finds what the snapshot that it names holds.

mod planner;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_identifiers::Kind;
use concordat_store::{
    BlindIndex, ChunkPlan, CompletedChunk, Exchange as ExchangeRow, JobId, JobRequest, KeptTag, ListId,
    NewMatch, ScopeId, Selection, StoreError,
};
use concordat_wire::v1::{OfferSummary, Purpose, UnknownReason};
use concordat_wire::{Fault, Reason, kind_to_proto};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::agreement::{Offer, purpose_from_name, purpose_name};
use crate::asked::{self, Question};
use crate::book::{Entry, scope_to_proto, store_fault};
use crate::chunk::{Answer, CanarySeeds, ChunkInput, layout};
use crate::compute::Priority;
use crate::exchange::{ChunkDone, Contains, Exchange, Failure, Stats};
use crate::held::{HeldScope, lookup_of};
use crate::jobs::{End, Handle};
use crate::matching::{Context, describe, in_force, usable_scope};
use crate::rows::kind_of;
use crate::state::State;
use planner::Planner;

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
    /// As stated, or the officer. Jobs of an older version have none.
    #[serde(default)]
    pub ordered_by: String,
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
        ordered_by: match spec.ordered_by.as_str() {
            "" => spec.officer.clone(),
            _ => spec.ordered_by.clone(),
        },
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
    let Routes {
        works,
        refused,
        no_offer,
    } = routes(state, spec, &context, &kinds);
    let mut unchecked = Vec::with_capacity(refused.len() + no_offer.len());
    for (entry, offer, fault) in refused {
        // Once for a job, however often it goes on.
        let place = format!("{}/{}/{}", handle.id, entry.agreement.id, offer.id);
        if state.access.first(fault.rule, &place) {
            asked::not_permitted(state, &context, &entry, &offer, &fault).await;
        }
        unchecked.push(not_permitted(summary_of(&entry, &offer), &fault));
    }
    unchecked.extend(no_offer);
    handle.forget_offers();
    if works.is_empty() {
        let why = unchecked.first().map(|summary| summary.detail.clone());
        unchecked.into_iter().for_each(|summary| handle.describe(summary));
        return Ok(End::Failed(
            why.unwrap_or_else(|| "no offer of this partner covers the query".into()),
        ));
    }
    unchecked.into_iter().for_each(|summary| handle.describe(summary));
    let mut runs = Vec::with_capacity(works.len());
    for (entry, offer) in works {
        let mut summary = summary_of(&entry, &offer);
        let scope = match usable_scope(state, &entry.agreement, &offer, &mut summary).await {
            Ok(scope) => scope,
            Err(failure) => {
                (summary.reason, summary.detail) = (failure.reason.into(), failure.detail.clone());
                handle.describe(summary);
                return Ok(end_of(&failure));
            }
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
            lists: spec.lists.clone(),
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
    for run in &mut runs {
        match run.unknown_tags().await? {
            End::Succeeded => {}
            end => return Ok(end),
        }
    }
    result(state, handle, &mut runs).await
}

/// Looks all tags up in one snapshot of each offer, and takes out what was found earlier and is not found now.
async fn result(state: &State, handle: &Handle, runs: &mut [OfferRun]) -> Result<End, Fault> {
    let fault = |error: StoreError| store_fault(&error);
    let pass = state.store.next_match_pass(handle.id).await.map_err(fault)?;
    for run in runs {
        match run.all_tags(pass).await? {
            End::Succeeded => {}
            end => return Ok(end),
        }
    }
    while state.store.sweep_matches(handle.id, pass).await.map_err(fault)? > 0 {}
    // Another job may have asked for some of it, and the lists may have changed: this is what was done.
    let done = state.store.job(handle.id).await.map_err(fault)?.done;
    let now_ms = state.now_ms();
    state
        .store
        .set_job_total(handle.id, done, now_ms)
        .await
        .map_err(fault)?;
    Ok(End::Succeeded)
}

/// What a job has to do, and what it cannot.
struct Routes {
    works: Vec<(Arc<Entry>, Offer)>,
    /// Each offer that is refused, and why: the caller must see that these were not compared.
    refused: Vec<(Arc<Entry>, Offer, Fault)>,
    /// The same of each wanted kind that no offer has.
    no_offer: Vec<OfferSummary>,
}

/// As in a query ([`crate::matching`]): where one offer of a kind permits it, others of that kind that do not say
/// nothing about it. An agreement that is over says nothing either, unless its kind was asked for by name.
fn routes(state: &State, spec: &Spec, context: &Context, kinds: &[Kind]) -> Routes {
    let now = state.clock.now();
    let mut works: Vec<(Arc<Entry>, Offer)> = Vec::new();
    let mut refused: Vec<(Arc<Entry>, Offer, Fault)> = Vec::new();
    for entry in state.book.all() {
        if entry.partner.id != spec.partner {
            continue;
        }
        for offer in &entry.agreement.offers {
            if offer.requester != state.us() || !(kinds.is_empty() || kinds.contains(&offer.kind)) {
                continue;
            }
            let permitted = in_force(&entry).and_then(|()| {
                entry
                    .agreement
                    .permits(offer, context.purpose, &context.legal_basis, now)
            });
            match permitted {
                Ok(()) => works.push((Arc::clone(&entry), offer.clone())),
                Err(fault) => refused.push((Arc::clone(&entry), offer.clone(), fault)),
            }
        }
    }
    let mut no_offer = Vec::new();
    for kind in kinds {
        let offered = works.iter().any(|(_, offer)| offer.kind == *kind)
            || refused.iter().any(|(_, offer, _)| offer.kind == *kind);
        if !offered {
            let fault = Fault::new(
                Reason::NotPermitted,
                "QRY-009",
                "no offer of this partner covers this kind",
            );
            let summary = OfferSummary {
                kind: kind_to_proto(*kind).into(),
                ..OfferSummary::default()
            };
            no_offer.push(not_permitted(summary, &fault));
        }
    }
    refused.retain(|(entry, offer, _)| {
        works.iter().all(|(_, work)| work.kind != offer.kind)
            && (!kinds.is_empty() || works.is_empty() || now < entry.agreement.valid_until)
    });
    Routes {
        works,
        refused,
        no_offer,
    }
}

fn summary_of(entry: &Entry, offer: &Offer) -> OfferSummary {
    OfferSummary {
        agreement_id: entry.agreement.id.clone(),
        offer_id: offer.id.clone(),
        kind: kind_to_proto(offer.kind).into(),
        ..OfferSummary::default()
    }
}

fn not_permitted(summary: OfferSummary, fault: &Fault) -> OfferSummary {
    OfferSummary {
        reason: UnknownReason::NotPermitted.into(),
        detail: fault.to_string(),
        ..summary
    }
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
        // The partner failed inside, which may be over soon and may not.
        UnknownReason::Failed if failure.retry_after.is_some() => End::Stumbled(failure.detail.clone()),
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
    /// The names of our lists.
    lists: Vec<String>,
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

    /// Looks up every tag that is kept, of whichever job, in the newest snapshot, and says which that was.
    async fn all_tags(&mut self, pass: u32) -> Result<End, Fault> {
        match self.renew_scope().await {
            Ok(()) => {}
            Err(end) => return Ok(end),
        }
        let snapshot = self.scope.snapshot();
        let Some((snapshot, (_, contains))) = snapshot.as_ref().and_then(|it| Some((it, lookup_of(it)?)))
        else {
            return Ok(self.stopped_by(&gone()));
        };
        // The one that is looked in, whatever is fetched meanwhile.
        self.summary.as_of = snapshot.manifest().as_of.to_string();
        self.summary.snapshot_version = snapshot.manifest().version;
        match self.look_up_kept(&contains, pass).await? {
            End::Succeeded => {}
            end => return Ok(end),
        }
        self.job.describe(self.summary.clone());
        Ok(End::Succeeded)
    }

    async fn look_up_kept(&self, contains: &Contains, pass: u32) -> Result<End, Fault> {
        let (store, scope) = (&self.state.store, self.scope.scope);
        let mut cursor: Option<BlindIndex> = None;
        loop {
            if self.job.cancel.is_cancelled() {
                return Ok(self.cancelled());
            }
            let page = store
                .kept_tags_page(scope, cursor, PAGE)
                .await
                .map_err(|error| store_fault(&error))?;
            let Some(last) = page.last() else {
                return Ok(End::Succeeded);
            };
            cursor = Some(last.blind_index);
            let tags: Vec<_> = page.iter().map(|kept| kept.tag).collect();
            let found = look_up(contains, tags).await?;
            let mut matches = Vec::new();
            for (kept, _) in page.iter().zip(found).filter(|(_, found)| *found) {
                matches.extend(self.matches_of(kept.blind_index).await?);
            }
            store
                .add_matches(self.job.id, pass, &matches)
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
        self.early_matches().await?;
        loop {
            if self.job.cancel.is_cancelled() {
                return Ok(self.cancelled());
            }
            match self.renew_scope().await {
                Ok(()) => {}
                Err(end) => return Ok(end),
            }
            match self.one_stream().await? {
                Some(end) => return Ok(end),
                None => self.job.touch(),
            }
        }
    }

    /// Before the first question: what tags of earlier jobs tell already. The job may have to wait for quota for days.
    async fn early_matches(&self) -> Result<(), Fault> {
        let begun = self
            .state
            .store
            .job_request(self.job.id, self.scope.scope)
            .await
            .map_err(|error| store_fault(&error))?;
        if begun.is_none()
            && self.count_left().await? > 0
            && let Some((_, contains)) = self.scope.snapshot().as_ref().and_then(lookup_of)
        {
            self.look_up_kept(&contains, 0).await?;
        }
        Ok(())
    }

    fn cancelled(&self) -> End {
        if self.state.stop.is_cancelled() {
            End::Stopping
        } else {
            End::Cancelled
        }
    }

    /// Whether the offer may still be asked, and in the same epoch.
    async fn renew_scope(&mut self) -> Result<(), End> {
        let mut summary = self.summary.clone();
        match usable_scope(&self.state, &self.entry.agreement, &self.offer, &mut summary).await {
            // Another epoch has begun: its tags are others.
            Ok(scope) if scope.epoch != self.scope.epoch => Err(new_epoch()),
            Ok(scope) => {
                (self.summary, self.scope) = (summary, scope);
                Ok(())
            }
            Err(failure) => Err(self.stopped_by(&failure)),
        }
    }

    /// What a failure means for the job; its summary says so too.
    fn stopped_by(&mut self, failure: &Failure) -> End {
        (self.summary.reason, self.summary.detail) = (failure.reason.into(), failure.detail.clone());
        self.job.describe(self.summary.clone());
        let epoch = self.entry.agreement.epoch_at(self.state.clock.now());
        // The key asked under has ended meanwhile: not what the partner minds.
        if failure.reason == UnknownReason::NotPermitted && epoch.is_some_and(|now| now != self.scope.epoch) {
            return new_epoch();
        }
        end_of(failure)
    }

    /// The request to go on with, and the chunks of it that were planned before; `None` if everything has a tag.
    async fn request(&self, canaries: &CanarySeeds) -> Result<Option<(JobRequest, Vec<ChunkPlan>)>, Fault> {
        let (store, job, scope) = (&self.state.store, self.job.id, self.scope.scope);
        let fault = |error: StoreError| store_fault(&error);
        let begun = store.job_request(job, scope).await.map_err(fault)?;
        if let Some(begun) = begun
            && begun.request_id == request_id(job, scope, canaries, begun.first_index)
        {
            let again = store.planned_chunks(job, scope).await.map_err(fault)?;
            let next = store.plan_cursor(job, scope).await.map_err(fault)?;
            let next = next.map_or(0, |cursor| cursor.next_index);
            if !again.is_empty() || next < begun.first_index + begun.chunks {
                return Ok(Some((begun, again)));
            }
        }
        // It is complete, or its chunks cannot be sent again byte for byte: the base of the snapshot is another.
        if let Some(begun) = begun {
            self.close(&begun).await?;
        }
        store.drop_planned_chunks(job, scope).await.map_err(fault)?;
        let identifiers = self.count_left().await?;
        if identifiers == 0 {
            return Ok(None);
        }
        let next = store.plan_cursor(job, scope).await.map_err(fault)?;
        let first_index = next.map_or(0, |cursor| cursor.next_index);
        let padding = self.offer.padding;
        let chunk_size = self.state.config.matching.job_chunk_elements as usize;
        let count = usize::try_from(identifiers).unwrap_or(usize::MAX);
        let layout = layout(count, chunk_size, |elements| padding.class(elements));
        let request = JobRequest {
            job,
            scope,
            request_id: request_id(job, scope, canaries, first_index),
            first_index,
            chunks: u32::try_from(layout.len()).map_err(|_| Fault::internal("too many chunks"))?,
            identifiers,
            elements: layout.iter().map(|(size, _)| *size as u64).sum(),
        };
        store.put_job_request(&request).await.map_err(fault)?;
        Ok(Some((request, Vec::new())))
    }

    /// A request of this job, as the ledger knows it.
    async fn question(&self, request: &JobRequest) -> Result<Question, Fault> {
        let closed = self.state.store.entries_of(&request.request_id, "query").await;
        Ok(Question {
            context: self.context.clone(),
            entry: Arc::clone(&self.entry),
            offer: self.offer.clone(),
            epoch: self.scope.epoch,
            exchange: uuid::Uuid::from_bytes(request.request_id),
            step: closed.map_err(|error| store_fault(&error))?,
            elements: request.elements,
        })
    }

    /// Puts on record how a request ended.
    async fn close(&self, request: &JobRequest) -> Result<(), Fault> {
        let question = self.question(request).await?;
        let outcome = asked::compared(&self.state, request).await?;
        let entry = question.closed(&self.state, outcome)?;
        let closed = self.state.store.close_exchange(entry).await;
        closed.map(drop).map_err(|error| store_fault(&error))
    }

    /// One stream of chunks; `None` if there may be more.
    async fn one_stream(&mut self) -> Result<Option<End>, Fault> {
        let (state, scope, job) = (Arc::clone(&self.state), Arc::clone(&self.scope), self.job.id);
        let snapshot = scope.snapshot();
        let Some((canaries, contains)) = snapshot.as_ref().and_then(lookup_of) else {
            return Ok(Some(self.stopped_by(&gone())));
        };
        // A chunk may be sent again after the snapshot has grown a layer: its dummies must stay the same.
        let canaries = canaries.oldest_only();
        let Some((request, again)) = self.request(&canaries).await? else {
            return Ok(Some(End::Succeeded));
        };
        let planner = Planner {
            state: Arc::clone(&state),
            job,
            scope: scope.scope,
            selection: self.selection.clone(),
            request,
            again,
            left: CHUNKS_PER_STREAM,
            plans: Arc::default(),
        };
        let Some((first, planner)) = planner.next().await? else {
            return Ok(None);
        };
        let plans = Arc::clone(&planner.plans);
        // One record of the request on either side, however many streams it takes.
        let question = self.question(&request).await?;
        let opened = question.opened(&state, request.identifiers, &self.lists)?;
        let row = ExchangeRow {
            id: question.exchange,
            at_ms: state.now_ms(),
            partner: self.partner.clone(),
            scope: Some(scope.scope),
            purpose: purpose_name(self.context.purpose).to_owned(),
            legal_basis: self.context.legal_basis.clone(),
            elements: request.elements,
            asked: Some(self.context.asked(uuid::Uuid::from_bytes(*job.as_bytes()))),
        };
        state
            .store
            .recording(opened)
            .append_exchange(&row)
            .await
            .map_err(|error| store_fault(&error))?;
        let exchange = Exchange {
            partner: self.entry.partner.clone(),
            open: concordat_wire::v1::EvaluateOpen {
                scope: Some(scope_to_proto(&self.entry.agreement, &self.offer, scope.epoch)),
                request_id: request.request_id.to_vec(),
                purpose: self.context.purpose.into(),
                legal_basis: self.context.legal_basis.clone(),
                padded_elements: request.elements,
            },
            client: scope.client.clone(),
            canaries,
            contains,
            compute: state.compute.clone(),
            priority: Priority::Bulk,
            deadline: Instant::now() + STREAM_TIME,
            window: WINDOW,
            recorded: std::future::ready(Ok(())).boxed().shared(),
        };
        // The planner writes to the database while the exchange and the outcomes do: it has a task of its own, so
        // that none of them can hold the connection that another one waits for.
        let (planned, chunks) = mpsc::channel(2);
        let planning = tokio::spawn(planner.run(first, planned));
        let outcome = self.exchange(exchange, chunks, &plans, &question).await;
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
        question: &Question,
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
                    return Ok(Some(self.cancelled()));
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
                question.failed(&self.state, &failure).await;
                Ok(Some(self.stopped_by(&failure)))
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
        // An answer to a chunk is always with what both sides record of it.
        let Some(answered) = done.answered else {
            return Ok(None);
        };
        let found_here = answers.iter().filter(|answer| answer.found.is_some()).count() as u64;
        let mut matches = Vec::new();
        let mut tags = Vec::with_capacity(answers.len());
        for Answer { number, tag, found } in answers {
            let Some(blind_index) = items.get(number).copied() else {
                continue;
            };
            tags.push(KeptTag { blind_index, tag });
            if found.is_some() {
                matches.extend(self.matches_of(blind_index).await?);
            }
        }
        let completed = CompletedChunk {
            job: self.job.id,
            scope: self.scope.scope,
            index: done.index,
            done: items.len() as u64,
            found: found_here,
            digest: answered.digest,
            elements: answered.elements,
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

fn new_epoch() -> End {
    End::Paused("a new epoch has begun".into())
}

fn gone() -> Failure {
    Failure::new(UnknownReason::SnapshotMissing, "the partner's snapshot is gone")
}

/// The identifiers of chunks on the way, by the chunk's index.
type Plans = Arc<tokio::sync::Mutex<HashMap<u32, Vec<BlindIndex>>>>;

/// The same for every stream of a request: a chunk sent again is known by it and its index. Whatever else decides a
/// chunk's bytes is part of it: with another base it is another request.
fn request_id(job: JobId, scope: ScopeId, canaries: &CanarySeeds, first_index: u32) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"concordat/v1/job\0");
    hash.update(job.as_bytes());
    hash.update(scope.0.to_be_bytes());
    hash.update(first_index.to_be_bytes());
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
