//! One request to one partner under one scope: chunks go out as they are blinded, answers are verified as they come.
//!
//! The stream is re-opened once when it breaks, and the chunks without an answer are sent again byte for byte: the
//! partner does not charge them twice. Whatever has no verified answer when the deadline comes is reported as such.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use concordat_oprf::Client;
use concordat_wire::v1::{
    ChunkRefused, EvaluateChunk, EvaluateOpen, EvaluateRequest, EvaluateResponse, EvaluatedChunk,
    UnknownReason, chunk_refused::Cause, evaluate_request, evaluate_response,
};
use concordat_wire::{Fault, FaultView};
use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::chunk::{Answer, CanarySeeds, ChunkFault, ChunkInput, PreparedChunk, Tag};
use crate::compute::{Compute, Priority, thread_time};
use crate::partner::Partner;

/// Tells which tags the partner's snapshot holds.
pub type Contains = Arc<dyn Fn(&[Tag]) -> Result<Vec<bool>, String> + Send + Sync>;

/// How a request is made.
pub struct Exchange {
    /// Whom to ask.
    pub partner: Partner,
    /// Scope, request id, purpose: what the partner is told.
    pub open: EvaluateOpen,
    /// Trusts the scope's pinned key.
    pub client: Client,
    /// Of the snapshot that `contains` looks in.
    pub canaries: CanarySeeds,
    /// The snapshot.
    pub contains: Contains,
    /// Threads for the arithmetic.
    pub compute: Compute,
    /// A person waits, or a job.
    pub priority: Priority,
    /// When to give up.
    pub deadline: Instant,
    /// Chunks on the way at once: bounds memory.
    pub window: usize,
    /// Ends when the exchange is on record; nothing is sent before.
    pub recorded: Recorded,
}

/// What became of one chunk.
pub struct ChunkDone {
    /// Its index.
    pub index: u32,
    /// What the partner answered, whatever became of the answer.
    pub answered: Option<AnsweredChunk>,
    /// The answers, or why there are none.
    pub result: Result<Vec<Answer>, Failure>,
}

/// What both sides record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredChunk {
    /// SHA-256 of its blinded elements.
    pub digest: [u8; 32],
    /// How many.
    pub elements: u32,
}

/// Ends when something is on record.
pub type Recorded = Shared<BoxFuture<'static, Result<(), Fault>>>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the verdict.
    pub reason: UnknownReason,
    /// For people; holds no identifier.
    pub detail: String,
    /// Names the exchange where the partner broke the protocol.
    pub transcript: Option<[u8; 32]>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that no transcript belongs to.
    pub fn new(reason: UnknownReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            transcript: None,
            retry_after: None,
        }
    }
}

/// The failure of a chunk that met the deadline.
pub fn late() -> Failure {
    Failure::new(UnknownReason::Deadline, "no answer before the deadline")
}

/// Counts and times of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Elements sent, dummies included; those sent again count once.
    pub elements: u64,
    /// Bytes of messages given to a stream, whether the partner took them or not, and of those received; before TLS.
    pub bytes_sent: u64,
    /// As above.
    pub bytes_received: u64,
    /// Processor time.
    pub blind: Duration,
    /// Processor time.
    pub verify_finalize: Duration,
    /// Processor time.
    pub lookup: Duration,
    /// As the partner reports it.
    pub partner_evaluate: Duration,
}

type Finished = (
    u32,
    AnsweredChunk,
    Result<(Vec<Answer>, Duration, Duration), Failure>,
);

/// The partner's answers on the way.
type Opening = BoxFuture<'static, Result<Streaming<EvaluateResponse>, Status>>;

struct Running<F> {
    on_done: F,
    pending: HashMap<u32, Arc<PreparedChunk>>,
    stats: Stats,
    /// What goes to the partner. Chunks follow the opening at once: its answer would be a round trip.
    request: Option<mpsc::Sender<EvaluateRequest>>,
    /// On the way to `responses`.
    opening: Option<Opening>,
    responses: Option<Streaming<EvaluateResponse>>,
    retries_left: u32,
    /// Why no further stream is opened.
    dead: Option<Failure>,
    /// Chunks the partner was too busy for, to be sent again.
    resend: FuturesUnordered<BoxFuture<'static, u32>>,
}

