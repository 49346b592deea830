use std::fmt;

/// The number of a worker, counted from 0. Each partition belongs to one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u8);

impl WorkerId {
    /// The numbers of all workers.
    pub fn all(workers: u8) -> impl Iterator<Item = Self> {
        (0..workers).map(Self)
    }

    /// The worker of a partition, of `workers`, which is at least 1.
    pub fn of_partition(partition: i32, workers: u8) -> Self {
        Self(partition.rem_euclid(i32::from(workers)) as u8)
    }

    /// The number as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
