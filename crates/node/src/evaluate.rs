//! The owner's side of a query: admit, charge, evaluate, prove.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use concordat_ledger::{Evaluation, EvaluationOpened, Hex, QuotaRefused, Scope, Side, Stated, transcript};
use concordat_oprf::EvaluateError;
use concordat_store::{Budget, Charge, ChargeOutcome, Exchange, Quota};
use concordat_wire::v1::{
    ChunkRefused, EvaluateChunk, EvaluateOpen, EvaluateRequest, EvaluateResponse, EvaluatedChunk,
    chunk_refused::Cause, evaluate_request, evaluate_response,
};
use concordat_wire::{Fault, MAX_CHUNK_ELEMENTS, Reason};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::access::PartnerCall;
use crate::agreement::{MAX_EVALUATIONS, Offer, purpose_name};
use crate::book::Entry;
use crate::charge::Record;
use crate::compute::{Busy, Priority, thread_time};
use crate::keys::OwnKey;
use crate::ledger::{self, stated, text};
use crate::state::State;
use crate::tls::SpkiPin;

/// Chunks of one stream in work at once. The next is read when one is done: a fast sender is held back.
const IN_WORK: usize = 16;
/// A stream that sends nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// What a partner had evaluated it may have evaluated again, where an answer was lost on the way: this many times over.
const REPLAYS: u64 = 8;
/// Requests of at most so many elements are taken as a person waiting.
const INTERACTIVE_ELEMENTS: u64 = 65_536;

/// What a partner's call is named where it is refused.
const EVALUATE: &str = "evaluate";
const QUOTA: &str = "quota";

/// An answer, and its partner's place for it, which is free again when the answer has left.
pub type Answer = (Result<EvaluateResponse, Status>, Option<OwnedSemaphorePermit>);

/// An admitted request.
struct Admitted {
    entry: Arc<Entry>,
    offer: Offer,
    epoch: u32,
    key: Arc<OwnKey>,
    request_id: [u8; 16],
    announced: u64,
    stated: Stated,
    /// To be put on record with the first chunk: what the record refuses costs nothing, and a stream without chunks leaves none.
    exchange: Exchange,
    recorded: AtomicBool,
    priority: Priority,
    /// That its quota is used up is on record.
    refused: AtomicBool,
    /// The partner's places for chunks.
    places: Arc<Semaphore>,
    /// The partner's place for this stream.
    _stream: OwnedSemaphorePermit,
}

impl Admitted {
    fn scope(&self) -> Scope {
        ledger::scope(&self.entry.agreement, &self.offer, self.epoch)
    }

    fn opened(&self, step: u32) -> EvaluationOpened {
        EvaluationOpened {
            exchange: Hex(self.request_id),
            step,
            partner: text(&self.entry.partner.id),
            stated: self.stated.clone(),
            scope: self.scope(),
            elements: self.announced,
        }
    }
}

/// What the ledger is told in the transaction that charges a chunk.
fn recorder(state: &Arc<State>, admitted: &Arc<Admitted>) -> Record {
    let (state, admitted) = (Arc::clone(state), Arc::clone(admitted));
    Arc::new(move |progress| {
        let agreement = &admitted.entry.agreement;
        let entry = match progress.ended {
            None => state.entry_under(agreement, admitted.opened(progress.closed)),
            Some(answered) => {
                let exchange = Hex(admitted.request_id);
                let evaluation = Evaluation {
                    exchange,
                    step: progress.closed,
                    partner: text(&admitted.entry.partner.id),
                    stated: admitted.stated.clone(),
                    scope: admitted.scope(),
                    elements: answered.elements,
                    transcript: transcript(&exchange, answered.chunks),
                };
                state.entry_under(agreement, evaluation)
            }
        };
        entry
            .inspect_err(|fault| tracing::error!(%fault, "an evaluation cannot be recorded"))
            .ok()
    })
}

