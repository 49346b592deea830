//! The partitions that are assigned to this instance now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{metrics, model::PartitionHandle};

/// The assigned partitions, each with the handle of its assignment.
#[derive(Debug, Default)]
pub struct Assignment {
    handles: Mutex<HashMap<i32, Arc<PartitionHandle>>>,
    /// Assigned partitions whose start position is not known yet.
    without_start_position: Mutex<Vec<i32>>,
}

impl Assignment {
    fn handles(&self) -> MutexGuard<'_, HashMap<i32, Arc<PartitionHandle>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn without_start_position(&self) -> MutexGuard<'_, Vec<i32>> {
        self.without_start_position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds partitions, each with a new handle.
    pub fn assign(&self, partitions: impl IntoIterator<Item = i32>) {
        let mut handles = self.handles();
        let mut without_start_position = self.without_start_position();
        for partition in partitions {
            handles.insert(partition, PartitionHandle::new(partition));
            without_start_position.push(partition);
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(handles.len() as f64);
    }

    /// Returns the partitions that were assigned since the last call and are still assigned.
    pub fn take_without_start_position(&self) -> Vec<i32> {
        let mut partitions = std::mem::take(&mut *self.without_start_position());
        let handles = self.handles();
        partitions.retain(|partition| handles.contains_key(partition));
        partitions
    }

    /// Puts partitions back, for the next call of [`Self::take_without_start_position`].
    pub fn put_back_without_start_position(&self, partitions: Vec<i32>) {
        self.without_start_position().extend(partitions);
    }

    /// Blocks until no record of the partitions is in flight. Returns false at `deadline`.
    pub fn drain(&self, partitions: &[i32], deadline: Instant) -> bool {
        let handles: Vec<_> = partitions.iter().filter_map(|partition| self.handle(*partition)).collect();
        handles.iter().all(|handle| handle.wait_until_idle(deadline))
    }

    /// Removes partitions: records of them that are still in flight must not be stored any more.
    pub fn revoke(&self, partitions: &[i32]) {
        let mut handles = self.handles();
        for partition in partitions {
            if let Some(handle) = handles.remove(partition) {
                handle.revoke();
            }
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(handles.len() as f64);
    }

    /// The handle of a partition that is assigned.
    pub fn handle(&self, partition: i32) -> Option<Arc<PartitionHandle>> {
        self.handles().get(&partition).cloned()
    }

    pub fn partitions(&self) -> Vec<i32> {
        self.handles().keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_revoked_handle_stays_revoked_when_the_partition_comes_back() {
        let assignment = Assignment::default();
        assignment.assign([3]);
        let old = assignment.handle(3).unwrap();
        assert!(old.begin());
        assignment.revoke(&[3]);
        assignment.assign([3]);
        assert!(old.is_revoked() && !old.begin());
        assert!(assignment.handle(3).unwrap().begin());
    }

    #[test]
    fn a_drain_ends_when_the_last_record_does_or_at_its_deadline() {
        let assignment = Assignment::default();
        assignment.assign([1, 2]);
        let handle = assignment.handle(1).unwrap();
        assert!(handle.begin() && handle.begin());
        assert!(!assignment.drain(&[1, 2], Instant::now()));
        let ending = std::thread::spawn(move || handle.end(2));
        assert!(assignment.drain(&[1, 2], Instant::now() + Duration::from_secs(60)));
        ending.join().unwrap();
    }
}
