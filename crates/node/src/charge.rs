//! The quota, charged before anything is evaluated, durably, and once per chunk.
//!
//! What arrives together, of all partners, is put on record and charged in one transaction: one wait for the disk for many.

use std::sync::Arc;

use concordat_store::{
    Charge, ChargeOutcome, Exchange, Group, MAX_CHARGES, MAX_EXCHANGES, NewEntry, Progress, Store,
};
use concordat_wire::Fault;

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
}

/// The one place that charges.
#[derive(Clone)]
pub struct Charger {
    store: Store,
    clock: Arc<dyn Clock>,
    group: Arc<Group<Waiting, Result<ChargeOutcome, Fault>>>,
}

impl Charger {
    /// Charges in `store`, at the time of `clock`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let group = Arc::new(Group::new(GROUP));
        Self { store, clock, group }
    }

    /// Charges one chunk, and puts its `request` on record if that is given; returns when both are on disk, with what `record`
    /// makes of it. The chunk of a caller that goes away is charged all the same and may be sent again.
    ///
    /// # Errors
    /// The database failed, it could not be recorded, or the node is stopping.
    pub async fn charge(
        &self,
        request: Option<Exchange>,
        charge: Charge,
        record: Record,
    ) -> Result<ChargeOutcome, Fault> {
        let waiting = Waiting {
            request,
            charge,
            record,
        };
        let (store, now_ms) = (self.store.clone(), self.clock.now().as_millisecond());
        let given = self.group.give(waiting, move |group| async move {
            settle(&store, now_ms, &group).await
        });
        let outcome = given.await;
        outcome.unwrap_or_else(|| Err(Fault::internal("the node is stopping")))
    }
}

async fn settle(store: &Store, now_ms: i64, group: &[Waiting]) -> Vec<Result<ChargeOutcome, Fault>> {
    let charges: Vec<Charge> = group.iter().map(|chunk| chunk.charge).collect();
    let requests = group.iter().enumerate();
    let requests: Vec<(usize, &Exchange)> = requests
        .filter_map(|(position, chunk)| Some((position, chunk.request.as_ref()?)))
        .collect();
    let record = |position: usize, progress| group.get(position).and_then(|chunk| (chunk.record)(progress));
    let outcomes = store.charge(&requests, &charges, now_ms, record).await;
    match outcomes {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(store_fault(&error)); group.len()],
    }
}