/// Serves one `Evaluate` stream of `partner`.
///
/// # Errors
/// The opening is refused: not permitted, or malformed. Later trouble is answered chunk by chunk, or ends the stream.
pub async fn serve(
    state: Arc<State>,
    partner: SpkiPin,
    mut requests: Streaming<EvaluateRequest>,
) -> Result<mpsc::Receiver<Answer>, Status> {
    let fair = state.fairness.of(&partner);
    let Ok(stream) = Arc::clone(&fair.streams).try_acquire_owned() else {
        return Err(Fault::new(
            Reason::Exhausted,
            "PEER-012",
            "this partner has as many streams open as it may",
        )
        .retry_after(Duration::from_millis(250))
        .into());
    };
    let first = next(&mut requests).await?.and_then(|request| request.message);
    let Some(evaluate_request::Message::Open(open)) = first else {
        return Err(Fault::invalid(
            "PEER-002",
            "message",
            "the first message of a stream is its opening",
        )
        .into());
    };
    let purpose = open.purpose();
    let stated = stated(purpose_name(purpose), &open.legal_basis);
    let call = PartnerCall {
        partner: &partner,
        name: EVALUATE,
        scope: open.scope.as_ref(),
        stated: Some(&stated),
    };
    let (entry, offer, epoch, request_id) = state.noting(&call, admit(&state, &partner, &open)).await?;
    let announced = open.padded_elements;
    let key = state
        .own_keys
        .get(&state, (&entry.agreement, &offer, epoch))
        .await?;
    tracing::info!(
        partner = entry.partner.id,
        agreement = entry.agreement.id,
        offer = offer.id,
        epoch,
        elements = announced,
        purpose = purpose_name(purpose),
        "evaluating"
    );
    let priority = if announced <= INTERACTIVE_ELEMENTS {
        Priority::Interactive
    } else {
        Priority::Bulk
    };
    let exchange = Exchange {
        id: Uuid::from_bytes(request_id),
        at_ms: state.now_ms(),
        partner: entry.partner.id.clone(),
        scope: Some(key.scope),
        purpose: purpose_name(purpose).to_owned(),
        legal_basis: open.legal_basis,
        elements: announced,
        asked: None,
    };
    let admitted = Arc::new(Admitted {
        entry,
        offer,
        epoch,
        key,
        request_id,
        announced,
        stated,
        exchange,
        recorded: AtomicBool::new(false),
        priority,
        refused: AtomicBool::new(false),
        places: Arc::clone(&fair.chunks),
        _stream: stream,
    });
    let (sender, receiver) = mpsc::channel(IN_WORK);
    tokio::spawn(async move {
        if let Err(status) = run(&state, &admitted, &mut requests, &sender).await {
            // The partner may be gone: then nobody reads why.
            let _ = sender.send((Err(status), None)).await;
        }
    });
    Ok(receiver)
}

/// Whether what a stream announces may be answered.
///
/// # Errors
/// It is not permitted, or malformed.
fn admit(
    state: &State,
    partner: &SpkiPin,
    open: &EvaluateOpen,
) -> Result<(Arc<Entry>, Offer, u32, [u8; 16]), Fault> {
    let now = state.clock.now();
    let (entry, offer, epoch) = state.book.admit(partner, open.scope.as_ref(), now)?;
    entry
        .agreement
        .permits(&offer, open.purpose(), &open.legal_basis, now)?;
    let request_id = open
        .request_id
        .as_slice()
        .try_into()
        .map_err(|_| Fault::invalid("PEER-003", "request_id", "a request id has 16 bytes"))?;
    // No agreement covers more. And what a partner says here goes into an entry of the ledger, which holds no number above 2^53 - 1:
    // one that cannot be written would fail the chunks of others that are charged with it.
    if open.padded_elements > MAX_EVALUATIONS {
        return Err(Fault::invalid(
            "PEER-017",
            "padded_elements",
            format!("a request announces at most {MAX_EVALUATIONS} elements"),
        ));
    }
    Ok((entry, offer, epoch, request_id))
}

async fn next(requests: &mut Streaming<EvaluateRequest>) -> Result<Option<EvaluateRequest>, Status> {
    tokio::time::timeout(IDLE, requests.message())
        .await
        .map_err(|_| Status::deadline_exceeded("the stream was idle for too long"))?
}

/// Chunks in work: how many elements, what became of it, and the place that it takes.
type Working = FuturesUnordered<
    BoxFuture<
        'static,
        (
            u32,
            Result<evaluate_response::Message, Fault>,
            OwnedSemaphorePermit,
        ),
    >,
>;

async fn run(
    state: &Arc<State>,
    admitted: &Arc<Admitted>,
    requests: &mut Streaming<EvaluateRequest>,
    sender: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    let mut working = Working::new();
    let outcome = answer(state, admitted, requests, sender, &mut working).await;
    // What was taken up comes to its end, and is on record if it is refused, though nobody may wait for it any more.
    while let Some((_, answer, _)) = working.next().await {
        let _ = noting(state, admitted, answer).await;
    }
    outcome
}

