//! How long the pipeline needed after each fault.

use std::sync::Arc;

use super::{
    figures::total_lag,
    model::Sample,
    rates::{SecondRates, rates},
    schedule::Schedule,
};
use crate::fault::{FaultRecord, Recovery};

/// The stored rate, dead letters included, has recovered when it is at least this part of the rate asked. It is higher
/// than that while the consumers store what is left.
const RECOVERED_RATE: f64 = 0.9;
/// Seconds in a row for which a figure must have recovered.
const RECOVERED_SECONDS: usize = 3;
/// The lag is compared with its average in so many seconds before the fault.
const SECONDS_BEFORE: f64 = 5.0;
/// A lag of at most the orders of this time, in seconds, is always normal: the records on their way.
const NORMAL_LAG_SECONDS: f64 = 0.25;
/// A lag of at most so many records is always normal.
const NORMAL_LAG_RECORDS: f64 = 50.0;

/// The recovery of each fault that began. It is measured from the fault's end, or from its begin when it has none. A
/// figure that does not recover before a later fault begins, or before the end of the samples (for the rate: of the
/// load), has none.
pub fn recoveries(faults: &[FaultRecord], samples: &[Arc<Sample>], schedule: &Schedule) -> Vec<Option<Recovery>> {
    let rates: Vec<SecondRates> = rates(samples).collect();
    let times = |fault: &FaultRecord| {
        let began = schedule.seconds(fault.began_at);
        (began, fault.ended_at.map_or(began, |ended| schedule.seconds(ended)))
    };
    let recovery = |fault: &FaultRecord| {
        let (began, ended) = times(fault);
        // Where a later fault lasts longer, what follows is the recovery from that one.
        let others = faults.iter().filter(|other| other.error.is_none()).map(&times);
        let later = others.filter(|other| other.0 > began && other.1 > ended);
        let next = later.map(|other| other.0.max(ended)).fold(f64::INFINITY, f64::min);
        Recovery {
            stored_rate_seconds: rate_recovery(&rates, ended, next.min(schedule.load_end())),
            lag_seconds: lag_recovery(samples, began, ended, next),
        }
    };
    faults.iter().map(|fault| fault.error.is_none().then(|| recovery(fault))).collect()
}

/// Until the first of the seconds in a row that have the rate asked. The second in which the fault ends is one of them
/// when the rate was not lower then.
fn rate_recovery(rates: &[SecondRates], ended: f64, until: f64) -> Option<f64> {
    let after: Vec<&SecondRates> = rates.iter().filter(|rate| rate.end > ended && rate.end <= until + 1.0).collect();
    let has_recovered = |rate: &&SecondRates| rate.asked > 0.0 && rate.settled >= RECOVERED_RATE * rate.asked;
    let found = after.windows(RECOVERED_SECONDS).find(|seconds| seconds.iter().all(has_recovered))?;
    Some((found[0].start - ended).max(0.0))
}

