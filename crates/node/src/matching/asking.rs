//! One request to each offer: worked out, put on record with the others of its query, sent, closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_identifiers::Identifier;
use concordat_ledger::IdentifierCommitment;
use concordat_oprf::Client;
use concordat_store::{Answered, Exchange as ExchangeRow, MAX_EXCHANGES, NewEntry, ScopeId};
use concordat_wire::v1::{OfferSummary, OfferTimings, UnknownReason};
use concordat_wire::{Fault, kind_to_proto, v1};
use futures_util::FutureExt;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Answers, CLOCKS_APART_S, Context, Route};
use crate::agreement::{Agreement, Offer, purpose_name};
use crate::asked::{self, Outcome, Question};
use crate::book::{scope_to_proto, store_fault};
use crate::chunk::{CanarySeeds, ChunkInput, layout};
use crate::compute::Priority;
use crate::desk::hits::Found;
use crate::exchange::{AnsweredChunk, Contains, Exchange, Failure, Recorded, Stats, late};
use crate::held::{HeldScope, lookup_of};
use crate::state::State;

/// What one offer is to be asked.
pub(super) struct Prepared<'a> {
    route: &'a Route,
    wanted: Arc<Vec<Identifier>>,
    summary: OfferSummary,
    start: Instant,
    /// The request, or why it cannot be asked.
    request: Result<Request, Failure>,
    /// What puts it on record.
    pub(super) record: Option<(Result<NewEntry, Fault>, ExchangeRow)>,
}

/// One request to a partner.
struct Request {
    question: Question,
    open: v1::EvaluateOpen,
    client: Client,
    canaries: CanarySeeds,
    contains: Contains,
    chunks: Vec<ChunkInput>,
    /// Which identifiers are in each chunk.
    numbers: Vec<Vec<usize>>,
    /// Which identifiers it is about, for the ledger.
    committed: JoinHandle<Option<IdentifierCommitment>>,
}

impl<'a> Prepared<'a> {
    pub(super) async fn of(
        state: &Arc<State>,
        route: &'a Route,
        wanted: Vec<Identifier>,
        (context, query): (&Context, Uuid),
    ) -> Self {
        let start = Instant::now();
        let mut summary = OfferSummary {
            agreement_id: route.entry.agreement.id.clone(),
            offer_id: route.offer.id.clone(),
            kind: kind_to_proto(route.offer.kind).into(),
            identifiers: wanted.len() as u64,
            ..OfferSummary::default()
        };
        let wanted = Arc::new(wanted);
        let request = request(state, route, &wanted, context, &mut summary).await;
        let (request, record) = match request {
            Ok((request, scope)) => {
                let question = &request.question;
                let row = ExchangeRow {
                    id: question.exchange,
                    at_ms: state.now_ms(),
                    partner: route.entry.partner.id.clone(),
                    scope: Some(scope),
                    purpose: purpose_name(context.purpose).to_owned(),
                    legal_basis: context.legal_basis.clone(),
                    elements: question.elements,
                    asked: Some(context.asked(query)),
                };
                let entry = question.opened(state, wanted.len() as u64, &[]);
                (Ok(request), Some((entry, row)))
            }
            Err(failure) => (Err(failure), None),
        };
        Self {
            route,
            wanted,
            summary,
            start,
            request,
            record,
        }
    }
}

/// Works out one request, in a scope that can be asked.
async fn request(
    state: &Arc<State>,
    route: &Route,
    wanted: &Arc<Vec<Identifier>>,
    context: &Context,
    summary: &mut OfferSummary,
) -> Result<(Request, ScopeId), Failure> {
    let (agreement, offer) = (&route.entry.agreement, &route.offer);
    if let Err(fault) = &route.permitted {
        asked::not_permitted(state, context, &route.entry, offer, fault).await;
        return Err(Failure::new(UnknownReason::NotPermitted, fault.to_string()));
    }
    let scope = usable_scope(state, agreement, offer, summary).await?;
    let snapshot = scope.snapshot().ok_or_else(no_snapshot)?;
    let (canaries, contains) = lookup_of(&snapshot).ok_or_else(no_snapshot)?;

    let exchange = state.new_uuid();
    // What the ledger needs at the end is worked out while the rest is prepared.
    let committed = {
        let (ledger, wanted) = (Arc::clone(&state.ledger), Arc::clone(wanted));
        let commit = move || asked::commit(ledger.audit_key(), exchange, &wanted);
        // Not in the compute threads' queue: it takes no place that a chunk needs.
        tokio::task::spawn_blocking(commit)
    };
    let chunk = state.config.matching.query_chunk_elements as usize;
    let padding = offer.padding;
    let mut inputs = wanted
        .iter()
        .enumerate()
        .map(|(number, identifier)| (number, identifier.oprf_input()));
    let layout = layout(wanted.len(), chunk, |elements| padding.class(elements));
    let padded: usize = layout.iter().map(|(size, _)| size).sum();
    let mut chunks = Vec::with_capacity(layout.len());
    let mut numbers: Vec<Vec<usize>> = Vec::with_capacity(layout.len());
    for (index, (size, share)) in layout.into_iter().enumerate() {
        let inputs: Vec<_> = inputs.by_ref().take(share).collect();
        numbers.push(inputs.iter().map(|(number, _)| *number).collect());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        chunks.push(ChunkInput {
            index,
            inputs,
            size,
            seed: state.entropy.seed(),
        });
    }
    let question = Question {
        context: context.clone(),
        entry: Arc::clone(&route.entry),
        offer: offer.clone(),
        epoch: scope.epoch,
        exchange,
        step: 0,
        elements: padded as u64,
    };
    let open = v1::EvaluateOpen {
        scope: Some(scope_to_proto(agreement, offer, scope.epoch)),
        request_id: exchange.as_bytes().to_vec(),
        purpose: context.purpose.into(),
        legal_basis: context.legal_basis.clone(),
        padded_elements: padded as u64,
    };
    let request = Request {
        question,
        open,
        client: scope.client.clone(),
        canaries,
        contains,
        chunks,
        numbers,
        committed,
    };
    Ok((request, scope.scope))
}

