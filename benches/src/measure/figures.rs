//! The figures of a run by phase and by process, and those that requirements name.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    model::Sample,
    rates::{acknowledged_at, stored_at},
    run_latencies::RunLatencies,
    schedule::{PhaseTime, Schedule},
    stages::{ACK, SENT, STORED},
};
use crate::{
    fault::{FaultRecord, Recovery},
    report::model::{PhaseFigures, ProcessFigures},
};

/// Rates and latencies of each phase. A latency belongs to the phase in which it was recorded; the last phase has also
/// those of the orders that were stored after its end.
pub fn phases(schedule: &Schedule, samples: &[Arc<Sample>], latencies: &RunLatencies) -> Vec<PhaseFigures> {
    let figures = |(index, phase): (usize, &PhaseTime)| {
        let rate = |count: fn(&[Arc<Sample>], f64) -> f64| {
            (count(samples, phase.end) - count(samples, phase.start)) / (phase.end - phase.start)
        };
        let summary = |stage: &'static str| {
            let latencies = latencies.phase(index)?.get(stage)?;
            Some((stage.to_owned(), latencies.summary()))
        };
        PhaseFigures {
            name: phase.name.clone(),
            start_seconds: phase.start,
            end_seconds: phase.end,
            measured: phase.measured,
            asked_rate: phase.asked_rate,
            acknowledged_rate: rate(acknowledged_at),
            stored_rate: rate(stored_at),
            latencies: [SENT, ACK, STORED].into_iter().filter_map(summary).collect(),
        }
    };
    schedule.phases.iter().enumerate().map(figures).collect()
}

/// Each process: its CPU in the measured phases, 0 while it does not run, and its maxima in the whole run.
pub fn processes(schedule: &Schedule, samples: &[Arc<Sample>]) -> Vec<ProcessFigures> {
    #[derive(Default)]
    struct Sums {
        cpu: f64,
        max_memory: u64,
        max_files: Option<u64>,
    }
    let (mut order, mut sums) = (Vec::new(), BTreeMap::<&str, Sums>::new());
    let mut measured = 0.0;
    let begins = std::iter::once(None).chain(samples.iter().map(|sample| Some(sample.seconds)));
    for (before, sample) in begins.zip(samples) {
        let is_measured = sample.seconds > schedule.measured_start() && sample.seconds <= schedule.load_end() + 1.0;
        let seconds = before.filter(|_| is_measured).map_or(0.0, |before| sample.seconds - before);
        measured += seconds;
        for process in &sample.processes {
            let sums = sums.entry(&process.name).or_insert_with(|| {
                order.push(process.name.as_str());
                Sums::default()
            });
            if process.is_running {
                sums.cpu += process.cpu_cores * seconds;
            }
            sums.max_memory = sums.max_memory.max(process.memory_bytes);
            sums.max_files = sums.max_files.max(process.open_files);
        }
    }
    let figures = |name: &str| {
        let Sums { cpu, max_memory, max_files } = sums.get(name)?;
        Some(ProcessFigures {
            name: name.to_owned(),
            cpu_cores: if measured > 0.0 { cpu / measured } else { 0.0 },
            max_memory_bytes: *max_memory,
            max_open_files: *max_files,
        })
    };
    order.into_iter().filter_map(figures).collect()
}

/// The largest lag of all partitions together in the measured phases, in records, for a requirement on `lag`. `None`
/// when it was never known.
pub fn max_lag(schedule: &Schedule, samples: &[Arc<Sample>]) -> Option<u64> {
    let measured =
        samples.iter().filter(|it| it.seconds >= schedule.measured_start() && it.seconds <= schedule.load_end() + 1.0);
    measured.filter(|sample| !sample.lag.is_empty()).map(|sample| total_lag(sample)).max()
}

/// The lag of all partitions that are known.
pub fn total_lag(sample: &Sample) -> u64 {
    sample.lag.iter().map(|partition| partition.records).sum()
}

