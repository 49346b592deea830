//! The partitions that are assigned to this instance now, and how far each of them is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{metrics, model::PartitionHandle};

/// The assigned partitions, each with the handle of its assignment. Only the polling thread changes them.
#[derive(Debug, Default)]
pub struct Assignment {
    partitions: Mutex<HashMap<i32, AssignedPartition>>,
}

#[derive(Debug)]
struct AssignedPartition {
    handle: Arc<PartitionHandle>,
    lookup: Lookup,
    /// None until the partition is started: librdkafka does not read it yet.
    reading: Option<Reading>,
}

/// Whether the start position of a partition has to be looked up.
#[derive(Debug, PartialEq, Eq)]
enum Lookup {
    /// At this time.
    Due(Instant),
    Running,
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    since: Instant,
    /// The offset that is read next.
    next: i64,
    /// All records that were read are below this offset; less than `next` after records that are not in the topic.
    read_to: i64,
}

/// A partition whose start position has to be looked up.
#[derive(Debug)]
pub struct LookupRequest {
    pub handle: Arc<PartitionHandle>,
    /// The offset to read next; none for a newly assigned partition, which starts at the committed offset.
    pub next: Option<i64>,
}

/// A partition whose records are all stored or dead-lettered.
#[derive(Debug)]
pub struct IdlePartition {
    pub handle: Arc<PartitionHandle>,
    pub stored: i64,
    pub next: i64,
}

impl Assignment {
    fn partitions_mut(&self) -> MutexGuard<'_, HashMap<i32, AssignedPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds partitions, each with a new handle. Their start positions have to be looked up.
    pub fn assign(&self, partitions: impl IntoIterator<Item = i32>) {
        let mut assigned = self.partitions_mut();
        for partition in partitions {
            let (handle, lookup) = (PartitionHandle::new(partition), Lookup::Due(Instant::now()));
            assigned.insert(partition, AssignedPartition { handle, lookup, reading: None });
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(assigned.len() as f64);
    }

    /// Returns the partitions whose lookup is due, once for each time that it is.
    pub fn take_due_lookups(&self) -> Vec<LookupRequest> {
        let (mut assigned, now) = (self.partitions_mut(), Instant::now());
        let due = assigned.values_mut().filter(|partition| matches!(partition.lookup, Lookup::Due(at) if at <= now));
        let request = |partition: &mut AssignedPartition| {
            partition.lookup = Lookup::Running;
            LookupRequest { handle: partition.handle.clone(), next: partition.reading.map(|reading| reading.next) }
        };
        due.map(request).collect()
    }

    /// Whether a lookup runs.
    pub fn has_running_lookup(&self) -> bool {
        self.partitions_mut().values().any(|partition| partition.lookup == Lookup::Running)
    }

    /// Looks up a partition again after `delay`.
    pub fn look_up_again(&self, handle: &Arc<PartitionHandle>, delay: Duration) {
        if let Some(partition) = current(&mut self.partitions_mut(), handle) {
            partition.lookup = Lookup::Due(Instant::now() + delay);
        }
    }

    /// Looks up all partitions that are read again after `delay`.
    pub fn look_up_all_again(&self, delay: Duration) {
        let at = Instant::now() + delay;
        for partition in self.partitions_mut().values_mut().filter(|partition| partition.lookup == Lookup::Done) {
            partition.lookup = Lookup::Due(at);
        }
    }

    /// Whether the partition of `handle` is still assigned as it was.
    pub fn is_current(&self, handle: &Arc<PartitionHandle>) -> bool {
        current(&mut self.partitions_mut(), handle).is_some()
    }

    /// Records that librdkafka reads the partition from `next` on.
    pub fn start(&self, handle: &Arc<PartitionHandle>, next: i64) {
        if let Some(partition) = current(&mut self.partitions_mut(), handle) {
            let read_to = partition.reading.map_or(next, |reading| reading.read_to);
            partition.lookup = Lookup::Done;
            partition.reading = Some(Reading { since: Instant::now(), next, read_to });
        }
    }

    /// The offset to read next in a partition that is started.
    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        Some(self.partitions_mut().get(&partition)?.reading?.next)
    }

    /// Records that the record at `offset` was read. Returns the handle of its partition.
    pub fn read(&self, partition: i32, offset: i64) -> Option<Arc<PartitionHandle>> {
        let mut assigned = self.partitions_mut();
        let partition = assigned.get_mut(&partition)?;
        if let Some(reading) = &mut partition.reading {
            (reading.next, reading.read_to) = (offset + 1, offset + 1);
        }
        Some(partition.handle.clone())
    }