impl Exchange {
    /// Runs all chunks; calls `on_done` at most once for each. A chunk it was not called for when this returns met
    /// the deadline ([`late`]).
    pub async fn run(
        self,
        chunks: impl Stream<Item = ChunkInput> + Send,
        on_done: impl FnMut(ChunkDone) + Send,
    ) -> Stats {
        let ahead = self.compute.threads() + 1;
        let prepared = chunks.map(|chunk| self.prepare(chunk)).buffer_unordered(ahead);
        tokio::pin!(prepared);
        let mut running = Running {
            on_done,
            pending: HashMap::new(),
            stats: Stats::default(),
            request: None,
            opening: None,
            responses: None,
            retries_left: 1,
            dead: None,
            resend: FuturesUnordered::new(),
        };
        let mut finishing: FuturesUnordered<BoxFuture<'static, Finished>> = FuturesUnordered::new();
        let mut more = true;
        let deadline = tokio::time::sleep_until(self.deadline.into());
        tokio::pin!(deadline);
        while more || !running.pending.is_empty() || !finishing.is_empty() {
            let room = running.pending.len() < self.window;
            tokio::select! {
                biased;
                () = &mut deadline => {
                    // Chunks that were not drawn yet have no answer either; the caller knows which.
                    let late = late();
                    running.fail_pending(&late);
                    while let Some((index, answered, _)) = finishing.next().await {
                        running.done(index, Some(answered), Err(late.clone()));
                    }
                    break;
                }
                Some((index, answered, finished)) = finishing.next(), if !finishing.is_empty() => {
                    running.finished(index, answered, finished);
                }
                opened = next_opened(&mut running.opening), if running.opening.is_some() => {
                    running.opening = None;
                    match opened {
                        Ok(responses) => running.responses = Some(responses),
                        Err(status) => self.reopen(&mut running, &status),
                    }
                }
                message = next_message(&mut running.responses), if running.responses.is_some() => match message {
                    Ok(Some(response)) => {
                        running.stats.bytes_received += response.encoded_len() as u64;
                        match response.message {
                            Some(evaluate_response::Message::Chunk(chunk)) => {
                                if let Some(work) = self.finish(&mut running, chunk) {
                                    finishing.push(work);
                                }
                            }
                            Some(evaluate_response::Message::Refused(refused)) => running.refused(&refused),
                            None => running.broken(Failure::new(
                                UnknownReason::Failed,
                                "the partner sent an empty message",
                            )),
                        }
                    }
                    Ok(None) => self.reopen(&mut running, &Status::unavailable("the partner ended the stream")),
                    Err(status) => self.reopen(&mut running, &status),
                },
                Some(index) = running.resend.next(), if !running.resend.is_empty() => {
                    running.send_chunk(index);
                }
                next = prepared.next(), if more && room => match next {
                    None => more = false,
                    Some((index, Err(failure))) => running.done(index, None, Err(failure)),
                    Some((index, Ok((chunk, time)))) => {
                        running.stats.blind += time;
                        if let Some(failure) = running.dead.clone() {
                            running.done(index, None, Err(failure));
                            continue;
                        }
                        running.stats.elements += chunk.len() as u64;
                        running.pending.insert(index, Arc::new(chunk));
                        if running.request.is_some() {
                            running.send_chunk(index);
                        } else {
                            self.open(&mut running);
                        }
                    }
                },
            }
        }
        running.stats
    }

    async fn prepare(&self, chunk: ChunkInput) -> (u32, Result<(PreparedChunk, Duration), Failure>) {
        let index = chunk.index;
        let (client, canaries) = (self.client.clone(), self.canaries.clone());
        let work = move || {
            let start = thread_time();
            chunk
                .prepare(&client, &canaries)
                .map(|prepared| (prepared, thread_time() - start))
        };
        let result = match self.compute.run(self.priority, work).await {
            Ok(Ok(prepared)) => Ok(prepared),
            Ok(Err(error)) => Err(Failure::new(UnknownReason::Failed, error.to_string())),
            Err(busy) => Err(Failure {
                retry_after: Some(busy.retry_after),
                ..Failure::new(UnknownReason::Overloaded, busy.to_string())
            }),
        };
        (index, result)
    }

