//! The quota, charged before anything is evaluated, durably, and once per chunk.
//!
//! What arrives together, of all partners, is put on record and charged in one transaction: one wait for the disk for many.

use std::sync::Arc;

use concordat_store::{
    Charge, ChargeOutcome, Exchange, MAX_CHARGES, MAX_EXCHANGES, NewEntry, Progress, Store,
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

/// Makes the ledger's entry where a charge begins an exchange or ends one, or goes on with one that was closed.
pub type Record = Arc<dyn Fn(Progress) -> Option<NewEntry> + Send + Sync>;

struct Waiting {
    /// Its request, as long as that is not known to be on record.
    request: Option<Exchange>,
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
        let (sender, mut receiver) = mpsc::channel::<Waiting>(GROUP);
        tokio::spawn(async move {
            let mut group = Vec::new();
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                settle(&store, clock.as_ref(), std::mem::take(&mut group)).await;
            }
        });
        Self(sender)
    }

    /// Charges one chunk, and puts its `request` on record if that is given; returns when both are on disk, with what `record`
    /// makes of it.
    ///
    /// # Errors
    /// The database failed, it could not be recorded, or the node is stopping.
    pub async fn charge(
        &self,
        request: Option<Exchange>,
        charge: Charge,
        record: Record,
    ) -> Result<ChargeOutcome, Fault> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            request,
            charge,
            record,
            reply,
        };
        self.0.send(waiting).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Fault {
    Fault::internal("the node is stopping")
}

async fn settle(store: &Store, clock: &dyn Clock, group: Vec<Waiting>) {
    let charges: Vec<Charge> = group.iter().map(|chunk| chunk.charge).collect();
    let requests = group.iter().enumerate();
    let requests: Vec<(usize, &Exchange)> = requests
        .filter_map(|(position, chunk)| Some((position, chunk.request.as_ref()?)))
        .collect();
    let records: Vec<Record> = group.iter().map(|chunk| Arc::clone(&chunk.record)).collect();
    let record = |position: usize, progress| records.get(position).and_then(|record| record(progress));
    let now_ms = clock.now().as_millisecond();
    let outcomes = store.charge(&requests, &charges, now_ms, record).await;
    let outcomes = outcomes.map_err(|error| store_fault(&error));
    for (position, chunk) in group.into_iter().enumerate() {
        let outcome = match &outcomes {
            Ok(outcomes) => outcomes
                .get(position)
                .copied()
                .ok_or_else(|| Fault::internal("a charge without outcome")),
            Err(fault) => Err(fault.clone()),
        };
        // A caller that is gone does not wait; its chunk is charged all the same and may be sent again.
        let _ = chunk.reply.send(outcome);
    }
}
