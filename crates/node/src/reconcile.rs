//! Our half-log against a partner's: every exchange of ours must be in the ledger that the partner publishes, and say the same.
//!
//! ```text
//! our entries, opened ─┐
//!                      ├─► reconcile_with_leaves ─► Compared, kept in memory
//! ReadLedger ─► leaves ┘   held to the partner's signed checkpoint, and to the one that we cosigned last
//! ```
//! Nothing is said before every leaf has passed and is what was signed. What the partner logged and we did not, its public
//! leaves cannot tell: the partner's own comparison does.
//!
//! What leaks: to the partner, that its ledger is read.

mod ours;
mod remote;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use concordat_ledger::{
    CHECKPOINT_PATH, CheckedLeaves, LeavesError, ReadError, Reconciliation, SignedCheckpoint, Source,
    Unmatched, reconcile_with_leaves,
};
use concordat_note::VerifierKey;
use concordat_store::AgreementStatus;
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::book::{Entry, store_fault};
use crate::cosigning::{ledger_key, misbehaviour};
use crate::state::State;
use ours::Ours;
use remote::Remote;

/// Exchanges that are named; all are counted.
pub const LISTED: usize = 200;
/// A node may be told to publish every ten minutes only. What is younger than this may not be there yet, and nobody is to blame.
pub const SETTLED_MINUTES: i64 = 15;

/// How the two ledgers go together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Entries of the partner's ledger, all read and held to its checkpoint.
    pub checkpoint_size: u64,
    /// The size of the checkpoint that we cosigned last, which the other one extends; 0 if there was none.
    pub cosigned_size: u64,
    /// Exchanges that both recorded alike.
    pub matched: u64,
    /// Queries that ended without an answer, at both.
    pub unanswered: u64,
    /// Exchanges that do not match yet and are younger than [`SETTLED_MINUTES`].
    pub too_young: u64,
    /// Entries of ours that were erased: with which partner is not known any more.
    pub erased: u64,
    /// Older entries of ours that were not compared.
    pub left_out: u64,
    /// Exchanges that do not match.
    pub unmatched: u64,
    /// The first [`LISTED`] of them; `first` is our entry, `second` the partner's.
    pub listed: Vec<Unmatched>,
}

/// What came of a comparison.
#[derive(Debug)]
pub struct Outcome {
    /// When it ended.
    pub at: Timestamp,
    /// Or why the ledgers could not be compared.
    pub result: Result<Compared, Fault>,
}

/// How it stands with one partner.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Since when one runs.
    pub running: Option<Timestamp>,
    /// What came of the last one.
    pub last: Option<Arc<Outcome>>,
}

/// Comparisons of this node's life, by partner. In memory: a start forgets them.
#[derive(Clone, Debug, Default)]
pub struct Reconciling(Arc<Mutex<BTreeMap<String, Standing>>>);

impl Reconciling {
    /// How it stands with a partner.
    pub fn standing(&self, partner: &str) -> Standing {
        self.with(partner, |standing| standing.clone())
    }

    fn begin(&self, partner: &str, now: Timestamp) -> Option<Running> {
        self.with(partner, |standing| {
            if standing.running.is_some() {
                return None;
            }
            standing.running = Some(now);
            Some(Running {
                all: self.clone(),
                partner: partner.to_owned(),
            })
        })
    }

    fn with<T>(&self, partner: &str, work: impl FnOnce(&mut Standing) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(partner.to_owned()).or_default())
    }
}

/// The one comparison with a partner; however it ends, the next one may begin.
struct Running {
    all: Reconciling,
    partner: String,
}

