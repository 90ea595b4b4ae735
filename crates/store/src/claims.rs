//! Who is at work on what, in this process: a claim ends when its holder is dropped, however that happens.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The keys that are claimed.
#[derive(Debug)]
pub(crate) struct Claims<K>(Arc<Mutex<HashSet<K>>>);

/// The right to work on one key, until dropped.
#[derive(Debug)]
pub(crate) struct Claim<K: Eq + Hash + Copy> {
    claims: Arc<Mutex<HashSet<K>>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Claims<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Claims `key`, or `None` if another holds it.
    pub(crate) fn claim(&self, key: K) -> Option<Claim<K>> {
        let fresh = lock(&self.0).insert(key);
        fresh.then(|| Claim {
            claims: Arc::clone(&self.0),
            key,
        })
    }

    /// Whether someone holds `key`.
    pub(crate) fn is_claimed(&self, key: K) -> bool {
        lock(&self.0).contains(&key)
    }

    /// Every key that is held.
    pub(crate) fn all(&self) -> Vec<K> {
        lock(&self.0).iter().copied().collect()
    }
}

impl<K: Eq + Hash + Copy> Drop for Claim<K> {
    fn drop(&mut self) {
        lock(&self.claims).remove(&self.key);
    }
}

/// A set stays whole whatever panicked beside it.
fn lock<K>(claims: &Mutex<HashSet<K>>) -> MutexGuard<'_, HashSet<K>> {
    claims.lock().unwrap_or_else(PoisonError::into_inner)
}
