//! The charts of a run.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    model::{LatencyPoint, PartitionLag, ProcessSample, Sample},
    rates::rates,
    run_latencies::RunLatencies,
};
use crate::report::model::{Chart, Series, Timeline};

/// A partition that no consumer has, in the charts by consumer.
const NO_CONSUMER: &str = "no consumer";

/// All series, at the times of the samples. Rates are those of the time since the sample before, so the first has none.
/// Latencies are those of the whole second before the sample.
pub fn timeline(samples: &[Arc<Sample>], latencies: &RunLatencies) -> Timeline {
    let mut charts = Charts { length: samples.len(), series: Vec::new(), index: BTreeMap::new() };
    let has_changes = samples.last().is_some_and(|sample| sample.changes_sent + sample.changes_stored > 0);
    for (index, rates) in (1..).zip(rates(samples)) {
        for (name, rate) in [
            ("asked", rates.asked),
            ("sent", rates.sent),
            ("acknowledged", rates.acknowledged),
            ("stored", rates.stored),
        ] {
            charts.set(Chart::Rate, name, index, rate);
        }
        if has_changes {
            let changes = rates.changes;
            for (name, rate) in
                [("sent", changes.sent), ("acknowledged", changes.acknowledged), ("stored", changes.stored)]
            {
                charts.set(Chart::ChangeRate, name, index, rate);
            }
        }
    }
    for stage in latencies.stages() {
        for percentile in ["p50", "p99", "max"] {
            charts.series(Chart::Latency, &format!("{stage} {percentile}"));
        }
    }
    for (index, sample) in samples.iter().enumerate() {
        for LatencyPoint { stage, p50, p99, max, .. } in latencies.second(sample.at) {
            for (percentile, value) in [("p50", p50), ("p99", p99), ("max", max)] {
                charts.set(Chart::Latency, &format!("{stage} {percentile}"), index, *value);
            }
        }
        charts.add_lag(index, &sample.lag);
        charts.add_assignment(index, sample);
        for (chart, name, value) in [
            (Chart::BatchRows, "rows per batch", sample.rows_per_batch),
            (Chart::HitRate, "lookups answered in the process", sample.lookup_hit_rate),
        ] {
            if let Some(value) = value {
                charts.set(chart, name, index, value);
            }
        }
        sample.processes.iter().for_each(|process| charts.add_process(index, process));
    }
    Timeline { seconds: samples.iter().map(|sample| sample.seconds).collect(), series: charts.series }
}

/// The series, in the order in which they were first set.
struct Charts {
    length: usize,
    series: Vec<Series>,
    /// By chart and name.
    index: BTreeMap<(u8, String), usize>,
}

impl Charts {
    fn series(&mut self, chart: Chart, name: &str) -> &mut Series {
        let (all, length) = (&mut self.series, self.length);
        let index = *self.index.entry((chart as u8, name.to_owned())).or_insert_with(|| {
            all.push(Series { chart, name: name.to_owned(), values: vec![None; length] });
            all.len() - 1
        });
        &mut all[index]
    }

    fn set(&mut self, chart: Chart, name: &str, index: usize, value: f64) {
        self.series(chart, name).values[index] = Some(value);
    }

    fn add_lag(&mut self, index: usize, lag: &[PartitionLag]) {
        let mut consumers: BTreeMap<&str, u64> = BTreeMap::new();
        for PartitionLag { partition, records, consumer } in lag {
            self.set(Chart::PartitionLag, &format!("partition {partition}"), index, *records as f64);
            let name = if consumer.is_empty() { NO_CONSUMER } else { consumer };
            *consumers.entry(name).or_default() += records;
        }
        for (name, records) in consumers {
            self.set(Chart::ConsumerLag, name, index, records as f64);
        }
    }

    fn add_assignment(&mut self, index: usize, sample: &Sample) {
        for (consumer, partitions) in &sample.assigned {
            self.set(Chart::Assignment, consumer, index, f64::from(*partitions));
        }
        let unowned = sample.lag.iter().filter(|partition| partition.consumer.is_empty()).count();
        if unowned > 0 {
            self.set(Chart::Assignment, NO_CONSUMER, index, unowned as f64);
        }
    }

    fn add_process(&mut self, index: usize, process: &ProcessSample) {
        if process.is_running {
            self.set(Chart::Cpu, &process.name, index, process.cpu_cores);
            self.set(Chart::Memory, &process.name, index, process.memory_bytes as f64);
            if let Some(files) = process.open_files {
                self.set(Chart::OpenFiles, &process.name, index, files as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{ProcessKind, rates::tests::samples};

    fn values<'a>(timeline: &'a Timeline, chart: Chart, name: &str) -> &'a [Option<f64>] {
        let series = timeline.series.iter().find(|series| series.chart == chart && series.name == name);
        series.map_or_else(|| panic!("there is no {name}"), |series| &series.values)
    }

    #[test]
    fn each_series_has_a_value_or_none_for_each_sample() {
        let mut samples = samples([(0, 0), (100, 90), (200, 200)]);
        let lag =
            |partition, records, consumer: &str| PartitionLag { partition, records, consumer: consumer.to_owned() };
        let process = |is_running, cpu_cores, open_files| ProcessSample {
            name: "consumer-1".to_owned(),
            kind: ProcessKind::Consumer,
            is_running,
            cpu_cores,
            memory_bytes: 1_000,
            open_files,
        };
        let second = Arc::make_mut(&mut samples[1]);
        second.lag = vec![lag(0, 5, "consumer-1"), lag(1, 7, "consumer-1"), lag(2, 9, "")];
        // The leader of one of its partitions does not answer.
        second.assigned = [("consumer-1".to_owned(), 3)].into();
        second.processes = vec![process(true, 0.5, Some(20))];
        second.rows_per_batch = Some(12.0);
        Arc::make_mut(&mut samples[2]).processes = vec![process(false, 0.0, None)];
        let timeline = timeline(&samples, &RunLatencies::default());
        assert_eq!(timeline.seconds, [0.25, 1.25, 2.25]);
        for (chart, name, expected) in [
            (Chart::Rate, "asked", [None, Some(100.0), Some(100.0)]),
            (Chart::Rate, "acknowledged", [None, Some(100.0), Some(100.0)]),
            (Chart::Rate, "stored", [None, Some(90.0), Some(110.0)]),
            (Chart::PartitionLag, "partition 1", [None, Some(7.0), None]),
            (Chart::ConsumerLag, "consumer-1", [None, Some(12.0), None]),
            (Chart::ConsumerLag, "no consumer", [None, Some(9.0), None]),
            (Chart::Assignment, "consumer-1", [None, Some(3.0), None]),
            (Chart::Assignment, "no consumer", [None, Some(1.0), None]),
            (Chart::BatchRows, "rows per batch", [None, Some(12.0), None]),
            (Chart::Cpu, "consumer-1", [None, Some(0.5), None]),
            (Chart::Memory, "consumer-1", [None, Some(1_000.0), None]),
            (Chart::OpenFiles, "consumer-1", [None, Some(20.0), None]),
        ] {
            assert_eq!(values(&timeline, chart, name), expected, "{name}");
        }
        assert!(timeline.series.iter().all(|series| series.values.len() == 3));
    }
}