    /// Begins a stream with what is pending. Nothing of it is sent before the exchange is on record.
    fn open<F: FnMut(ChunkDone) + Send>(&self, running: &mut Running<F>) {
        // Never full: each pending chunk is in it at most once, beside the opening.
        let (sender, receiver) = mpsc::channel(self.window + 2);
        running.request = Some(sender);
        running.send(EvaluateRequest {
            message: Some(evaluate_request::Message::Open(self.open.clone())),
        });
        let indices: Vec<u32> = running.pending.keys().copied().collect();
        for index in indices {
            running.send_chunk(index);
        }
        let (recorded, mut client) = (self.recorded.clone(), self.partner.client());
        let opened = async move {
            if let Err(fault) = recorded.await {
                tracing::error!(%fault, "recording a query");
                return Err(Status::internal(
                    "the query could not be recorded, so it was not asked",
                ));
            }
            let response = client.evaluate(ReceiverStream::new(receiver)).await?;
            Ok(response.into_inner())
        };
        let deadline = self.deadline.into();
        let opening = async move {
            tokio::time::timeout_at(deadline, opened)
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer before the deadline")))
        };
        running.opening = Some(opening.boxed());
    }

    /// The stream broke with `status`: tries once more if that can help, else gives up on what is pending.
    fn reopen<F: FnMut(ChunkDone) + Send>(&self, running: &mut Running<F>, status: &Status) {
        running.hang_up();
        let transient = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled);
        if transient && running.retries_left > 0 && !running.pending.is_empty() {
            running.retries_left -= 1;
            self.open(running);
        } else {
            running.broken(failure(status));
        }
    }

    /// Takes the chunk an answer belongs to and verifies it on the pool.
    fn finish<F: FnMut(ChunkDone) + Send>(
        &self,
        running: &mut Running<F>,
        answer: EvaluatedChunk,
    ) -> Option<BoxFuture<'static, Finished>> {
        // An answer to a chunk we did not send, or a second one, is dropped: it can add nothing.
        let chunk = running.pending.remove(&answer.index)?;
        running.stats.partner_evaluate += Duration::from_micros(answer.evaluate_us);
        let answered = AnsweredChunk {
            digest: chunk.digest(),
            elements: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
        };
        let (compute, priority, contains) = (self.compute.clone(), self.priority, Arc::clone(&self.contains));
        let work = move || {
            let start = thread_time();
            let mut lookup = Duration::ZERO;
            let result = chunk.finish(&answer.elements, &answer.proof, |tags| {
                let start = thread_time();
                let found = contains(tags);
                lookup = thread_time() - start;
                found
            });
            let fault = |reason, detail| Failure {
                transcript: Some(chunk.transcript(&answer.elements, &answer.proof)),
                ..Failure::new(reason, detail)
            };
            match result {
                Ok(answers) => Ok((answers, thread_time() - start - lookup, lookup)),
                Err(ChunkFault::Proof) => Err(fault(
                    UnknownReason::ProofFailed,
                    "the partner's proof does not hold under the pinned key",
                )),
                Err(ChunkFault::Lookup) => Err(Failure::new(
                    UnknownReason::Failed,
                    "the snapshot on our disk cannot be read",
                )),
                Err(ChunkFault::Canary) => Err(fault(
                    UnknownReason::CanaryFailed,
                    "the end-to-end check failed: the snapshot does not belong to this key or profile",
                )),
            }
        };
        let index = answer.index;
        Some(
            async move {
                // Begun work waits for its turn instead of being refused.
                let result = compute.run(priority.begun(), work).await;
                (
                    index,
                    answered,
                    result.unwrap_or_else(|busy| {
                        Err(Failure::new(UnknownReason::Overloaded, busy.to_string()))
                    }),
                )
            }
            .boxed(),
        )
    }
}

impl<F: FnMut(ChunkDone) + Send> Running<F> {
    fn done(&mut self, index: u32, answered: Option<AnsweredChunk>, result: Result<Vec<Answer>, Failure>) {
        (self.on_done)(ChunkDone {
            index,
            answered,
            result,
        });
    }

    fn finished(
        &mut self,
        index: u32,
        answered: AnsweredChunk,
        finished: Result<(Vec<Answer>, Duration, Duration), Failure>,
    ) {
        let result = finished.map(|(answers, verify_finalize, lookup)| {
            self.stats.verify_finalize += verify_finalize;
            self.stats.lookup += lookup;
            answers
        });
        self.done(index, Some(answered), result);
    }

