//! The latencies of a run while it goes on.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
};

use shared::latency::IntervalReader;

use super::{
    model::LatencyPoint,
    stages::{ByStage, RunTags, STORED, merge, points},
};

/// Seconds of the recent latencies.
const RECENT_SECONDS: usize = 10;

/// Follows the latency logs of a run's programs.
pub struct LiveLatencies {
    reader: IntervalReader,
    tags: RunTags,
    recent: VecDeque<ByStage>,
    /// Rows committed, by log.
    committed: BTreeMap<String, u64>,
    has_warned: bool,
}

impl LiveLatencies {
    /// Follows the logs in `stats`.
    pub fn new(stats: &Path, tags: RunTags) -> Self {
        let (reader, recent, committed) = (IntervalReader::new(stats), VecDeque::new(), BTreeMap::new());
        Self { reader, tags, recent, committed, has_warned: false }
    }

    /// Rows that a consumer has committed since its first start, as far as its log was read.
    pub fn committed(&self, consumer: &str) -> u64 {
        self.committed.get(consumer).copied().unwrap_or(0)
    }

    /// The latencies that were logged since the last call, and those of the last 10 calls together.
    pub fn read(&mut self) -> (Vec<LatencyPoint>, Vec<LatencyPoint>) {
        self.tags.refresh();
        let (filter, mut second) = (self.tags.filter(), ByStage::new());
        let result = self.reader.read(
            |log, series| filter.stage(log, series).is_some(),
            |interval| {
                if let Some(stage) = filter.stage(&interval.log, &interval.series) {
                    merge(&mut second, stage, &interval.latencies);
                    if stage == STORED {
                        let clock_skew = interval.latencies.summary().clock_skew;
                        *self.committed.entry(interval.log).or_default() += interval.latencies.count() + clock_skew;
                    }
                }
            },
        );
        if let Err(error) = result
            && !std::mem::replace(&mut self.has_warned, true)
        {
            tracing::warn!("latency logs: an interval is missing in the figures of this second: {error}");
        }
        let latencies = points(&second);
        self.recent.push_back(second);
        if self.recent.len() > RECENT_SECONDS {
            self.recent.pop_front();
        }
        let mut recent = ByStage::new();
        for (stage, some) in self.recent.iter().flatten() {
            merge(&mut recent, stage, some);
        }
        (latencies, points(&recent))
    }
}
