//! Group commit: what many give while the disk is busy goes there in one transaction.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::oneshot;

/// Items that are worked on in groups: one group at a time, of all that came while the one before was worked on, at most so many.
/// An item that comes alone waits for nobody.
pub struct Group<T, R> {
    most: usize,
    waiting: Mutex<VecDeque<(T, oneshot::Sender<R>)>>,
    /// Held by whoever works on a group.
    turn: tokio::sync::Mutex<()>,
}

impl<T: Send + 'static, R: Send + 'static> Group<T, R> {
    /// Groups of at most `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Gives an item, at once and not when the result is awaited. `work` gives an outcome for each item of a group, in order; of the
    /// calls of a group that of one is used. It goes on if nobody waits for the outcomes.
    ///
    /// The result is `None` if the runtime is stopping, or `work` panicked.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn give<W, F>(
        self: &Arc<Self>,
        item: T,
        work: W,
    ) -> impl Future<Output = Option<R>> + Send + use<T, R, W, F>
    where
        W: FnOnce(Vec<T>) -> F + Send + 'static,
        F: Future<Output = Vec<R>> + Send,
    {
        let (reply, outcome) = oneshot::channel();
        self.waiting().push_back((item, reply));
        let group = Arc::clone(self);
        begin(async move {
            let _turn = group.turn.lock().await;
            // Each turn takes the oldest, and there is one for each item: none is left over.
            let (items, replies) = group.take();
            if items.is_empty() {
                return;
            }
            for (reply, outcome) in replies.into_iter().zip(work(items).await) {
                // Whoever is gone does not wait.
                let _ = reply.send(outcome);
            }
        });
        async move { outcome.await.ok() }
    }

    fn take(&self) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        let count = waiting.len().min(self.most);
        waiting.drain(..count).unzip()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(T, oneshot::Sender<R>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, R> fmt::Debug for Group<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// Goes as far with `work` as it goes now, and on with it in a task of its own: one that is only spawned begins when its spawner
/// waits.
fn begin(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    // The task polls it again, and is then the one that is woken.
    let mut nobody = Context::from_waker(Waker::noop());
    if work.as_mut().poll(&mut nobody).is_pending() {
        tokio::spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// Work that waits for a permit for each group, and tells the sizes.
    struct Work {
        group: Arc<Group<u32, u32>>,
        permits: Arc<Semaphore>,
        sizes: Arc<Mutex<Vec<usize>>>,
    }

    impl Work {
        fn new(most: usize) -> Self {
            Self {
                group: Arc::new(Group::new(most)),
                permits: Arc::new(Semaphore::new(0)),
                sizes: Arc::default(),
            }
        }

        fn give(&self, item: u32) -> impl Future<Output = Option<u32>> + Send + use<> {
            let (permits, sizes) = (Arc::clone(&self.permits), Arc::clone(&self.sizes));
            self.group.give(item, move |items| async move {
                permits.acquire().await.unwrap().forget();
                sizes.lock().unwrap().push(items.len());
                assert!(!items.contains(&13), "item 13 panics");
                items.into_iter().map(|item| item * 2).collect()
            })
        }

        fn sizes(&self) -> Vec<usize> {
            self.sizes.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_one_group() {
        let work = Work::new(8);
        let given: Vec<_> = (20..40).map(|item| work.give(item)).collect();
        work.permits.add_permits(4);
        for (item, outcome) in (20..).zip(given) {
            assert_eq!(outcome.await, Some(item * 2));
        }
        assert_eq!(work.sizes(), [1, 8, 8, 3]);
    }

    #[tokio::test]
    async fn one_alone_has_begun_before_it_is_awaited() {
        let work = Work::new(8);
        work.permits.add_permits(1);
        let outcome = work.give(4);
        assert_eq!(work.sizes(), [1]);
        assert_eq!(outcome.await, Some(8));
    }

    #[tokio::test]
    async fn who_goes_away_takes_nobody_along() {
        let work = Work::new(8);
        drop(work.give(1));
        let outcome = work.give(2);
        drop(work.give(3));
        work.permits.add_permits(2);
        assert_eq!(outcome.await, Some(4));
        assert_eq!(work.sizes(), [1, 2], "those of who went are worked on");
    }

    #[tokio::test]
    async fn a_panic_ends_its_group_only() {
        let work = Work::new(2);
        let given: Vec<_> = [1, 13, 2, 3].map(|item| work.give(item)).into();
        work.permits.add_permits(3);
        let mut outcomes = Vec::new();
        for outcome in given {
            outcomes.push(outcome.await);
        }
        assert_eq!(outcomes, [Some(2), None, None, Some(6)]);
    }
}