async fn answer(
    state: &Arc<State>,
    admitted: &Arc<Admitted>,
    requests: &mut Streaming<EvaluateRequest>,
    sender: &mpsc::Sender<Answer>,
    working: &mut Working,
) -> Result<(), Status> {
    let mut received = 0_u64;
    let mut waiting = None;
    let mut open = true;
    while open || waiting.is_some() || !working.is_empty() {
        let room = working.len() < IN_WORK;
        tokio::select! {
            () = sender.closed() => return Ok(()),
            () = state.stop.cancelled() => return Err(Status::unavailable("the node is stopping")),
            Some(answer) = working.next(), if !working.is_empty() => {
                let (elements, answer, place) = answer;
                let answer = noting(state, admitted, answer).await?;
                // A refused chunk may come again.
                if matches!(answer, evaluate_response::Message::Refused(_)) {
                    received -= u64::from(elements);
                }
                let response = EvaluateResponse { message: Some(answer) };
                if sender.send((Ok(response), Some(place))).await.is_err() {
                    return Ok(());
                }
            }
            place = Arc::clone(&admitted.places).acquire_owned(), if waiting.is_some() => {
                let place = place.map_err(|_| Status::unavailable("the node is stopping"))?;
                if let Some((chunk, elements)) = waiting.take() {
                    let work = evaluate(Arc::clone(state), Arc::clone(admitted), chunk, elements);
                    working.push(async move { (elements, work.await, place) }.boxed());
                }
            }
            request = next(requests), if open && room && waiting.is_none() => match request?.and_then(|request| request.message) {
                None => open = false,
                Some(evaluate_request::Message::Open(_)) => {
                    return Err(Fault::invalid("PEER-002", "open", "a stream is opened once").into());
                }
                Some(evaluate_request::Message::Chunk(chunk)) => {
                    let elements = check_size(&chunk)?;
                    received += u64::from(elements);
                    if received > admitted.announced.saturating_mul(REPLAYS) {
                        return Err(Fault::invalid(
                            "PEER-005",
                            "padded_elements",
                            "many more elements were sent than announced",
                        ).into());
                    }
                    waiting = Some((chunk, elements));
                }
            },
        }
    }
    Ok(())
}

/// Puts on record that a stream which was admitted is refused in the middle.
async fn noting<T>(state: &Arc<State>, admitted: &Admitted, answer: Result<T, Fault>) -> Result<T, Fault> {
    if answer.is_ok() {
        return answer;
    }
    let scope = crate::book::scope_to_proto(&admitted.entry.agreement, &admitted.offer, admitted.epoch);
    let call = PartnerCall {
        partner: &admitted.entry.partner.pin,
        name: EVALUATE,
        scope: Some(&scope),
        stated: Some(&admitted.stated),
    };
    state.noting(&call, answer).await
}

/// Puts on record that a quota is used up: the first time in a minute as that, then as refusals of the partner.
async fn quota_refused(state: &Arc<State>, admitted: &Arc<Admitted>, detail: &str) {
    let partner = &admitted.entry.partner;
    if state.access.first_in(QUOTA, &partner.id, state.minute()) {
        let refused = QuotaRefused {
            exchange: Hex(admitted.request_id),
            side: Side::Owner,
            partner: text(&partner.id),
            scope: admitted.scope(),
            elements: admitted.announced,
        };
        match state.record_under(&admitted.entry.agreement, refused).await {
            Ok(()) => return,
            Err(fault) => tracing::error!(%fault, "a used up quota could not be recorded"),
        }
        state.access.forget(QUOTA, &partner.id);
    }
    let refused = Fault::new(Reason::Exhausted, "AGR-120", detail);
    let _: Result<(), Fault> = noting(state, admitted, Err(refused)).await;
}

/// Size and count are bounded before anything else is done with a chunk.
fn check_size(chunk: &EvaluateChunk) -> Result<u32, Fault> {
    let bytes = chunk.elements.len();
    if bytes == 0 || !bytes.is_multiple_of(32) || bytes > MAX_CHUNK_ELEMENTS as usize * 32 {
        return Err(Fault::invalid(
            "PEER-004",
            "chunk.elements",
            format!(
                "chunk {}: 1 to {MAX_CHUNK_ELEMENTS} elements of 32 bytes, packed",
                chunk.index
            ),
        ));
    }
    u32::try_from(bytes / 32).map_err(|_| Fault::internal("counting elements"))
}