/// Until the first of the samples in a row in which the lag is normal; 0 when it was so in the one before the end of
/// the fault, too. A run ends when nothing is left to store, so that fewer samples may follow the first one.
fn lag_recovery(samples: &[Arc<Sample>], began: f64, ended: f64, until: f64) -> Option<f64> {
    let known: Vec<&Arc<Sample>> = samples.iter().filter(|sample| !sample.lag.is_empty()).collect();
    let before: Vec<f64> = known
        .iter()
        .filter(|sample| (began - SECONDS_BEFORE..began).contains(&sample.seconds))
        .map(|sample| total_lag(sample) as f64)
        .collect();
    let average = before.iter().sum::<f64>() / before.len().max(1) as f64;
    let is_normal = |sample: &Arc<Sample>| {
        let small = NORMAL_LAG_RECORDS.max(NORMAL_LAG_SECONDS * sample.asked_rate);
        total_lag(sample) as f64 <= small.max(2.0 * average)
    };
    let first = known.partition_point(|sample| sample.seconds < ended);
    let after: Vec<&Arc<Sample>> = known[first..].iter().copied().filter(|sample| sample.seconds <= until).collect();
    let ends_without_lag = until.is_infinite() && after.last().is_some_and(|sample| total_lag(sample) == 0);
    let found = (0..after.len()).find(|first| {
        let row = after[*first..].iter().take(RECOVERED_SECONDS);
        (row.len() == RECOVERED_SECONDS || ends_without_lag) && row.clone().all(|sample| is_normal(sample))
    })?;
    let was_normal = first.checked_sub(1).is_none_or(|before| is_normal(known[before]));
    Some(if found == 0 && was_normal { 0.0 } else { after[found].seconds - ended })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::measure::{PartitionLag, rates::tests::samples, schedule::PhaseTime};

    fn schedule(end: f64) -> Schedule {
        let first_due = DateTime::from_timestamp(1_000, 0).unwrap();
        let phase = PhaseTime { name: "steady".to_owned(), start: 0.0, end, measured: true, asked_rate: 100.0 };
        Schedule { first_due, phases: vec![phase] }
    }

    fn fault(began: f64, ended: f64) -> FaultRecord {
        let at = |seconds: f64| schedule(0.0).first_due + Duration::from_secs_f64(seconds);
        FaultRecord {
            fault: "pause postgres".to_owned(),
            planned_seconds: began,
            began_at: at(began),
            ended_at: Some(at(ended)),
            error: None,
            recovery: None,
        }
    }

    /// Samples with these rates of storing, where 100 are asked, and the lag that follows.
    fn run(stored: &[u64]) -> Vec<Arc<Sample>> {
        let mut total = 0;
        let counts = std::iter::once(0).chain(stored.iter().copied()).zip(0..).map(|(rate, second)| {
            total += rate;
            (100 * second, total)
        });
        let mut samples = samples(counts);
        for sample in &mut samples {
            let records = sample.acknowledged - sample.stored;
            Arc::make_mut(sample).lag = vec![PartitionLag { partition: 0, records, consumer: String::new() }];
        }
        samples
    }

    fn recovery(faults: &[FaultRecord], samples: &[Arc<Sample>], end: f64) -> Vec<(Option<f64>, Option<f64>)> {
        let recoveries = recoveries(faults, samples, &schedule(end));
        recoveries.into_iter().flatten().map(|it| (it.stored_rate_seconds, it.lag_seconds)).collect()
    }

    #[test]
    fn the_rate_recovers_when_it_is_reached_for_three_seconds_and_the_lag_when_it_is_normal() {
        // Nothing is stored from 3.25 to 6.25; then there are 300 more orders than normal, and one second is slow.
        let samples = run(&[100, 100, 100, 0, 0, 0, 150, 80, 150, 170, 150, 150, 150, 100, 100, 100, 100]);
        assert_eq!(recovery(&[fault(3.25, 5.25)], &samples, 17.0), [(Some(3.0), Some(7.0))]);
    }

    #[test]
    fn a_fault_that_nothing_shows_of_is_recovered_from_at_once() {
        let samples = run(&[100; 12]);
        assert_eq!(recovery(&[fault(3.0, 5.5)], &samples, 12.0), [(Some(0.0), Some(0.0))]);
    }

    #[test]
    fn there_is_no_recovery_after_the_next_fault_or_the_end_but_the_lag_may_recover_after_the_load() {
        let samples = run(&[100, 100, 100, 0, 0, 0, 0, 0, 0, 100, 100, 100, 700, 100, 100, 100, 100]);
        let [first, second] = [fault(3.0, 4.0), fault(5.0, 6.0)];
        let both = recovery(&[first, second.clone()], &samples, 17.0);
        assert_eq!(both, [(None, None), (Some(3.25), Some(7.25))]);
        let expected = recovery(&[second], &samples, 9.0);
        assert_eq!(expected, [(None, Some(7.25))], "nothing is asked after the load");
        let failed = FaultRecord { error: Some("no such server".to_owned()), ..fault(3.0, 4.0) };
        assert_eq!(recoveries(&[failed], &samples, &schedule(17.0)), [None]);
    }

    #[test]
    fn a_fault_within_another_one_does_not_hide_the_recovery_from_the_longer_one() {
        let samples = run(&[100, 100, 100, 0, 0, 0, 0, 0, 100, 100, 100, 600, 100, 100, 100, 100, 100]);
        let both = recovery(&[fault(3.25, 8.25), fault(5.25, 6.25)], &samples, 17.0);
        assert_eq!(both, [(Some(0.0), Some(4.0)), (Some(2.0), Some(6.0))]);
    }

    #[test]
    fn a_fault_that_ends_within_a_later_one_has_no_recovery_of_its_own() {
        let samples = run(&[100, 100, 100, 0, 0, 0, 0, 0, 100, 100, 100, 600, 100, 100, 100, 100, 100]);
        let both = recovery(&[fault(3.25, 5.25), fault(4.25, 8.25)], &samples, 17.0);
        assert_eq!(both, [(None, None), (Some(0.0), Some(4.0))]);
    }

    #[test]
    fn a_lag_that_is_0_at_the_end_of_the_run_has_recovered() {
        let mut samples = run(&[100, 100, 100, 0, 0, 0, 100, 100, 100, 400]);
        assert_eq!(recovery(&[fault(3.25, 6.25)], &samples, 17.0), [(Some(0.0), Some(4.0))]);
        // The run was stopped, or the consumers were stuck.
        Arc::make_mut(samples.last_mut().unwrap()).lag[0].records = 1;
        assert_eq!(recovery(&[fault(3.25, 6.25)], &samples, 17.0), [(Some(0.0), None)]);
    }

    #[test]
    fn dead_letters_count_for_the_recovery_of_the_rate() {
        let mut samples = run(&[80; 12]);
        for sample in &mut samples {
            let sample = Arc::make_mut(sample);
            sample.dead_lettered = sample.stored / 4;
            sample.lag.clear();
        }
        assert_eq!(recovery(&[fault(3.0, 5.5)], &samples, 12.0), [(Some(0.0), None)]);
    }

    #[test]
    fn a_lag_that_was_high_before_the_fault_need_not_be_lower_afterwards() {
        let mut samples = run(&[100; 14]);
        for sample in &mut samples {
            Arc::make_mut(sample).lag[0].records = if (6.0..9.0).contains(&sample.seconds) { 500 } else { 200 };
        }
        assert_eq!(recovery(&[fault(5.5, 6.5)], &samples, 14.0), [(Some(0.0), Some(2.75))]);
    }
}
