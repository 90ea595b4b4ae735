//! The quota, charged before anything is evaluated, durably, and once per chunk.
//!
//! Chunks of all partners that arrive together are charged in one transaction: one wait for the disk for many chunks.

use std::sync::Arc;

use concordat_store::{Charge, ChargeOutcome, MAX_CHARGES, NewEntry, Progress, Store};
use concordat_wire::Fault;
use tokio::sync::{mpsc, oneshot};

use crate::book::store_fault;
use crate::clock::Clock;

/// Makes the ledger's entry where a charge ends an exchange, or goes on with one that was closed.
pub type Record = Arc<dyn Fn(Progress) -> Option<NewEntry> + Send + Sync>;

struct Waiting {
    charge: Charge,
    record: Record,
    reply: oneshot::Sender<Result<ChargeOutcome, Fault>>,
}

/// The one place that charges.
#[derive(Clone)]
pub struct Charger(mpsc::Sender<Waiting>);

impl Charger {
    /// Starts the task; it ends when the last clone is dropped.
    pub fn start(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(MAX_CHARGES);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(MAX_CHARGES);
            while receiver.recv_many(&mut group, MAX_CHARGES).await > 0 {
                settle(&store, clock.as_ref(), &mut group).await;
            }
        });
        Self(sender)
    }

    /// Charges one chunk; returns when that is on disk, with what `record` makes of it.
    ///
    /// # Errors
    /// The database failed, it could not be recorded, or the node is stopping.
    pub async fn charge(&self, charge: Charge, record: Record) -> Result<ChargeOutcome, Fault> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Fault::internal("the node is stopping");
        self.0
            .send(Waiting {
                charge,
                record,
                reply,
            })
            .await
            .map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

async fn settle(store: &Store, clock: &dyn Clock, group: &mut Vec<Waiting>) {
    let charges: Vec<Charge> = group.iter().map(|waiting| waiting.charge).collect();
    let records: Vec<Record> = group.iter().map(|waiting| Arc::clone(&waiting.record)).collect();
    let record = |position: usize, progress| records.get(position).and_then(|record| record(progress));
    let outcomes = store
        .charge(&charges, clock.now().as_millisecond(), record)
        .await
        .map_err(|error| store_fault(&error));
    for (position, waiting) in group.drain(..).enumerate() {
        let outcome = match &outcomes {
            Ok(outcomes) => outcomes
                .get(position)
                .copied()
                .ok_or_else(|| Fault::internal("a charge without outcome")),
            Err(fault) => Err(fault.clone()),
        };
        // A caller that is gone does not wait; its chunk is charged all the same and may be sent again.
        let _ = waiting.reply.send(outcome);
    }
}
