//! The desk: cases of both sides, as the people of an agency work on them.
//!
//! ```text
//! requester                                              owner
//! hits ─ act(Confirm) ─ act(Request) ──deliver──►  peers: proof of hit, agreement ─ act(TakeUp) ─ act(Propose)
//!                                                  act(Approve) × k ─ decided by the node ─ act(Release)
//! peers: steps in order       ◄──────deliver─────
//! act(Open) ─ act(Outcome) ──────────deliver──►    act(Close)
//! ```
//! [`act`](act::act) is the one way to take a step of ours; [`peers::take_steps`] the one way in for the other side's. Both rebuild
//! the case from its steps and verify every signature again; no column of the database can move a case. The owner's node decides on
//! the order: a requester's step is kept as pending until the owner has taken it.

pub mod act;
pub mod attachments;
pub mod console;
pub mod deliver;
mod explain;
pub mod hits;
pub mod inbox;
mod keep;
mod load;
mod messages;
pub mod officers;
pub mod peers;
pub mod records;
mod releases;
pub mod upkeep;
pub mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use concordat_disclosure::{CaseId, Refused, Registry, Rule, rule};
use concordat_ledger::Person;
use concordat_store::{CaseSide, StoreError};
use concordat_wire::{Fault, Reason};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

pub use act::{Action, Asking, Proposal, Saying, act};
pub use view::{CaseView, view};

use crate::book::store_fault;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The officer, as the registry names her.
    pub person: Person,
    /// How that is known.
    pub via: Via,
}

/// How it is known who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// She signed in to the console with her passkey.
    Console,
    /// One of our own systems says so, by the name on its certificate.
    Client(String),
}

/// After this time a partner that could not be reached is tried again.
const AWAY: std::time::Duration = std::time::Duration::from_secs(4);

/// A case's turn.
struct Turn {
    _registry: tokio::sync::OwnedRwLockReadGuard<()>,
    _case: tokio::sync::OwnedMutexGuard<()>,
}

/// What the desk keeps in memory.
pub struct Desk {
    /// Steps of one case are taken one after the other.
    cases: Mutex<HashMap<CaseId, Weak<tokio::sync::Mutex<()>>>>,
    registry: RwLock<Option<Arc<Registry>>>,
    /// Changes of the registry are made one after the other.
    changing: tokio::sync::Mutex<()>,
    changed: watch::Sender<u64>,
    /// Tells the delivery that something waits.
    waiting: tokio::sync::Notify,
    /// No step is taken while the registry changes: each is checked against the one that it will be replayed with.
    gate: Arc<tokio::sync::RwLock<()>>,
    /// Partners that could not be reached, and when.
    away: Mutex<HashMap<String, std::time::Instant>>,
    /// The console beside the node, if there is one. It holds the node, not the other way round.
    pub console: OnceLock<Weak<dyn console::Registrations>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            cases: Mutex::default(),
            registry: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
            waiting: tokio::sync::Notify::new(),
            gate: Arc::default(),
            away: Mutex::default(),
            console: OnceLock::new(),
        }
    }
}

impl Desk {
    /// Waits for a case's turn.
    async fn turn(&self, case: CaseId) -> Turn {
        let case = self.alone(case).await;
        Turn {
            _registry: Arc::clone(&self.gate).read_owned().await,
            _case: case,
        }
    }

    /// Waits until no other request of this partner is looked at: one that sends nonsense keeps itself waiting.
    async fn partner_turn(&self, partner: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let name = Sha256::digest([b"partner\0", partner.as_bytes()].concat());
        let mut id = [0; 16];
        id.copy_from_slice(&name[..16]);
        self.alone(concordat_ledger::Hex(id)).await
    }

    async fn alone(&self, case: CaseId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
            let held = cases.get(&case).and_then(Weak::upgrade);
            held.unwrap_or_else(|| {
                cases.retain(|_, lock| lock.strong_count() > 0);
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                cases.insert(case, Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    /// Notes whether a partner could be reached. What waits for one that is back goes out at once.
    fn reached(&self, partner: &str, reached: bool) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if !reached {
            away.insert(partner.to_owned(), std::time::Instant::now());
        } else if away.remove(partner).is_some() {
            self.waiting.notify_one();
        }
    }

    /// Whether a partner could not be reached a moment ago.
    fn is_away(&self, partner: &str) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get(partner).is_some_and(|since| since.elapsed() < AWAY)
    }

    /// Rises with every change of a case or of the registry.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

/// A refusal of the library, as a caller sees it.
pub fn refused(refused: Refused) -> Fault {
    let Refused { rule, field } = refused;
    let reason = match rule {
        rule::STALE | rule::SUPERSEDED | rule::WRONG_STATE | rule::COOLING_OFF | rule::QUORUM => {
            Reason::Precondition
        }
        rule::NOT_EXPIRED | rule::DOCUMENT_MISSING | rule::TOO_FEW_OFFICERS | rule::ATTACHMENT_CHUNK => {
            Reason::Precondition
        }
        rule::OFFICER_EXISTS => Reason::Conflict,
        rule::NO_SUCH_OFFICER => Reason::NotFound,
        _ if malformed(rule) => Reason::Invalid,
        _ => Reason::NotPermitted,
    };
    let fault = Fault::new(reason, rule.id, rule.says);
    match field {
        Some(field) => fault.field(field),
        None => fault,
    }
}

fn malformed(rule: Rule) -> bool {
    matches!(
        rule,
        rule::MALFORMED
            | rule::TOO_LARGE
            | rule::BAD_TEXT
            | rule::BAD_RULES
            | rule::EXPIRY
            | rule::REQUEST_TIME
            | rule::DECISION_FIELDS
            | rule::DECISION_RESULT
            | rule::RETENTION
            | rule::KEY_SHAPE
            | rule::ATTACHMENT_SIZE
            | rule::DISCLOSURE_KEY
    )
}

/// A failure of the store on the way of a case.
fn stored(error: &StoreError) -> Fault {
    match error {
        StoreError::Stale { .. } => refused_as(rule::STALE),
        StoreError::CounterWentBack => refused_as(rule::COUNTER),
        StoreError::TooMany { .. } => Fault::new(
            Reason::Exhausted,
            "DESK-020",
            "the case has 16 attachments of this side: no more are taken",
        ),
        StoreError::Full { .. } => Fault::new(
            Reason::Exhausted,
            "DESK-026",
            "8 GiB of attachments of this partner are kept here: no more are taken until cases of before are erased",
        ),
        error => store_fault(error),
    }
}

fn refused_as(rule: Rule) -> Fault {
    refused(Refused { rule, field: None })
}

/// No case of this id is ours: the same answer whether it is another's or nobody's.
fn no_such_case() -> Fault {
    Fault::new(Reason::NotFound, "DESK-002", "there is no such case here")
}

fn side_of(side: CaseSide) -> concordat_ledger::Side {
    match side {
        CaseSide::Requester => concordat_ledger::Side::Requester,
        CaseSide::Owner => concordat_ledger::Side::Owner,
    }
}

fn case_side(side: concordat_ledger::Side) -> CaseSide {
    match side {
        concordat_ledger::Side::Requester => CaseSide::Requester,
        concordat_ledger::Side::Owner => CaseSide::Owner,
    }
}
