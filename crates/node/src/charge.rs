//! The quota, charged before anything is evaluated, durably, and once per chunk.
//!
//! What arrives together, of all partners, is put on record and charged in one transaction: one wait for the disk for many.

use std::sync::Arc;

use concordat_store::{
    Charge, ChargeOutcome, Exchange, Group, MAX_CHARGES, MAX_EXCHANGES, NewEntry, Progress, Store, StoreError,
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
pub struct Charger(Arc<Group<Waiting, Result<ChargeOutcome, Fault>>>);

impl Charger {
    /// Charges in `store`, at the time of `clock`.
    pub fn new(store: &Store, clock: &Arc<dyn Clock>) -> Self {
        let (store, clock) = (store.clone(), Arc::clone(clock));
        Self(Group::new(GROUP, move |group: Vec<Waiting>| {
            let (store, now_ms) = (store.clone(), clock.now().as_millisecond());
            async move { settle(&store, now_ms, &group).await }
        }))
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
        let given = self.0.give(Waiting {
            request,
            charge,
            record,
        });
        let outcome = given.await;
        outcome.unwrap_or_else(|| Err(store_fault(&StoreError::ShuttingDown)))
    }
}

async fn settle(store: &Store, now_ms: i64, group: &[Waiting]) -> Vec<Result<ChargeOutcome, Fault>> {
    match charge(store, now_ms, group).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        // One that cannot be recorded is not charged; the others are not to fail with it.
        Err(StoreError::NotRecorded) if group.len() > 1 => {
            let mut outcomes = Vec::with_capacity(group.len());
            for chunk in group.chunks(1) {
                let outcome = charge(store, now_ms, chunk).await;
                let outcome = outcome.map(|outcomes| outcomes.into_iter().next());
                outcomes.push(match outcome {
                    Ok(Some(outcome)) => Ok(outcome),
                    Ok(None) => Err(Fault::internal("a charge without outcome")),
                    Err(error) => Err(store_fault(&error)),
                });
            }
            outcomes
        }
        Err(error) => vec![Err(store_fault(&error)); group.len()],
    }
}

async fn charge(store: &Store, now_ms: i64, group: &[Waiting]) -> Result<Vec<ChargeOutcome>, StoreError> {
    let charges: Vec<Charge> = group.iter().map(|chunk| chunk.charge).collect();
    let requests = group.iter().enumerate();
    let requests: Vec<(usize, &Exchange)> = requests
        .filter_map(|(position, chunk)| Some((position, chunk.request.as_ref()?)))
        .collect();
    let record = |position: usize, progress| group.get(position).and_then(|chunk| (chunk.record)(progress));
    store.charge(&requests, &charges, now_ms, record).await
}
