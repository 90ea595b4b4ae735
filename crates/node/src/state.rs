//! What all services of a node share.

use std::sync::Arc;

use concordat_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::book::Book;
use crate::charge::Charger;
use crate::clock::Clock;
use crate::compute::Compute;
use crate::config::Config;
use crate::desk::Desk;
use crate::entropy::Entropy;
use crate::erasure::Erasing;
use crate::fairness::Fairness;
use crate::held::HeldScopes;
use crate::identity::Identity;
use crate::jobs::Jobs;
use crate::keys::OwnKeys;
use crate::ledger::Ledger;
use crate::listen::Revoked;
use crate::maintenance::Troubles;
use crate::publish::ServedScopes;
use crate::reconcile::Reconciling;
use crate::witnesses::Witnesses;

/// A running node's state. One per process, shared by reference.
pub struct State {
    /// As read at start.
    pub config: Config,
    /// Our keys.
    pub identity: Identity,
    /// SHA-256 of the key our node shows to partners.
    pub peer_pin: [u8; 32],
    /// What we remember.
    pub store: Store,
    /// The record of everything.
    pub ledger: Arc<Ledger>,
    /// Independent witnesses of it.
    pub witnesses: Witnesses,
    /// Comparing it with partners' ledgers.
    pub reconciling: Reconciling,
    /// Who came in and who was refused.
    pub access: Access,
    /// Erasing what was recorded.
    pub erasing: Erasing,
    /// Cases and officers.
    pub desk: Desk,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// Threads for arithmetic.
    pub compute: Compute,
    /// What each partner may take of it.
    pub fairness: Fairness,
    /// Agreements and partners.
    pub book: Book,
    /// Keys of scopes we own.
    pub own_keys: OwnKeys,
    /// Snapshots we serve.
    pub served: ServedScopes,
    /// Partners' scopes and snapshots.
    pub held: HeldScopes,
    /// The quota.
    pub charger: Charger,
    /// Work in the background.
    pub jobs: Jobs,
    /// Our own systems that were stopped from calling since the start.
    pub revoked: Revoked,
    /// Offers that cannot be published, and why.
    pub troubles: Troubles,
    /// What is being recorded though nobody may wait for it: the node stops after it.
    pub recording: TaskTracker,
    /// Set when the node is to stop.
    pub stop: CancellationToken,
}

impl State {
    /// Our agency's id.
    pub fn us(&self) -> &str {
        &self.config.node.agency_id
    }

    /// A fresh id that sorts by time (UUID version 7).
    pub fn new_uuid(&self) -> uuid::Uuid {
        let millis = u64::try_from(self.now_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.entropy.bytes()).into_uuid()
    }

    /// Milliseconds since the epoch, as the store counts.
    pub fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}
