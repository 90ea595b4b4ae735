//! Group commit: what many give while the disk is busy goes there in one transaction.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What a group's work ends with.
type Outcomes<R> = Pin<Box<dyn Future<Output = Vec<R>> + Send>>;

/// Items that are worked on in groups: one group at a time, of all that came while the one before was worked on, at most so many.
/// An item that comes alone waits for nobody.
pub struct Group<T, R> {
    most: usize,
    work: Box<dyn Fn(Vec<T>) -> Outcomes<R> + Send + Sync>,
    queue: Mutex<Queue<T, R>>,
}

struct Queue<T, R> {
    waiting: VecDeque<(T, oneshot::Sender<R>)>,
    /// A group is worked on.
    busy: bool,
}

impl<T: Send + 'static, R: Send + 'static> Group<T, R> {
    /// Groups of at most `most`. `work` gives an outcome for each item of a group, in order.
    pub fn new<F>(most: usize, work: impl Fn(Vec<T>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        Arc::new(Self {
            most,
            work: Box::new(move |items| Box::pin(work(items))),
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                busy: false,
            }),
        })
    }

    /// Gives an item, at once and not when the outcome is awaited; it is worked on whether anybody waits or not.
    ///
    /// The outcome is `None` if the runtime is stopping, or the work of its group panicked.
    ///
    /// # Panics
    /// Outside a Tokio runtime, or if the work on this item alone panics before it first waits.
    pub fn give(self: &Arc<Self>, item: T) -> impl Future<Output = Option<R>> + Send + use<T, R> {
        let (reply, outcome) = oneshot::channel();
        let first = {
            let mut queue = self.queue();
            queue.waiting.push_back((item, reply));
            !std::mem::replace(&mut queue.busy, true)
        };
        if first && let Some(turn) = self.next_turn() {
            begin(turn);
        }
        async move { outcome.await.ok() }
    }

    /// The work on those that have waited longest; `None` if nobody waits, and the next to come is the first.
    fn next_turn(self: &Arc<Self>) -> Option<impl Future<Output = ()> + Send + use<T, R>> {
        let (items, replies): (Vec<T>, Vec<_>) = {
            let mut queue = self.queue();
            let count = queue.waiting.len().min(self.most);
            queue.busy = count > 0;
            queue.waiting.drain(..count).unzip()
        };
        if items.is_empty() {
            return None;
        }
        let turn = Turn(Arc::clone(self));
        Some(async move {
            for (reply, outcome) in replies.into_iter().zip((turn.0.work)(items).await) {
                // Whoever is gone does not wait.
                let _ = reply.send(outcome);
            }
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the turn on when it ends, however it ends.
struct Turn<T: Send + 'static, R: Send + 'static>(Arc<Group<T, R>>);

impl<T: Send + 'static, R: Send + 'static> Drop for Turn<T, R> {
    fn drop(&mut self) {
        if let Some(next) = self.0.next_turn()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(next);
        }
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

    /// The work panics on it.
    const BAD: u32 = u32::MAX;

    /// Work that waits for a permit for each group, and tells the sizes.
    struct Work {
        group: Arc<Group<u32, u32>>,
        permits: Arc<Semaphore>,
        sizes: Arc<Mutex<Vec<usize>>>,
    }

    impl Work {
        fn new(most: usize) -> Self {
            let permits = Arc::new(Semaphore::new(0));
            let sizes = Arc::new(Mutex::new(Vec::new()));
            let (of_work, told) = (Arc::clone(&permits), Arc::clone(&sizes));
            let group = Group::new(most, move |items: Vec<u32>| {
                let (permits, sizes) = (Arc::clone(&of_work), Arc::clone(&told));
                async move {
                    permits.acquire().await.unwrap().forget();
                    sizes.lock().unwrap().push(items.len());
                    assert!(!items.contains(&BAD), "a bad item");
                    items.into_iter().map(|item| item * 2).collect()
                }
            });
            Self {
                group,
                permits,
                sizes,
            }
        }

        fn give(&self, item: u32) -> impl Future<Output = Option<u32>> + Send + use<> {
            self.group.give(item)
        }

        fn sizes(&self) -> Vec<usize> {
            self.sizes.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_one_group() {
        let work = Work::new(8);
        let given: Vec<_> = (0..20).map(|item| work.give(item)).collect();
        work.permits.add_permits(4);
        for (item, outcome) in (0..).zip(given) {
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
        let given: Vec<_> = [1, BAD, 2, 3].map(|item| work.give(item)).into();
        work.permits.add_permits(3);
        let mut outcomes = Vec::new();
        for outcome in given {
            outcomes.push(outcome.await);
        }
        assert_eq!(outcomes, [Some(2), None, None, Some(6)]);
    }

    /// One task at a time, however long the queue.
    #[tokio::test]
    async fn a_queue_that_never_ends_leaves_nothing_behind() {
        let work = Work::new(8);
        let mut before = work.give(0);
        for item in 1..1_000 {
            let next = work.give(item);
            work.permits.add_permits(1);
            assert_eq!(before.await, Some((item - 1) * 2));
            before = next;
            let tasks = Handle::current().metrics().num_alive_tasks();
            assert!(tasks <= 2, "{tasks} tasks");
        }
    }

    #[tokio::test]
    async fn a_panic_at_once_is_of_its_giver_and_ends_nothing_else() {
        let work = Work::new(8);
        work.permits.add_permits(2);
        let given = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(work.give(BAD))));
        assert!(given.is_err());
        assert_eq!(work.give(2).await, Some(4));
    }

    #[test]
    fn a_runtime_that_stops_leaves_nobody_waiting() {
        let work = Work::new(2);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let given: Vec<_> = {
            let _inside = runtime.enter();
            (20..30).map(|item| work.give(item)).collect()
        };
        drop(runtime);
        let another = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for outcome in given {
            assert_eq!(another.block_on(outcome), None);
        }
        work.permits.add_permits(1);
        assert_eq!(another.block_on(async { work.give(2).await }), Some(4));
    }
}