/// Asks one offer about identifiers of its kind. Never fails: trouble becomes UNKNOWN for each of them.
pub(super) async fn ask(
    state: &Arc<State>,
    prepared: Prepared<'_>,
    recorded: Recorded,
    deadline: Instant,
) -> Answers {
    let Prepared {
        route,
        wanted,
        mut summary,
        start,
        request,
        record: _,
    } = prepared;
    let mut found: HashMap<Identifier, Result<bool, UnknownReason>> = HashMap::with_capacity(wanted.len());
    let mut closing = None;
    let mut proofs = HashMap::new();
    let mut exchange = Uuid::nil();
    let asked = match request {
        Ok(request) => try_ask(state, request, &wanted, (recorded, deadline), &mut summary).await,
        Err(failure) => Err(failure),
    };
    // Nobody else has them any more.
    let wanted = Arc::unwrap_or_clone(wanted);
    match asked {
        Ok(asking) => {
            // Not answered and not refused cannot happen; were it so, it would be UNKNOWN.
            found.extend(wanted.into_iter().zip(asking.found));
            let found = asking.proofs.into_iter();
            proofs.extend(found.map(|found| (found.identifier.clone(), found)));
            exchange = asking.exchange;
            closing = Some(asking.closing);
            if let Some(failure) = asking.failures.first() {
                summary.reason = failure.reason.into();
                summary.detail.clone_from(&failure.detail);
            }
        }
        Err(failure) => {
            summary.reason = failure.reason.into();
            summary.detail.clone_from(&failure.detail);
            found.extend(
                wanted
                    .into_iter()
                    .map(|identifier| (identifier, Err(failure.reason))),
            );
        }
    }
    if let Some(timings) = &mut summary.timings {
        timings.wall_us = micros(start.elapsed());
    }
    Answers {
        partner: route.entry.partner.id.clone(),
        kind: route.offer.kind,
        found,
        proofs,
        exchange,
        summary,
        closing,
    }
}

type Verdicts = Vec<Result<bool, UnknownReason>>;

/// What came of asking an offer.
struct Asking {
    found: Verdicts,
    proofs: Vec<Found>,
    failures: Vec<Failure>,
    exchange: Uuid,
    closing: Recorded,
}

async fn try_ask(
    state: &Arc<State>,
    request: Request,
    wanted: &Arc<Vec<Identifier>>,
    (recorded, deadline): (Recorded, Instant),
    summary: &mut OfferSummary,
) -> Result<Asking, Failure> {
    let Request {
        question,
        open,
        client,
        canaries,
        contains,
        chunks,
        numbers,
        committed,
    } = request;
    let exchange_id = question.exchange;
    let exchange = Exchange {
        partner: question.entry.partner.clone(),
        open,
        client,
        canaries,
        contains,
        compute: state.compute.clone(),
        priority: Priority::Interactive,
        deadline,
        window: chunks.len(),
        recorded: recorded.clone(),
    };
    let late = late();
    let mut found: Verdicts = vec![Err(late.reason); wanted.len()];
    let mut failures = Vec::new();
    let mut proofs = Vec::new();
    let mut done = Vec::new();
    let stats = exchange
        .run(futures_util::stream::iter(chunks), |chunk| done.push(chunk))
        .await;
    if recorded.await.is_err() {
        return Err(Failure::new(
            UnknownReason::Failed,
            "the query could not be recorded, so it was not asked",
        ));
    }
    if done.len() < numbers.len() {
        failures.push(late);
    }
    done.sort_unstable_by_key(|chunk| chunk.index);
    let mut answered = Answered::default();
    for chunk in done {
        if let Some(AnsweredChunk { digest, elements }) = chunk.answered {
            answered.elements += u64::from(elements);
            answered.chunks.push((chunk.index, digest));
        }
        let members = numbers
            .get(chunk.index as usize)
            .map(Vec::as_slice)
            .unwrap_or_default();
        match chunk.result {
            Ok(answers) => {
                for answer in answers {
                    found[answer.number] = Ok(answer.found.is_some());
                    if let Some(key) = answer.found {
                        proofs.push(Found {
                            identifier: wanted[answer.number].clone(),
                            tag: answer.tag,
                            key,
                        });
                    }
                }
            }
            Err(failure) => {
                for number in members {
                    found[*number] = Err(failure.reason);
                }
                question.failed(state, &failure).await;
                failures.push(failure);
            }
        }
    }
    describe(summary, &stats);
    let count = |wanted: bool| found.iter().filter(|found| **found == Ok(wanted)).count() as u64;
    let outcome = Outcome {
        answered,
        items: wanted.len() as u64,
        identifiers: committed.await.map_err(|_| uncommitted())?,
        hit: count(true),
        no_hit: count(false),
        interrupted: false,
    };
    Ok(Asking {
        found,
        proofs,
        failures,
        exchange: exchange_id,
        closing: close(state, &question, outcome),
    })
}

