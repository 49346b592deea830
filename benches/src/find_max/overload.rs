//! Whether a pipeline can't work off what is due: then a probe ends early. Otherwise, the wait until all of it is stored
//! would take the time of other probes.

use super::figures::Backlog;
use crate::measure::{Sample, total_lag};

/// A backlog of the orders of so many seconds ends a probe, if it grew in each of the last [`GROWING_SAMPLES`].
const MAX_SECONDS: f64 = 2.0;
const GROWING_SAMPLES: usize = 4;

/// The backlogs of a probe that sends at one rate for a time.
pub struct OverloadWatch {
    rate: f64,
    length: f64,
    last: f64,
    backlogs: Vec<Backlog>,
}

impl OverloadWatch {
    /// `length` is in seconds.
    pub fn new(rate: f64, length: f64) -> Self {
        Self { rate, length, last: f64::NEG_INFINITY, backlogs: Vec::new() }
    }

    /// Adds a sample, if it is a new one. Returns the backlog when it is large and still grows.
    pub fn add(&mut self, sample: &Sample) -> Option<Backlog> {
        if sample.seconds <= self.last {
            return None;
        }
        self.last = sample.seconds;
        let due = self.rate * sample.seconds.clamp(0.0, self.length);
        let unacknowledged = (due - sample.acknowledged as f64).max(0.0);
        let backlog = Backlog { unacknowledged, lag: total_lag(sample) as f64 };
        self.backlogs.push(backlog);
        let latest = &self.backlogs[self.backlogs.len().saturating_sub(GROWING_SAMPLES)..];
        let grows = latest.windows(2).all(|pair| pair[1].total() > pair[0].total());
        let is_overloaded = latest.len() == GROWING_SAMPLES && grows && backlog.total() > MAX_SECONDS * self.rate;
        is_overloaded.then_some(backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::PartitionLag;

    /// Adds a sample a second of a probe at 1,000/s; each has the orders acknowledged and the lag.
    fn overloaded(samples: &[(u64, u64)]) -> Option<Backlog> {
        let mut watch = OverloadWatch::new(1_000.0, 5.0);
        let sample = |(second, (acknowledged, lag)): (u32, &(u64, u64))| Sample {
            seconds: f64::from(second),
            acknowledged: *acknowledged,
            lag: vec![PartitionLag { partition: 0, records: *lag, consumer: String::new() }],
            ..Sample::default()
        };
        let samples: Vec<Sample> = (1..).zip(samples).map(sample).collect();
        // Each sample is seen twice, as by a watch that looks more often than once a second.
        samples.iter().flat_map(|sample| [sample; 2]).find_map(|sample| watch.add(sample))
    }

    #[test]
    fn a_backlog_that_is_large_and_still_grows_is_an_overload_wherever_the_orders_wait() {
        let lagging = [(1_000, 500), (2_000, 1_000), (3_000, 1_600), (4_000, 2_200)];
        assert_eq!(overloaded(&lagging), Some(Backlog { unacknowledged: 0.0, lag: 2_200.0 }));
        let late = [(400, 0), (800, 0), (1_200, 0), (1_600, 10)];
        assert_eq!(overloaded(&late), Some(Backlog { unacknowledged: 2_400.0, lag: 10.0 }));
        assert_eq!(overloaded(&[(1_000, 500), (2_000, 1_000), (3_000, 1_600), (4_000, 1_950)]), None, "not large yet");
        assert_eq!(overloaded(&[(1_000, 2_500), (2_000, 3_000), (3_000, 2_900), (4_000, 3_100)]), None, "it shrank");
        assert_eq!(overloaded(&[(1_000, 1_900), (2_000, 2_400), (3_000, 2_900)]), None, "too few samples");
        let after_the_end = [(500, 0), (1_000, 0), (1_500, 0), (2_400, 0), (3_000, 0), (3_500, 0), (4_000, 0)];
        assert_eq!(overloaded(&after_the_end), None, "nothing is due after the end");
    }
}
