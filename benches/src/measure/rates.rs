//! Rates of each second, and counts at any time, from the counts of the samples.

use std::sync::Arc;

use super::model::Sample;

/// Orders per second between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondRates {
    /// Begin and end in seconds after the first due time: the times of the two samples.
    pub start: f64,
    pub end: f64,
    pub asked: f64,
    pub sent: f64,
    pub acknowledged: f64,
    pub stored: f64,
    /// Stored or dead-lettered.
    pub settled: f64,
    pub changes: ChangeRates,
}

/// Changes of orders per second between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangeRates {
    pub sent: f64,
    pub acknowledged: f64,
    pub stored: f64,
}

/// The rates between each two samples.
pub fn rates(samples: &[Arc<Sample>]) -> impl Iterator<Item = SecondRates> {
    samples.windows(2).map(|pair| {
        let (before, sample) = (&pair[0], &pair[1]);
        let since = (sample.at - before.at).as_seconds_f64().max(1e-3);
        let of_producers = (producer_seconds(sample) - producer_seconds(before)).max(1.0);
        let rate =
            |count: fn(&Sample) -> u64, seconds: f64| count(sample).saturating_sub(count(before)) as f64 / seconds;
        SecondRates {
            start: before.seconds,
            end: sample.seconds,
            asked: sample.asked_rate,
            sent: rate(|sample| sample.sent, of_producers),
            acknowledged: rate(|sample| sample.acknowledged, of_producers),
            stored: rate(|sample| sample.stored, since),
            settled: rate(|sample| sample.stored + sample.dead_lettered, since),
            changes: ChangeRates {
                sent: rate(|sample| sample.changes_sent, of_producers),
                acknowledged: rate(|sample| sample.changes_acknowledged, of_producers),
                stored: rate(|sample| sample.changes_stored, since),
            },
        }
    })
}

/// Producers update their counts at whole seconds of the system clock: those of a sample are as of the last one.
fn producer_seconds(sample: &Sample) -> f64 {
    sample.seconds - f64::from(sample.at.timestamp_subsec_micros()) / 1e6
}

/// Orders acknowledged by a time, in seconds after the first due time. Between two samples it is interpolated.
pub fn acknowledged_at(samples: &[Arc<Sample>], seconds: f64) -> f64 {
    interpolate(samples, seconds, |sample| (producer_seconds(sample), sample.acknowledged))
}

/// Rows inserted by a time. Between two samples it is interpolated.
pub fn stored_at(samples: &[Arc<Sample>], seconds: f64) -> f64 {
    interpolate(samples, seconds, |sample| (sample.seconds, sample.stored))
}

fn interpolate(samples: &[Arc<Sample>], seconds: f64, point: impl Fn(&Sample) -> (f64, u64)) -> f64 {
    let after = samples.partition_point(|sample| point(sample).0 < seconds);
    let at = |index: usize| point(&samples[index]);
    match (after.checked_sub(1), samples.get(after)) {
        (None, None) => 0.0,
        (None, Some(_)) => at(after).1 as f64,
        (Some(before), None) => at(before).1 as f64,
        (Some(before), Some(_)) => {
            let ((start, low), (end, high)) = (at(before), at(after));
            low as f64 + (high as f64 - low as f64) * (seconds - start) / (end - start).max(1e-9)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    /// Samples a quarter of a second after each whole one, with these counts of orders acknowledged and stored. The
    /// first due time is a whole second.
    pub fn samples(counts: impl IntoIterator<Item = (u64, u64)>) -> Vec<Arc<Sample>> {
        let sample = |(second, (acknowledged, stored)): (i32, (u64, u64))| {
            let seconds = f64::from(second) + 0.25;
            let at = DateTime::from_timestamp(1_000, 0).unwrap() + TimeDelta::milliseconds((seconds * 1e3) as i64);
            Arc::new(Sample {
                at,
                seconds,
                asked_rate: 100.0,
                acknowledged,
                sent: acknowledged,
                stored,
                ..Sample::default()
            })
        };
        (0..).zip(counts).map(sample).collect()
    }

    #[test]
    fn rates_are_the_differences_by_the_time_between_the_counts() {
        let mut samples = samples([(0, 0), (100, 90), (200, 300)]);
        let rates_of = |samples: &[Arc<Sample>]| {
            rates(samples).map(|it| (it.start, it.end, it.acknowledged, it.stored.round())).collect::<Vec<_>>()
        };
        assert_eq!(rates_of(&samples), [(0.25, 1.25, 100.0, 90.0), (1.25, 2.25, 100.0, 210.0)]);
        // A late sample: the consumers went on until then, the producers' counts are still those of their last second.
        let late = Arc::make_mut(&mut samples[2]);
        (late.at, late.seconds) = (late.at + TimeDelta::milliseconds(500), late.seconds + 0.5);
        assert_eq!(rates_of(&samples)[1], (1.25, 2.75, 100.0, 140.0));
    }

    #[test]
    fn counts_between_two_samples_are_interpolated() {
        let samples = samples([(0, 0), (100, 100), (200, 300)]);
        assert_eq!(
            [-5.0, 0.0, 0.5, 1.0, 2.0, 9.0].map(|at| acknowledged_at(&samples, at)),
            [0.0, 0.0, 50.0, 100.0, 200.0, 200.0]
        );
        assert_eq!([0.25, 0.75, 1.75, 9.0].map(|at| stored_at(&samples, at)), [0.0, 50.0, 200.0, 300.0]);
        assert_eq!(stored_at(&[], 1.0), 0.0);
    }
}