/// Puts the exchanges of a query on record, all at once; ends when that is on disk. Blinding goes on meanwhile.
pub(super) fn open(state: &State, records: Vec<(Result<NewEntry, Fault>, ExchangeRow)>) -> Recorded {
    let rows = records.into_iter().map(|(entry, row)| Ok((row, entry?)));
    let begun = rows.collect::<Result<Vec<_>, Fault>>().map(|rows| {
        let mut rows = rows.into_iter().peekable();
        let mut begun = Vec::new();
        while rows.peek().is_some() {
            let some = rows.by_ref().take(MAX_EXCHANGES).collect();
            begun.push(state.store.begin_exchanges(some));
        }
        begun
    });
    async move {
        for recorded in begun? {
            recorded.await.map_err(|error| store_fault(&error))?;
        }
        Ok(())
    }
    .boxed()
    .shared()
}

/// Begins to put on record how an exchange ended; what the caller is told is worked out meanwhile.
fn close(state: &State, question: &Question, outcome: Outcome) -> Recorded {
    let entry = question.closed(state, outcome);
    let closed = entry.map(|entry| state.store.close_exchange(entry));
    async move {
        let closed = closed?.await;
        closed.map(drop).map_err(|error| store_fault(&error))
    }
    .boxed()
    .shared()
}

fn uncommitted() -> Failure {
    Failure::new(UnknownReason::Failed, "the query could not be recorded")
}

fn no_snapshot() -> Failure {
    Failure::new(
        UnknownReason::SnapshotMissing,
        "no snapshot of the partner's list is held for this epoch yet",
    )
}

/// The scope to ask in: the current epoch's, or that of the epoch before as long as its grace lasts, with a snapshot
/// that is young enough.
///
/// # Errors
/// Why the offer cannot be asked.
pub async fn usable_scope(
    state: &State,
    agreement: &Agreement,
    offer: &Offer,
    summary: &mut OfferSummary,
) -> Result<Arc<HeldScope>, Failure> {
    let now = state.clock.now();
    let current = agreement
        .epoch_at(now)
        .ok_or_else(|| Failure::new(UnknownReason::NotPermitted, "the agreement is not valid now"))?;
    let mut best = no_snapshot();
    for epoch in [Some(current), current.checked_sub(1)].into_iter().flatten() {
        if !agreement.epoch_usable(epoch, now) {
            continue;
        }
        let scope = state.held.get(state, (agreement, offer, epoch)).await;
        let scope = scope.map_err(|fault| Failure::new(UnknownReason::Failed, fault.to_string()))?;
        let Some(scope) = scope else { continue };
        let Some(snapshot) = scope.snapshot() else {
            continue;
        };
        let manifest = snapshot.manifest();
        summary.epoch = epoch;
        summary.as_of = manifest.as_of.to_string();
        summary.max_age_s = u64::from(manifest.max_age_seconds).min(offer.max_age_s);
        summary.snapshot_version = manifest.version;
        let age = now.as_second() - manifest.as_of.as_second();
        if age < -CLOCKS_APART_S {
            best = Failure::new(
                UnknownReason::SnapshotStale,
                format!(
                    "the partner's snapshot claims to be of {}, which is yet to come: one of the two clocks is wrong",
                    manifest.as_of
                ),
            );
            continue;
        }
        if age > i64::try_from(summary.max_age_s).unwrap_or(i64::MAX) {
            best = Failure::new(
                UnknownReason::SnapshotStale,
                format!(
                    "the partner's snapshot is of {} and older than the agreement allows",
                    manifest.as_of
                ),
            );
            continue;
        }
        return Ok(scope);
    }
    Err(best)
}

/// Writes counts and times into a summary.
pub fn describe(summary: &mut OfferSummary, stats: &Stats) {
    summary.padded_elements = stats.elements;
    summary.bytes_sent = stats.bytes_sent;
    summary.bytes_received = stats.bytes_received;
    summary.timings = Some(OfferTimings {
        blind_us: micros(stats.blind),
        verify_finalize_us: micros(stats.verify_finalize),
        lookup_us: micros(stats.lookup),
        partner_evaluate_us: micros(stats.partner_evaluate),
        wall_us: 0,
    });
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