/// Charges and evaluates one chunk.
///
/// # Errors
/// Our own fault. The partner's is answered with `ChunkRefused`.
async fn evaluate(
    state: Arc<State>,
    admitted: Arc<Admitted>,
    chunk: EvaluateChunk,
    elements: u32,
) -> Result<evaluate_response::Message, Fault> {
    // Suspended or over since the stream was opened?
    let scope = crate::book::scope_to_proto(&admitted.entry.agreement, &admitted.offer, admitted.epoch);
    state
        .book
        .admit(&admitted.entry.partner.pin, Some(&scope), state.clock.now())?;
    let index = chunk.index;
    let charge_day = state.clock.day();
    let charge = Charge {
        scope: admitted.key.scope,
        quota: Quota {
            per_day: admitted.offer.quota_per_day,
            per_epoch: admitted.offer.quota_per_epoch,
        },
        day: charge_day,
        request_id: admitted.request_id,
        announced: admitted.announced,
        chunk_index: index,
        digest: Sha256::digest(&chunk.elements).into(),
        elements,
    };
    // Said to this partner by its name, before the chunks of others in its group would fail with it.
    state.ledger.records()?;
    let request = (!admitted.recorded.load(Ordering::Relaxed)).then(|| admitted.exchange.clone());
    let record = recorder(&state, &admitted);
    let outcome = state.charger.charge(request, charge, record).await?;
    if outcome.is_paid() {
        admitted.recorded.store(true, Ordering::Relaxed);
    }
    let refused = |cause, rule: &str, detail: String, retry_after_ms| {
        Ok(evaluate_response::Message::Refused(ChunkRefused {
            index,
            cause: i32::from(cause),
            rule: rule.to_owned(),
            detail,
            retry_after_ms,
            element: 0,
        }))
    };
    match outcome {
        ChargeOutcome::Charged { .. } => {}
        ChargeOutcome::AlreadyCharged => {
            let allowed = admitted.offer.quota_per_day.saturating_mul(REPLAYS);
            let replayed = state
                .fairness
                .of(&admitted.entry.partner.pin)
                .replay(charge_day, u64::from(elements));
            if replayed > allowed {
                return refused(
                    Cause::Quota,
                    "PEER-013",
                    "too much was asked for again today".into(),
                    0,
                );
            }
        }
        ChargeOutcome::DigestMismatch => {
            return refused(
                Cause::ReplayMismatch,
                "PEER-006",
                "this request id and chunk index came before with other elements".into(),
                0,
            );
        }
        ChargeOutcome::MoreThanAnnounced { left } => {
            return Err(Fault::invalid(
                "PEER-014",
                "padded_elements",
                format!("of the elements announced under this request id only {left} are left"),
            ));
        }
        ChargeOutcome::ForeignRequest => {
            return Err(Fault::invalid(
                "PEER-011",
                "request_id",
                "this request id belongs to another request",
            ));
        }
        ChargeOutcome::ScopeEnded => {
            return Err(Fault::new(
                Reason::NotPermitted,
                "AGR-114",
                "this epoch is over and its key destroyed",
            )
            .field("scope.epoch"));
        }
        ChargeOutcome::QuotaExceeded {
            which, resets_at_ms, ..
        } => {
            let which = match which {
                Budget::Day => "daily quota",
                Budget::Epoch => "quota of the epoch",
            };
            let detail = format!(
                "the {which} of offer {} does not cover this chunk",
                admitted.offer.id
            );
            // Once for a stream, however many chunks do not fit.
            if !admitted.refused.swap(true, Ordering::Relaxed) {
                quota_refused(&state, &admitted, &detail).await;
            }
            let wait = resets_at_ms.map_or(0, |reset| u64::try_from(reset - state.now_ms()).unwrap_or(0));
            return refused(Cause::Quota, "AGR-120", detail, wait);
        }
    }
    let mut rng = state.entropy.rng();
    let key = Arc::clone(&admitted.key);
    let work = move || {
        let start = thread_time();
        key.pair
            .blind_evaluate(&chunk.elements, &mut rng)
            .map(|evaluation| (evaluation, thread_time() - start))
    };
    match state.compute.run(admitted.priority, work).await {
        Ok(Ok((evaluation, time))) => Ok(evaluate_response::Message::Chunk(EvaluatedChunk {
            index,
            elements: evaluation.elements.into(),
            proof: evaluation.proof.to_vec(),
            evaluate_us: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        })),
        Ok(Err(error)) => {
            let element = match &error {
                EvaluateError::Element(fault) => u32::try_from(fault.index).unwrap_or(u32::MAX),
                _ => 0,
            };
            Ok(evaluate_response::Message::Refused(ChunkRefused {
                index,
                cause: i32::from(Cause::InvalidElement),
                rule: "PEER-007".into(),
                detail: error.to_string(),
                retry_after_ms: 0,
                element,
            }))
        }
        Err(Busy { retry_after }) => refused(
            Cause::Busy,
            "PEER-008",
            "the node is busy".into(),
            u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
        ),
    }
}
