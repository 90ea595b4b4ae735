//! Erasing what entries of the ledger say: when their day has come, or earlier when somebody entitled orders it.
//!
//! An entry's payload and key are destroyed in the transaction that adds the entry which says so. Then the database's
//! write-ahead log is emptied, at the next look if it is being read now. The process may end anywhere: what is due stays
//! due, and every start begins with emptying the log.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

use concordat_ledger::{Actor, EntryType, Erasure, Ranges, Text};
use concordat_store::Erasure as Emptied;
use concordat_wire::Fault;
use tokio::sync::Mutex;

use crate::book::store_fault;
use crate::state::State;

/// Entries erased in one transaction.
const BATCH: u32 = 4_096;

/// Erasures take turns, so that none names an entry that another has erased.
pub struct Erasing {
    turn: Mutex<()>,
    /// Something was destroyed whose earlier bytes may still be in the database's log.
    remnants: AtomicBool,
}

impl Default for Erasing {
    /// The process before this one may have ended between destroying something and emptying the log.
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            remnants: AtomicBool::new(true),
        }
    }
}

impl Erasing {
    /// To be held while something is destroyed: after it, however it went, the log has to be emptied.
    pub fn destroying(&self) -> Destroying<'_> {
        Destroying(self)
    }
}

/// Something is being destroyed.
#[must_use = "the log is emptied after this is dropped"]
pub struct Destroying<'a>(&'a Erasing);

impl Drop for Destroying<'_> {
    fn drop(&mut self) {
        self.0.remnants.store(true, Ordering::SeqCst);
    }
}

/// Erases every entry whose day has come. Returns how many there were.
///
/// # Errors
/// The ledger was halted, or the database failed; what was not erased stays due.
pub async fn erase_due(state: &State) -> Result<u64, Fault> {
    let _turn = state.erasing.turn.lock().await;
    let mut erased = 0;
    loop {
        let due = state.store.entries_due(state.clock.day(), BATCH).await;
        let due = due.map_err(|error| store_fault(&error))?;
        if due.is_empty() {
            break;
        }
        erased += erase(state, due, &Actor::Node, None).await?;
    }
    if erased > 0 {
        tracing::info!(erased, "erased what the ledger need not keep any longer");
    }
    Ok(erased)
}

/// Erases entries before their day, those that are still there and are not themselves about an erasure. Returns how many
/// there were.
///
/// # Errors
/// As [`erase_due`]; what was erased before is recorded.
pub async fn erase_ordered(
    state: &State,
    entries: &[RangeInclusive<u64>],
    by: &Actor,
    order: &Text,
) -> Result<u64, Fault> {
    let _turn = state.erasing.turn.lock().await;
    let mut erased = 0;
    for range in entries {
        loop {
            let there = state
                .store
                .entries_with_payload(*range.start(), *range.end(), EntryType::Erasure.name(), BATCH)
                .await
                .map_err(|error| store_fault(&error))?;
            if there.is_empty() {
                break;
            }
            erased += erase(state, there, by, Some(order)).await?;
        }
    }
    if erased > 0 {
        tracing::warn!(erased, "erased entries of the ledger before their day, by order");
    }
    Ok(erased)
}

/// Erases entries that are there, given in order.
async fn erase(state: &State, numbers: Vec<u64>, by: &Actor, order: Option<&Text>) -> Result<u64, Fault> {
    let count = numbers.len() as u64;
    let mut rest = numbers.into_iter().peekable();
    while let Some(ranges) = Ranges::take(&mut rest) {
        let these: Vec<u64> = ranges.iter().flatten().collect();
        let entry = state.entry(Erasure {
            by: by.clone(),
            erased: ranges,
            order: order.cloned(),
        })?;
        let _destroying = state.erasing.destroying();
        let erased = state.store.recording(entry).erase_entries(&these).await;
        erased.map_err(|error| store_fault(&error))?;
    }
    Ok(count)
}

/// Empties the database's log if it may hold what was destroyed, and nobody reads it; returns whether it holds nothing of
/// it now.
pub async fn empty_log(state: &State) -> bool {
    if !state.erasing.remnants.swap(false, Ordering::SeqCst) {
        return true;
    }
    match state.store.checkpoint_unless_read().await {
        Ok(Emptied::Complete) => return true,
        Ok(Emptied::LogInUse) => {}
        Err(error) => tracing::error!(%error, "emptying the log after something was destroyed"),
    }
    state.erasing.remnants.store(true, Ordering::SeqCst);
    false
}