    /// Puts a pending chunk on the stream.
    fn send_chunk(&mut self, index: u32) {
        if let Some(chunk) = self.pending.get(&index) {
            let elements = Bytes::copy_from_slice(chunk.elements());
            self.send(EvaluateRequest {
                message: Some(evaluate_request::Message::Chunk(EvaluateChunk {
                    index,
                    elements,
                })),
            });
        }
    }

    /// If the stream is gone, its end will be noticed by the reader.
    fn send(&mut self, message: EvaluateRequest) {
        if let Some(request) = &self.request {
            self.stats.bytes_sent += message.encoded_len() as u64;
            let _ = request.try_send(message);
        }
    }

    fn refused(&mut self, refused: &ChunkRefused) {
        let index = refused.index;
        if !self.pending.contains_key(&index) {
            return;
        }
        let after = Duration::from_millis(refused.retry_after_ms);
        let reason = match refused.cause() {
            Cause::Busy => {
                self.resend.push(
                    tokio::time::sleep(after.clamp(MIN_BUSY_WAIT, MAX_BUSY_WAIT))
                        .map(move |()| index)
                        .boxed(),
                );
                return;
            }
            Cause::Quota => UnknownReason::Quota,
            Cause::Unspecified | Cause::InvalidElement | Cause::ReplayMismatch | Cause::Failed => {
                UnknownReason::Failed
            }
        };
        self.pending.remove(&index);
        let failure = Failure {
            retry_after: (refused.retry_after_ms > 0).then_some(after),
            ..Failure::new(
                reason,
                format!("refused by the partner: {} [{}]", refused.detail, refused.rule),
            )
        };
        self.done(index, None, Err(failure));
    }

    fn fail_pending(&mut self, failure: &Failure) {
        for (index, _) in std::mem::take(&mut self.pending) {
            self.done(index, None, Err(failure.clone()));
        }
    }

    fn hang_up(&mut self) {
        self.request = None;
        self.opening = None;
        self.responses = None;
        // What is pending goes into the next stream anyway.
        self.resend.clear();
    }

    /// The request cannot go on: everything on the way fails, and what is still to come.
    fn broken(&mut self, failure: Failure) {
        self.hang_up();
        self.fail_pending(&failure);
        self.dead = Some(failure);
    }
}

/// A busy partner is asked again no sooner than this, whatever it says.
const MIN_BUSY_WAIT: Duration = Duration::from_millis(50);
/// A partner that failed inside is asked again no sooner than this.
const INSIDE_WAIT: Duration = Duration::from_secs(1);
/// A busy partner is asked again at least this often.
const MAX_BUSY_WAIT: Duration = Duration::from_secs(2);

async fn next_opened(opening: &mut Option<Opening>) -> Result<Streaming<EvaluateResponse>, Status> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn next_message(
    responses: &mut Option<Streaming<EvaluateResponse>>,
) -> Result<Option<EvaluateResponse>, Status> {
    match responses {
        Some(responses) => responses.message().await,
        None => std::future::pending().await,
    }
}

/// What a partner's status means for the verdict.
pub fn failure(status: &Status) -> Failure {
    let view = FaultView::from(status);
    let reason = match view.code {
        Code::DeadlineExceeded => UnknownReason::Deadline,
        Code::PermissionDenied | Code::FailedPrecondition | Code::NotFound => UnknownReason::NotPermitted,
        Code::ResourceExhausted => UnknownReason::Overloaded,
        Code::Unavailable | Code::Cancelled | Code::Unknown => UnknownReason::Unreachable,
        _ => UnknownReason::Failed,
    };
    // A status without one of our rules is the transport's own and may quote addresses: shorten it.
    let detail = if view.rule.is_empty() {
        format!(
            "the partner's node cannot be reached ({})",
            view.code.description()
        )
    } else {
        format!("refused by the partner: {} [{}]", view.message, view.rule)
    };
    // What failed inside the partner's node may be well again soon.
    let inside = (view.code == Code::Internal).then_some(INSIDE_WAIT);
    Failure {
        retry_after: view.retry_after.or(inside),
        ..Failure::new(reason, detail)
    }
}
