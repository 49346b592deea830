//! A sample from the figures of the programs and the offsets of the topic.

use std::collections::BTreeMap;

use super::{
    counters::{Counter, Counts},
    model::{PartitionLag, Sample},
    offsets::PartitionOffsets,
    programs::ProgramFigures,
};

/// The counts of the last sample, of which the figures of one second are the difference.
#[derive(Default)]
pub struct SecondFigures {
    last: Counts,
}

impl SecondFigures {
    /// The next sample, without its times, latencies and processes.
    pub fn sample(&mut self, figures: &ProgramFigures, offsets: &BTreeMap<i32, PartitionOffsets>) -> Sample {
        let counts = figures.counts;
        let second = counts.since(std::mem::replace(&mut self.last, counts));
        let share =
            |part: Counter, whole: Counter| (second[whole] > 0).then(|| second[part] as f64 / second[whole] as f64);
        Sample {
            sent: counts[Counter::Sent],
            acknowledged: counts[Counter::Acknowledged],
            changes_sent: counts[Counter::ChangesSent],
            changes_acknowledged: counts[Counter::ChangesAcknowledged],
            changes_stored: counts[Counter::ChangesStored],
            in_flight: figures.in_flight,
            consumed: counts[Counter::Consumed],
            stored: counts[Counter::Stored],
            duplicates: counts[Counter::Duplicates],
            dead_lettered: counts[Counter::DeadLettered],
            rows_per_batch: share(Counter::BatchRows, Counter::Batches),
            lookup_hit_rate: share(Counter::LookupsInProcess, Counter::Lookups),
            cache_age_seconds: figures.cache_age_seconds,
            lag: lag(figures, offsets),
            assigned: assigned(figures),
            ..Sample::default()
        }
    }
}

/// The records from what is stored to the end, of each partition whose end is known. The consumer that has a partition
/// knows best up to where it is stored; the committed offset, up to a second old, is what is known without it.
fn lag(figures: &ProgramFigures, offsets: &BTreeMap<i32, PartitionOffsets>) -> Vec<PartitionLag> {
    let lag = |(partition, PartitionOffsets { end, committed }): (&i32, &PartitionOffsets)| {
        let owned = figures.stored_offsets.get(partition);
        let stored = owned.map_or(*committed, |(stored, _)| *stored.max(committed));
        PartitionLag {
            partition: *partition,
            records: end.saturating_sub(stored).max(0).cast_unsigned(),
            consumer: owned.map(|(_, consumer)| consumer.to_string()).unwrap_or_default(),
        }
    };
    offsets.iter().map(lag).collect()
}

fn assigned(figures: &ProgramFigures) -> BTreeMap<String, u32> {
    let mut partitions = BTreeMap::new();
    for (_, consumer) in figures.stored_offsets.values() {
        *partitions.entry(consumer.to_string()).or_default() += 1;
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Target;

    fn counts(values: &[(Counter, u64)]) -> ProgramFigures {
        let mut figures = ProgramFigures::default();
        for (counter, value) in values {
            figures.counts[*counter] = *value;
        }
        figures
    }

    #[test]
    fn averages_are_those_of_the_second() {
        let mut second = SecondFigures::default();
        let some = [(Counter::BatchRows, 100), (Counter::Batches, 10), (Counter::Lookups, 200)];
        let sample = second.sample(&counts(&some), &BTreeMap::new());
        assert_eq!((sample.rows_per_batch, sample.lookup_hit_rate), (Some(10.0), Some(0.0)));
        let more = [
            (Counter::BatchRows, 160),
            (Counter::Batches, 12),
            (Counter::Lookups, 240),
            (Counter::LookupsInProcess, 30),
            (Counter::Stored, 7),
        ];
        let sample = second.sample(&counts(&more), &BTreeMap::new());
        assert_eq!((sample.rows_per_batch, sample.lookup_hit_rate, sample.stored), (Some(30.0), Some(0.75), 7));
        let sample = second.sample(&counts(&more), &BTreeMap::new());
        assert_eq!((sample.rows_per_batch, sample.lookup_hit_rate, sample.stored), (None, None, 7));
    }

    #[test]
    fn the_lag_is_counted_from_what_is_stored_or_committed_whichever_is_later() {
        let mut figures = ProgramFigures::default();
        let consumer = Target::Consumer(2);
        figures.stored_offsets =
            [(0, 95), (1, 80), (3, 70)].map(|(partition, offset)| (partition, (offset, consumer))).into();
        let offsets = |end, committed| PartitionOffsets { end, committed };
        let known = [(0, offsets(100, 90)), (1, offsets(100, 90)), (2, offsets(100, 40)), (3, offsets(60, 50))];
        let sample = SecondFigures::default().sample(&figures, &known.into());
        let lag: Vec<_> = sample.lag.iter().map(|it| (it.partition, it.records, it.consumer.as_str())).collect();
        // The end of partition 3 was asked before its last records were stored.
        assert_eq!(lag, [(0, 5, "consumer-2"), (1, 10, "consumer-2"), (2, 60, ""), (3, 0, "consumer-2")]);
    }
}
