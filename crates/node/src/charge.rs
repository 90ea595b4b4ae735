//! The quota, charged before anything is evaluated, durably, and once per chunk.
//!
//! Requests of all partners that arrive together are put on record in one transaction, and chunks charged in one: one wait
//! for the disk for many of them.

use std::sync::Arc;

use concordat_store::{
    Charge, ChargeOutcome, Exchange, MAX_CHARGES, MAX_EXCHANGES, NewEntry, Progress, Store, StoreError,
};
use concordat_wire::Fault;
use tokio::sync::{mpsc, oneshot};

use crate::book::store_fault;
use crate::clock::Clock;

/// As many as one transaction takes of either.
const GROUP: usize = if MAX_CHARGES < MAX_EXCHANGES {
    MAX_CHARGES
} else {
    MAX_EXCHANGES
};

/// Makes the ledger's entry where a charge ends an exchange, or goes on with one that was closed.
pub type Record = Arc<dyn Fn(Progress) -> Option<NewEntry> + Send + Sync>;

type Reply<T> = oneshot::Sender<Result<T, Fault>>;

enum Waiting {
    /// A request, and its entry for the ledger.
    Request(Box<(Exchange, NewEntry)>, Reply<bool>),
    Chunk(Box<Chunk>),
}

struct Chunk {
    charge: Charge,
    record: Record,
    reply: Reply<ChargeOutcome>,
}

/// The one place that charges.
#[derive(Clone)]
pub struct Charger(mpsc::Sender<Waiting>);

impl Charger {
    /// Starts the task; it ends when the last clone is dropped.
    pub fn start(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(GROUP);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                let (mut requests, mut chunks) = (Vec::new(), Vec::new());
                for waiting in group.drain(..) {
                    match waiting {
                        Waiting::Request(request, reply) => requests.push((*request, reply)),
                        Waiting::Chunk(chunk) => chunks.push(*chunk),
                    }
                }
                // A chunk comes after its request was answered: these have nothing to do with each other.
                if !chunks.is_empty() {
                    settle(&store, clock.as_ref(), chunks).await;
                }
                if !requests.is_empty() {
                    append(&store, requests).await;
                }
            }
        });
        Self(sender)
    }

    /// Puts a partner's request on record; returns when that is on disk. False: its id belongs to another request.
    ///
    /// # Errors
    /// The database failed, or the node is stopping.
    pub async fn open(&self, exchange: Exchange, opened: NewEntry) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        let request = Waiting::Request(Box::new((exchange, opened)), reply);
        self.0.send(request).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Charges one chunk; returns when that is on disk, with what `record` makes of it.
    ///
    /// # Errors
    /// The database failed, it could not be recorded, or the node is stopping.
    pub async fn charge(&self, charge: Charge, record: Record) -> Result<ChargeOutcome, Fault> {
        let (reply, answer) = oneshot::channel();
        let chunk = Waiting::Chunk(Box::new(Chunk {
            charge,
            record,
            reply,
        }));
        self.0.send(chunk).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Fault {
    Fault::internal("the node is stopping")
}

async fn settle(store: &Store, clock: &dyn Clock, group: Vec<Chunk>) {
    let charges: Vec<Charge> = group.iter().map(|chunk| chunk.charge).collect();
    let records: Vec<Record> = group.iter().map(|chunk| Arc::clone(&chunk.record)).collect();
    let record = |position: usize, progress| records.get(position).and_then(|record| record(progress));
    let outcomes = store.charge(&charges, clock.now().as_millisecond(), record).await;
    answer(outcomes, group.into_iter().map(|chunk| chunk.reply));
}

async fn append(store: &Store, group: Vec<((Exchange, NewEntry), Reply<bool>)>) {
    let (requests, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
    answer(store.append_exchanges(requests).await, replies.into_iter());
}

/// Tells each what came of it.
fn answer<T: Copy>(outcomes: Result<Vec<T>, StoreError>, replies: impl Iterator<Item = Reply<T>>) {
    let outcomes = outcomes.map_err(|error| store_fault(&error));
    for (position, reply) in replies.enumerate() {
        let outcome = match &outcomes {
            Ok(outcomes) => outcomes
                .get(position)
                .copied()
                .ok_or_else(|| Fault::internal("a charge without outcome")),
            Err(fault) => Err(fault.clone()),
        };
        // A caller that is gone does not wait; its chunk is charged all the same and may be sent again.
        let _ = reply.send(outcome);
    }
}