/// The longest recovery of a fault in milliseconds, for a requirement on `recovery`: until both the stored rate and the
/// lag have recovered. 0 without faults; `None` when there is one from which the pipeline did not recover.
pub fn longest_recovery(faults: &[FaultRecord]) -> Option<f64> {
    let recovery = |fault: &FaultRecord| {
        let Recovery { stored_rate_seconds, lag_seconds } = fault.recovery?;
        Some(stored_rate_seconds?.max(lag_seconds?) * 1e3)
    };
    faults
        .iter()
        .filter(|fault| fault.error.is_none())
        .try_fold(0.0, |longest: f64, fault| Some(longest.max(recovery(fault)?)))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::measure::{PartitionLag, ProcessKind, ProcessSample, rates::tests::samples};

    fn schedule() -> Schedule {
        let phase = |name: &str, start, end, measured| PhaseTime {
            name: name.to_owned(),
            start,
            end,
            measured,
            asked_rate: 100.0,
        };
        let first_due = DateTime::from_timestamp(1_000, 0).unwrap();
        Schedule { first_due, phases: vec![phase("warm-up", 0.0, 2.0, false), phase("steady", 2.0, 4.0, true)] }
    }

    #[test]
    fn the_rates_of_a_phase_are_those_between_its_begin_and_its_end() {
        let samples = samples([(0, 0), (50, 40), (100, 100), (300, 300), (500, 460), (510, 510)]);
        let phases = phases(&schedule(), &samples, &RunLatencies::default());
        let rates: Vec<_> =
            phases.iter().map(|it| (it.name.as_str(), it.acknowledged_rate, it.stored_rate.round())).collect();
        assert_eq!(rates, [("warm-up", 50.0, 43.0), ("steady", 200.0, 168.0)]);
    }

    #[test]
    fn a_process_has_the_average_cpu_of_the_measured_phases() {
        let process = |name: &str, cpu_cores, memory_bytes, is_running| ProcessSample {
            name: name.to_owned(),
            kind: ProcessKind::Consumer,
            is_running,
            cpu_cores,
            memory_bytes,
            open_files: is_running.then_some(memory_bytes / 10),
        };
        let mut samples = samples([(0, 0); 6]);
        for (sample, (cpu, memory, is_running)) in samples.iter_mut().zip([
            (9.0, 900, true),
            (9.0, 100, true),
            (0.25, 200, true),
            (0.0, 0, false),
            (0.5, 300, true),
            (9.0, 100, true),
        ]) {
            Arc::make_mut(sample).processes = vec![process("consumer-1", cpu, memory, is_running)];
        }
        let figures = processes(&schedule(), &samples);
        let [figures] = &figures[..] else { panic!("{figures:?}") };
        assert_eq!((figures.name.as_str(), figures.cpu_cores), ("consumer-1", 0.25));
        assert_eq!((figures.max_memory_bytes, figures.max_open_files), (900, Some(90)));
    }

    #[test]
    fn the_largest_lag_is_that_of_all_partitions_at_one_time_in_the_measured_phases() {
        let mut samples = samples([(0, 0); 6]);
        assert_eq!(max_lag(&schedule(), &samples), None);
        for (sample, lag) in samples.iter_mut().zip([[900, 900], [900, 900], [10, 20], [25, 0], [0, 28], [900, 900]]) {
            let lag =
                (0..).zip(lag).map(|(partition, records)| PartitionLag { partition, records, consumer: String::new() });
            Arc::make_mut(sample).lag = lag.collect();
        }
        assert_eq!(max_lag(&schedule(), &samples), Some(30));
    }

    #[test]
    fn the_longest_recovery_is_of_both_figures_and_unknown_when_one_is() {
        let fault = |recovery, error: Option<&str>| FaultRecord {
            fault: "kill kafka-1".to_owned(),
            planned_seconds: 0.0,
            began_at: DateTime::UNIX_EPOCH,
            ended_at: None,
            error: error.map(str::to_owned),
            recovery,
        };
        let of = |stored_rate_seconds, lag_seconds| fault(Some(Recovery { stored_rate_seconds, lag_seconds }), None);
        assert_eq!(longest_recovery(&[]), Some(0.0));
        assert_eq!(longest_recovery(&[of(Some(1.0), Some(2.5)), of(Some(2.0), Some(0.0))]), Some(2_500.0));
        assert_eq!(longest_recovery(&[of(Some(1.0), Some(2.5)), of(Some(2.0), None)]), None);
        assert_eq!(longest_recovery(&[of(Some(1.0), Some(2.5)), fault(None, None)]), None);
        assert_eq!(longest_recovery(&[fault(None, Some("it could not begin"))]), Some(0.0));
    }
}
