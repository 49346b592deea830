//! The memory of the queues between the reader and the workers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::WorkerId;

/// Limits the bytes of the records in flight. Half of them is divided between the workers, so that a worker that is
/// stuck can't take the memory of the others; the other half is for whichever needs it.
pub struct QueueMemory {
    own: Vec<Pool>,
    common: Pool,
}

struct Pool {
    free: Arc<Semaphore>,
    capacity: usize,
}

impl Pool {
    fn new(capacity: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(capacity)), capacity }
    }

    /// A record larger than the pool takes all of it.
    fn try_acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.min(self.capacity)).ok()?;
        self.free.clone().try_acquire_many_owned(permits).ok()
    }

    fn used(&self) -> usize {
        self.capacity - self.free.available_permits()
    }
}

impl QueueMemory {
    /// Memory of `capacity` bytes for this number of workers.
    pub fn new(capacity: usize, workers: usize) -> Self {
        let own = capacity / 2 / workers;
        let common = Pool::new(capacity - own * workers);
        Self { own: (0..workers).map(|_| Pool::new(own)).collect(), common }
    }

    /// Memory for a record of a worker; none while its part and the common part are full.
    pub fn try_acquire(&self, worker: WorkerId, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.own[worker.index()].try_acquire(bytes).or_else(|| self.common.try_acquire(bytes))
    }

    /// The bytes of all records in flight.
    pub fn used(&self) -> usize {
        self.common.used() + self.own.iter().map(Pool::used).sum::<usize>()
    }

    /// Whether a worker has nothing to do.
    pub fn is_idle(&self, worker: WorkerId) -> bool {
        self.own[worker.index()].used() == 0
    }

    /// Whether at least half of a worker's own memory is free.
    pub fn has_room(&self, worker: WorkerId) -> bool {
        let own = &self.own[worker.index()];
        own.used() <= own.capacity / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_takes_all_it_can_leaves_the_others_their_part() {
        let memory = QueueMemory::new(600, 3);
        let [first, second, third] = [0, 1, 2].map(|partition| WorkerId::of_partition(partition, 3));
        let acquire = |worker| std::iter::from_fn(|| memory.try_acquire(worker, 50)).collect::<Vec<_>>();
        let taken = acquire(first);
        assert_eq!((taken.len(), memory.used()), (8, 400));
        assert!(!memory.has_room(first) && !memory.is_idle(first) && memory.is_idle(second));
        let others = [acquire(second), acquire(third)];
        assert_eq!((others[0].len(), others[1].len(), memory.used()), (2, 2, 600));
        drop(taken);
        assert!(memory.has_room(first) && memory.is_idle(first));
        assert!(memory.try_acquire(first, 10_000).is_some(), "a record larger than the queue takes a whole part");
        drop(others);
        assert_eq!(memory.used(), 0);
    }
}
