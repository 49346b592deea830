//! Which partitions this instance has, and what of each is under way.
//!
//! Every assignment of a partition has a [`Lease`] of its own, which its records carry. When the partition goes away the
//! lease is revoked, so a record of an old assignment can't be mistaken for one of a new one (invariant 9).

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use crate::metrics;

/// One assignment of one partition.
#[derive(Debug)]
pub struct Lease {
    partition: i32,
    state: Mutex<LeaseState>,
    idle: Condvar,
    /// The offset before which everything is stored; [`UNKNOWN`] until that is known.
    stored: AtomicI64,
}

const UNKNOWN: i64 = -1;

#[derive(Debug, Default)]
struct LeaseState {
    in_flight: usize,
    revoked: bool,
}

impl Lease {
    fn new(partition: i32) -> Arc<Self> {
        Arc::new(Self { partition, state: Mutex::default(), idle: Condvar::new(), stored: AtomicI64::new(UNKNOWN) })
    }

    fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Everything before `offset` is stored, or was before this assignment.
    pub fn stored_up_to(&self, offset: i64) {
        self.stored.fetch_max(offset, Ordering::Relaxed);
    }

    /// The offset before which everything is stored, once that is known.
    pub fn stored(&self) -> Option<i64> {
        Some(self.stored.load(Ordering::Relaxed)).filter(|offset| *offset != UNKNOWN)
    }

    /// Whether records of it are with a writer.
    pub fn is_busy(&self) -> bool {
        self.state().in_flight > 0
    }

    /// A record goes to its writer; false when the partition is no longer ours.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        if !state.revoked {
            state.in_flight += 1;
        }
        !state.revoked
    }

    /// `records` that were begun are done with: their offset is stored, or they are handed back.
    pub fn end(&self, records: usize) {
        let mut state = self.state();
        state.in_flight -= records;
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
    }

    /// Whether the partition went away.
    pub fn is_revoked(&self) -> bool {
        self.state().revoked
    }

    fn wait_until_idle(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.idle.wait_timeout_while(self.state(), left, |state| state.in_flight > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.in_flight == 0
    }
}

/// The partitions that this instance has now.
#[derive(Debug, Default)]
pub struct Assignment {
    leases: Mutex<HashMap<i32, Arc<Lease>>>,
    /// Came since somebody asked for them.
    arrived: Mutex<Vec<i32>>,
}

impl Assignment {
    fn leases(&self) -> MutexGuard<'_, HashMap<i32, Arc<Lease>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions came.
    pub fn grant(&self, partitions: impl IntoIterator<Item = i32>) {
        let mut leases = self.leases();
        let mut arrived = self.arrived();
        for partition in partitions {
            leases.insert(partition, Lease::new(partition));
            arrived.push(partition);
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(leases.len() as f64);
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<i32>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that came since this was last called and are still there.
    pub fn take_new(&self) -> Vec<i32> {
        let mut new = std::mem::take(&mut *self.arrived());
        let leases = self.leases();
        new.retain(|partition| leases.contains_key(partition));
        new
    }

    /// These are asked for again.
    pub fn still_new(&self, partitions: Vec<i32>) {
        self.arrived().extend(partitions);
    }

    /// Waits until nothing of the partitions is under way; false when the deadline came first.
    pub fn drain(&self, partitions: &[i32], deadline: Instant) -> bool {
        let leases: Vec<_> = partitions.iter().filter_map(|partition| self.lease(*partition)).collect();
        leases.iter().all(|lease| lease.wait_until_idle(deadline))
    }

    /// Partitions go: what is still under way of them must not be stored any more.
    pub fn revoke(&self, partitions: &[i32]) {
        let mut leases = self.leases();
        for partition in partitions {
            if let Some(lease) = leases.remove(partition) {
                lease.state().revoked = true;
            }
        }
        ::metrics::gauge!(metrics::ASSIGNED).set(leases.len() as f64);
    }

    /// The lease of a partition that this instance has.
    pub fn lease(&self, partition: i32) -> Option<Arc<Lease>> {
        self.leases().get(&partition).cloned()
    }

    /// The partitions' numbers.
    pub fn partitions(&self) -> Vec<i32> {
        self.leases().keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_revoked_lease_stays_revoked_when_the_partition_comes_back() {
        let assignment = Assignment::default();
        assignment.grant([3]);
        let old = assignment.lease(3).unwrap();
        assert!(old.begin());
        assignment.revoke(&[3]);
        assignment.grant([3]);
        assert!(old.is_revoked() && !old.begin());
        assert!(assignment.lease(3).unwrap().begin());
    }

    #[test]
    fn a_drain_ends_when_the_last_record_does_or_at_its_deadline() {
        let assignment = Assignment::default();
        assignment.grant([1, 2]);
        let lease = assignment.lease(1).unwrap();
        assert!(lease.begin() && lease.begin());
        assert!(!assignment.drain(&[1, 2], Instant::now()));
        let ending = std::thread::spawn(move || lease.end(2));
        assert!(assignment.drain(&[1, 2], Instant::now() + Duration::from_secs(60)));
        ending.join().unwrap();
    }
}
