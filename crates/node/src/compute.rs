//! Group arithmetic off the async reactor: a fixed pool of threads and a bounded queue in front of it.
//!
//! Interactive work (a border check) and bulk work (an intersect job, a publication) share the threads, but bulk
//! work may only hold as many places as there are threads: a check never waits behind a long line of bulk chunks.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::{Semaphore, TryAcquireError, oneshot};

/// The pool is full: come back after [`Busy::retry_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every thread is busy and the queue is full")]
pub struct Busy {
    /// A delay after which a place is likely to be free.
    pub retry_after: Duration,
}

/// How long this thread has run on a processor: what work costs, however many others want the same cores.
#[must_use]
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Who waits for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A person or a gate: refused at once when the queue is full.
    Interactive,
    /// The second half of work a person waits for: waits for its turn.
    Begun,
    /// A job: waits for its turn, and only ever holds as many places as there are threads.
    Bulk,
}

impl Priority {
    /// For work whose first half was accepted.
    #[must_use]
    pub fn begun(self) -> Self {
        match self {
            Self::Interactive | Self::Begun => Self::Begun,
            Self::Bulk => Self::Bulk,
        }
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// The pool. Its threads end when the last clone is dropped.
///
/// Threads that wait, sleep: those of a pool that shares work among them look for it a while first, and hold back what the async
/// reactor has to do just then, on machines with few cores.
#[derive(Clone)]
pub struct Compute {
    work: mpsc::Sender<Work>,
    threads: usize,
    places: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

impl Compute {
    /// `threads` 0 means one per core; `queue` is how many pieces of work may wait.
    ///
    /// # Errors
    /// The system refuses to start threads.
    pub fn new(threads: usize, queue: usize) -> io::Result<Self> {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let (work, waiting) = mpsc::channel::<Work>();
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..threads {
            let waiting = Arc::clone(&waiting);
            let thread = thread::Builder::new().name(format!("compute-{index}"));
            thread.spawn(move || {
                while let Some(work) = next(&waiting) {
                    if catch_unwind(AssertUnwindSafe(work)).is_err() {
                        tracing::error!("a piece of work panicked; its caller was told to try again");
                    }
                }
            })?;
        }
        Ok(Self {
            work,
            threads,
            places: Arc::new(Semaphore::new(threads + queue)),
            bulk: Arc::new(Semaphore::new(threads)),
        })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on the pool and waits for it.
    ///
    /// # Errors
    /// [`Busy`] where interactive work finds no place (other work waits instead), or the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let busy = Busy {
            retry_after: Duration::from_millis(250),
        };
        let bulk = match priority {
            Priority::Interactive | Priority::Begun => None,
            Priority::Bulk => Some(self.bulk.clone().acquire_owned().await.map_err(|_| busy)?),
        };
        let place = match priority {
            Priority::Begun | Priority::Bulk => {
                self.places.clone().acquire_owned().await.map_err(|_| busy)?
            }
            Priority::Interactive => match self.places.clone().try_acquire_owned() {
                Ok(place) => place,
                Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => return Err(busy),
            },
        };
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let result = work();
            drop((place, bulk));
            // The caller may have given up meanwhile; then nobody wants the result.
            let _ = sender.send(result);
        };
        self.work.send(Box::new(work)).map_err(|_| busy)?;
        // The sender is only dropped unsent when the work panicked, which is logged; the caller may try again.
        receiver.await.map_err(|_| busy)
    }
}

/// The next piece of work, in the order in which it came; none any more when nobody can send it.
fn next(waiting: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_refuses_interactive_work_and_recovers() {
        let compute = Compute::new(1, 1).expect("threads");
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::spawn({
            let compute = compute.clone();
            async move {
                compute
                    .run(Priority::Interactive, move || gate.recv().is_ok())
                    .await
            }
        });
        let waiting = tokio::spawn({
            let compute = compute.clone();
            async move { compute.run(Priority::Interactive, || 2).await }
        });
        while compute.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = compute.run(Priority::Interactive, || 3).await;
        assert!(refused.expect_err("full").retry_after > Duration::ZERO);
        release.send(()).expect("waiting");
        assert_eq!(blocked.await.expect("task"), Ok(true));
        assert_eq!(waiting.await.expect("task"), Ok(2));
        assert_eq!(compute.run(Priority::Interactive, || 4).await, Ok(4));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bulk_work_leaves_places_for_interactive_work() {
        let compute = Compute::new(2, 4).expect("threads");
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let bulk: Vec<_> = (0..20)
            .map(|_| {
                let (compute, gate) = (compute.clone(), gate.clone());
                tokio::spawn(async move {
                    compute
                        .run(Priority::Bulk, move || {
                            gate.lock().is_ok_and(|gate| gate.recv().is_ok())
                        })
                        .await
                })
            })
            .collect();
        while compute.places.available_permits() > 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(compute.bulk.available_permits(), 0);
        assert_eq!(
            compute.places.available_permits(),
            4,
            "only as many bulk places as threads are taken"
        );
        for _ in 0..20 {
            release.send(()).expect("waiting");
        }
        for task in bulk {
            assert_eq!(task.await.expect("task"), Ok(true));
        }
    }

    #[tokio::test]
    async fn a_panic_in_one_piece_of_work_does_not_stop_the_pool() {
        let compute = Compute::new(1, 1).expect("threads");
        assert!(
            compute
                .run(Priority::Interactive, || panic!("bug"))
                .await
                .is_err()
        );
        assert_eq!(compute.run(Priority::Interactive, || 1).await, Ok(1));
        assert_eq!(compute.places.available_permits(), 2);
    }
}
