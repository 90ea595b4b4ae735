//! No partner may take what all partners share: streams, memory for chunks, time for asking again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::tls::SpkiPin;

/// `Evaluate` streams one partner may have open.
const STREAMS: usize = 128;
/// Chunks of one partner that may be in work or wait to be sent: 64 MiB at most.
const CHUNKS: usize = 64;

/// What each partner holds now. A partner is the key it showed.
pub struct Fairness {
    chunks: usize,
    partners: Mutex<HashMap<SpkiPin, Arc<Share>>>,
}

/// One partner's part.
pub struct Share {
    /// Places for streams.
    pub streams: Arc<Semaphore>,
    /// Places for chunks.
    pub chunks: Arc<Semaphore>,
    /// The one file of our ledger that it may be reading: 16 MiB at most.
    pub ledger: Arc<Semaphore>,
    /// A day, and the elements evaluated again on it without a charge. Forgotten with the process.
    replayed: Mutex<(i32, u64)>,
}

impl Fairness {
    /// For a node with `places` for pieces of arithmetic: a partner gets half of them.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            chunks: (places / 2).clamp(1, CHUNKS),
            partners: Mutex::default(),
        }
    }

    /// The part of the partner with this key. Only keys that agreements pin get here, so there are few.
    pub fn of(&self, partner: &SpkiPin) -> Arc<Share> {
        let mut partners = self.partners.lock().unwrap_or_else(PoisonError::into_inner);
        let share = partners.entry(*partner).or_insert_with(|| {
            Arc::new(Share {
                streams: Arc::new(Semaphore::new(STREAMS)),
                chunks: Arc::new(Semaphore::new(self.chunks)),
                ledger: Arc::new(Semaphore::new(1)),
                replayed: Mutex::default(),
            })
        });
        Arc::clone(share)
    }
}

impl Share {
    /// Counts elements that are evaluated again; returns how many it were on that day.
    pub fn replay(&self, day: i32, elements: u64) -> u64 {
        let mut replayed = self.replayed.lock().unwrap_or_else(PoisonError::into_inner);
        if replayed.0 != day {
            *replayed = (day, 0);
        }
        replayed.1 = replayed.1.saturating_add(elements);
        replayed.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partner_has_its_own_part_and_each_day_its_own_count() {
        let fairness = Fairness::new(3);
        let (one, other) = (fairness.of(&[1; 32]), fairness.of(&[2; 32]));
        assert_eq!(one.chunks.available_permits(), 1, "at least one");
        let _held = one.chunks.try_acquire().expect("free");
        assert!(
            fairness.of(&[1; 32]).chunks.try_acquire().is_err(),
            "the same part"
        );
        assert!(other.chunks.try_acquire().is_ok());
        assert_eq!(
            (one.replay(7, 10), one.replay(7, 5), one.replay(8, 1)),
            (10, 15, 1)
        );
        assert_eq!(other.replay(8, 2), 2);
    }
}