impl Running {
    fn done(&self, outcome: &Arc<Outcome>) {
        self.all.with(&self.partner, |standing| {
            standing.last = Some(Arc::clone(outcome));
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.with(&self.partner, |standing| standing.running = None);
    }
}

/// Partners whose ledgers can be compared with ours, by id.
pub fn partners(state: &State) -> Vec<String> {
    let mut ids: Vec<String> = state
        .book
        .all()
        .iter()
        .map(|entry| entry.partner.id.clone())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Begins to compare; it goes on even if nobody waits for it.
///
/// # Errors
/// There is no agreement with such a partner, or one runs already.
pub fn start(state: &Arc<State>, partner: &str) -> Result<JoinHandle<Arc<Outcome>>, Fault> {
    let entries = state.book.all();
    let mut with = entries.iter().filter(|entry| entry.partner.id == partner);
    // One that was suspended may name keys that are not the partner's any more.
    let in_force = with
        .clone()
        .find(|entry| entry.status == AgreementStatus::Active)
        .or_else(|| with.next());
    let entry = in_force.map(Arc::clone).ok_or_else(|| {
        let message = "there is no agreement with such a partner: choose one of those that agreements name";
        Fault::new(Reason::NotFound, "AUD-011", message).field("partner_id")
    })?;
    let running = state.reconciling.begin(partner, state.clock.now());
    let running = running.ok_or_else(|| {
        let message = "the ledgers are being compared with this partner's already: wait for the result";
        Fault::new(Reason::Precondition, "AUD-012", message).retry_after(Duration::from_secs(5))
    })?;
    let state = Arc::clone(state);
    Ok(tokio::spawn(async move {
        let result = compare(&state, &entry).await;
        let partner = &running.partner;
        match &result {
            Ok(compared) => tracing::info!(
                partner,
                size = compared.checkpoint_size,
                matched = compared.matched,
                unmatched = compared.unmatched,
                "compared our ledger with the partner's"
            ),
            Err(fault) => tracing::warn!(partner, %fault, "our ledger was not compared with the partner's"),
        }
        let outcome = Arc::new(Outcome {
            at: state.clock.now(),
            result,
        });
        running.done(&outcome);
        outcome
    }))
}

async fn compare(state: &Arc<State>, entry: &Arc<Entry>) -> Result<Compared, Fault> {
    let partner = &entry.partner.id;
    let key = ledger_key(state, entry)?;
    // Ours first: what the partner publishes afterwards has all of it. What we cosigned second: a checkpoint of the partner's
    // that comes later cannot be older.
    let ours = Ours::read(state, partner).await?;
    let kept = state.store.witness(partner).await;
    let kept = kept.map_err(|error| store_fault(&error))?.theirs;
    let files = Remote::new(state, entry);
    let id = partner.clone();
    let read = tokio::task::spawn_blocking(move || {
        let read = read(&files, (&id, &key), kept.as_deref(), ours);
        // What the network says is nearer to the truth than that a file is missing.
        read.map_err(|refused| match files.trouble.take() {
            Some(fault) => Refused::Fault(fault),
            None => refused,
        })
    });
    match read.await.map_err(|_| Fault::internal("comparing two ledgers"))? {
        Ok(compared) => Ok(compared),
        Err(Refused::Fault(fault)) => Err(fault),
        Err(Refused::Contradiction {
            same_size,
            kept,
            shown,
        }) => {
            misbehaviour(state, partner, same_size, &kept, &shown).await?;
            let message = format!(
                "the ledger that {partner} shows does not extend the one that was cosigned last: its history was rewritten. Both checkpoints are on record here"
            );
            Err(Fault::new(Reason::NotPermitted, "LEDG-023", message))
        }
    }
}

/// Why nothing is said about the partner's ledger.
enum Refused {
    Fault(Fault),
    /// Two checkpoints of the partner that do not go together.
    Contradiction {
        same_size: bool,
        kept: String,
        shown: String,
    },
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Blocks as long as the partner's files take.
fn read(
    files: &Remote,
    (partner, key): (&str, &VerifierKey),
    kept: Option<&str>,
    ours: Ours,
) -> Result<Compared, Refused> {
    let kept = kept.map(|note| SignedCheckpoint::open(note.as_bytes(), key));
    let kept = kept.transpose().map_err(|error| {
        let message = format!("the partner's checkpoint kept here: {error}");
        Fault::new(Reason::DataLoss, "LEDG-011", message)
    })?;
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("the ledger that {partner} publishes cannot be read: {error}");
        Fault::new(Reason::Unavailable, "LEDG-019", message)
    };
    let note = files
        .read(CHECKPOINT_PATH)
        .map_err(|error| unreadable(&error))?
        .ok_or_else(|| unreadable(&"it has published nothing yet"))?;
    let signed = SignedCheckpoint::open(&note, key).map_err(|error| {
        let message = format!(
            "the checkpoint that {partner} shows is not signed with the key of the agreement: {error}"
        );
        Fault::new(Reason::NotPermitted, "LEDG-020", message)
    })?;
    let older = |seen: u64| {
        let message = format!(
            "{partner} shows a ledger of {} entries, and {seen} of it were cosigned here: an older copy was restored, or newer entries are kept back",
            signed.size()
        );
        Fault::new(Reason::NotPermitted, "LEDG-021", message)
    };
    let mut leaves = CheckedLeaves::new(files, &signed);
    if let Some(kept) = &kept {
        if kept.size() > signed.size() {
            return Err(older(kept.size()).into());
        }
        if kept.size() == signed.size() && kept.root() != signed.root() {
            // The two prove it, whatever the entries are.
            return Err(contradiction(kept, &signed));
        }
        leaves = leaves.extending(kept);
    }
    let fresh_from = ours.fresh_from;
    let (erased, left_out) = (ours.erased, ours.left_out);
    let joined = reconcile_with_leaves(ours.records, leaves.by_ref());
    leaves.finish().map_err(|error| match error {
        LeavesError::Read(ReadError::Io { source, .. }) => unreadable(&source).into(),
        LeavesError::Read(error) => unreadable(&error).into(),
        LeavesError::Shorter { seen, .. } => older(seen).into(),
        LeavesError::OtherHistory { .. } => match &kept {
            Some(kept) => contradiction(kept, &signed),
            None => Fault::internal("a ledger that was held to nothing").into(),
        },
        _ => {
            let message = format!("the entries that {partner} shows are not those that its checkpoint signs");
            Refused::Fault(Fault::new(Reason::NotPermitted, "LEDG-022", message))
        }
    })?;
    Ok(Compared {
        checkpoint_size: signed.size(),
        cosigned_size: kept.map_or(0, |kept| kept.size()),
        erased,
        left_out,
        ..Compared::of(joined, fresh_from)
    })
}

fn contradiction(kept: &SignedCheckpoint, shown: &SignedCheckpoint) -> Refused {
    Refused::Contradiction {
        same_size: kept.size() == shown.size(),
        kept: kept.to_string(),
        shown: shown.to_string(),
    }
}

impl Compared {
    fn of(joined: Reconciliation, fresh_from: u64) -> Self {
        let Reconciliation {
            matched,
            unanswered,
            mut unmatched,
        } = joined;
        let all = unmatched.len();
        unmatched.retain(|unmatched| unmatched.first.is_none_or(|number| number < fresh_from));
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            matched,
            unanswered,
            too_young: count(all - unmatched.len()),
            unmatched: count(unmatched.len()),
            listed: {
                unmatched.truncate(LISTED);
                unmatched
            },
            ..Self::default()
        }
    }
}

fn stopping() -> Fault {
    Fault::new(
        Reason::Cancelled,
        "NODE-001",
        "the node is stopping: compare again when it runs",
    )
}

#[cfg(test)]
mod tests {
    use concordat_ledger::{Hex, Reason as Why};

    use super::*;

    fn unmatched(first: u64) -> Unmatched {
        Unmatched {
            exchange: Hex([1; 16]),
            first: Some(first),
            second: None,
            reason: Why::MissingAtOwner,
        }
    }

    #[test]
    fn all_are_counted_few_are_listed_and_the_young_are_neither() {
        let joined = Reconciliation {
            matched: 3,
            unanswered: 1,
            unmatched: (0..500).map(unmatched).collect(),
        };
        let compared = Compared::of(joined.clone(), 450);
        assert_eq!(
            (compared.matched, compared.unanswered, compared.unmatched),
            (3, 1, 450)
        );
        assert_eq!((compared.too_young, compared.listed.len()), (50, LISTED));
        assert_eq!(Compared::of(joined, u64::MAX).unmatched, 500);
    }

    #[test]
    fn one_runs_at_a_time_with_a_partner_however_it_ends() {
        let all = Reconciling::default();
        let now = Timestamp::UNIX_EPOCH;
        let running = all.begin("bb", now).expect("the first");
        assert!(all.begin("bb", now).is_none());
        assert!(all.begin("cc", now).is_some(), "another partner's");
        assert_eq!(all.standing("bb").running, Some(now));
        drop(running);
        assert!(all.standing("bb").running.is_none());
        assert!(all.begin("bb", now).is_some());
    }
}