    /// The partitions that have been read for `at_least` and whose records are all stored or dead-lettered.
    pub fn idle(&self, at_least: Duration) -> Vec<IdlePartition> {
        let assigned = self.partitions_mut();
        let idle = assigned.values().filter_map(|AssignedPartition { handle, lookup, reading }| {
            let (Reading { since, next, read_to }, stored) = ((*reading)?, handle.stored_offset()?);
            let is_idle = *lookup == Lookup::Done && stored >= read_to && since.elapsed() >= at_least;
            is_idle.then(|| IdlePartition { handle: handle.clone(), stored, next })
        });
        idle.collect()
    }

    /// Records that the offsets below `next` are no records that could be read.
    pub fn skip_to(&self, handle: &Arc<PartitionHandle>, next: i64) {
        if let Some(reading) =
            current(&mut self.partitions_mut(), handle).and_then(|partition| partition.reading.as_mut())
        {
            reading.next = reading.next.max(next);
        }
    }

    /// Blocks until no record of the partitions is in flight. Returns false at `deadline`.
    pub fn drain(&self, partitions: &[i32], deadline: Instant) -> bool {
        let handles: Vec<_> = partitions.iter().filter_map(|partition| self.handle(*partition)).collect();
        handles.iter().all(|handle| handle.wait_until_idle(deadline))
    }

    /// Removes partitions: records of them that are still in flight must not be stored any more. Returns those that
    /// were started.
    pub fn revoke(&self, partitions: &[i32]) -> Vec<i32> {
        let mut assigned = self.partitions_mut();
        let mut started = Vec::new();
        for partition in partitions {
            if let Some(revoked) = assigned.remove(partition) {
                revoked.handle.revoke();
                started.extend(revoked.reading.map(|_| *partition));
            }
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(assigned.len() as f64);
        started
    }

    /// The handle of a partition that is assigned.
    pub fn handle(&self, partition: i32) -> Option<Arc<PartitionHandle>> {
        self.partitions_mut().get(&partition).map(|partition| partition.handle.clone())
    }

    /// All assigned partitions.
    pub fn partitions(&self) -> Vec<i32> {
        self.partitions_mut().keys().copied().collect()
    }

    /// The partitions that librdkafka reads, each with the offset to read next.
    pub fn started(&self) -> Vec<(i32, i64)> {
        let assigned = self.partitions_mut();
        assigned.iter().filter_map(|(number, partition)| Some((*number, partition.reading?.next))).collect()
    }
}

/// The partition of `handle`, unless it was revoked since; it may have been assigned again, with another handle.
fn current<'a>(
    assigned: &'a mut HashMap<i32, AssignedPartition>,
    handle: &Arc<PartitionHandle>,
) -> Option<&'a mut AssignedPartition> {
    assigned.get_mut(&handle.partition()).filter(|partition| Arc::ptr_eq(&partition.handle, handle))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_lookup_of_a_revoked_partition_starts_nothing() {
        let assignment = Assignment::default();
        assignment.assign([1]);
        let old = assignment.take_due_lookups().remove(0).handle;
        assert!(assignment.take_due_lookups().is_empty() && assignment.has_running_lookup(), "it runs once");
        assignment.revoke(&[1]);
        assignment.assign([1]);
        assignment.start(&old, 7);
        assignment.look_up_again(&old, Duration::ZERO);
        assert_eq!((assignment.is_current(&old), assignment.started()), (false, Vec::new()));
        assert_eq!(assignment.take_due_lookups()[0].next, None, "the new assignment has a lookup of its own");
    }

    #[test]
    fn a_partition_is_idle_once_all_that_was_read_is_stored_and_a_gap_is_no_record() {
        let assignment = Assignment::default();
        assignment.assign([1]);
        let handle = assignment.take_due_lookups().remove(0).handle;
        let idle = || assignment.idle(Duration::ZERO).iter().map(|idle| (idle.stored, idle.next)).collect::<Vec<_>>();
        handle.advance_stored_offset(10);
        assert_eq!(idle(), [], "it is not started");
        assignment.start(&handle, 10);
        assert_eq!(idle(), [(10, 10)]);
        assert!(assignment.read(1, 10).is_some());
        assert_eq!(idle(), [], "the record is in flight");
        // Records were deleted: reading continues behind them while the one before them is in flight.
        assignment.start(&handle, 20);
        assert_eq!((idle(), assignment.started()), (vec![], vec![(1, 20)]));
        handle.advance_stored_offset(11);
        assert_eq!(idle(), [(11, 20)]);
    }
}
