//! The lag of each partition, measured from the stored offset and not from the offset that was read, and a watchdog for
//! a partition that is stuck.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::consumer::Consumer;
use tokio_util::sync::CancellationToken;

use super::{client::Member, group::Group, watermarks::fetch_watermarks};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    metrics,
    model::WorkerId,
};

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of each request to the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Measures the lag of every partition that is assigned to this instance.
pub struct LagMonitor {
    pub group: Arc<Group>,
    pub topic: String,
    /// The number of workers.
    pub workers: u8,
    pub health: Arc<ConsumerHealth>,
    /// A partition is stuck when it has lag, and for this long none of its rows is inserted and no offset is stored,
    /// without an issue of its worker or of all workers.
    pub stuck_after: Duration,
}

#[derive(Clone, Copy)]
struct Position {
    partition: i32,
    /// The offset below which everything is stored.
    stored: i64,
    /// The rows inserted, whose offset may not be stored yet.
    inserted: u64,
    /// Records between `stored` and the end of the partition.
    lag: i64,
    /// Whether records are in flight.
    busy: bool,
    /// Whether records are in flight, or the partition is paused since the queue of its worker is full.
    waits_for_worker: bool,
}

/// A partition when its stored offset, or the number of its inserted rows, last advanced.
struct StoredProgress {
    stored: i64,
    inserted: u64,
    lag: i64,
    since: Instant,
}

impl StoredProgress {
    fn at(position: Position, now: Instant) -> Self {
        Self { stored: position.stored, inserted: position.inserted, lag: position.lag, since: now }
    }

    /// Stuck means that records are in flight or the lag grew, and no offset was stored. A constant lag is not enough:
    /// the last offsets may be those of a transaction that is not read yet.
    fn is_stuck(&self, position: Position, after: Duration, now: Instant) -> bool {
        now.duration_since(self.since) > after && (position.busy || position.lag > self.lag)
    }
}

impl LagMonitor {
    /// Measures the lag every few seconds until `stop`.
    ///
    /// # Errors
    /// When a partition is stuck: the instance must leave the group, so that another one takes the partition.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut progress, mut exported) = (HashMap::new(), BTreeSet::new());
        while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            let (member, topic, stopping) = (self.group.member(), self.topic.clone(), stop.clone());
            let asking = tokio::task::spawn_blocking(move || positions(&member, &topic, &stopping));
            // Without brokers, the requests take longer than the timeout of a stop.
            let Some(positions) = stop.run_until_cancelled(asking).await else { break };
            let positions = positions.context("the lag can't be read")?;
            let assigned = self.group.member().assignment.partitions();
            export(positions.as_deref().unwrap_or_default(), &assigned, &mut exported);
            match positions {
                Some(mut positions) => {
                    share_progress(&mut positions, self.workers);
                    self.health.resolve(ConsumerIssue::Brokers);
                    let explained = self.explained();
                    check(&explained, self.stuck_after, &positions, &mut progress, Instant::now())?;
                }
                None => {
                    let message = "Kafka: no broker answers; reading continues once one answers".to_owned();
                    self.health.report(ConsumerIssue::Brokers, message);
                }
            }
        }
        Ok(())
    }

    /// Whether an issue explains the lag of a partition: one of its worker, or of all workers.
    fn explained(&self) -> impl Fn(i32) -> bool {
        let (issues, workers) = (self.health.current(), self.workers);
        move |partition| {
            let worker = WorkerId::of_partition(partition, workers);
            issues.iter().any(|issue| issue.explains_lag_of(worker))
        }
    }
}

/// Asks the brokers for the end of each partition, until `stop`. Partitions whose end or stored offset is not known are
/// left out. Returns none when no broker answers for any partition. Blocks.
fn positions(member: &Member, topic: &str, stop: &CancellationToken) -> Option<Vec<Position>> {
    let partitions = member.assignment.partitions();
    if partitions.is_empty() {
        // An instance also has no partition after the brokers were lost for the session timeout.
        return member.consumer().fetch_metadata(Some(topic), REQUEST_TIMEOUT).ok().map(|_| Vec::new());
    }
    let found = Mutex::new((Vec::new(), 0));
    fetch_watermarks(
        member.consumer(),
        topic,
        &partitions,
        REQUEST_TIMEOUT,
        |_| !stop.is_cancelled(),
        |partition, answer| {
            let Ok((_, end)) = answer else { return };
            let handle = member.assignment.handle(partition);
            let stored = handle.and_then(|handle| Some((handle.stored_offset()?, handle)));
            let (positions, answers) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            *answers += 1;
            if let Some((stored, handle)) = stored {
                positions.push(Position {
                    partition,
                    stored,
                    inserted: handle.progress(),
                    lag: end.saturating_sub(stored).max(0),
                    busy: handle.is_busy(),
                    waits_for_worker: handle.waits_for_worker(),
                });
            }
        },
    );
    let (positions, answers) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    (answers > 0).then_some(positions)
}

/// Exports the lag of partitions. One whose lag was `exported` before and that is not assigned any more gets 0: another
/// instance may own it now, and export its lag. One that is assigned keeps its last lag while the next is not known.
fn export(positions: &[Position], assigned: &[i32], exported: &mut BTreeSet<i32>) {
    for position in positions {
        gauge(position.partition).set(position.lag as f64);
        exported.insert(position.partition);
    }
    exported.retain(|partition| {
        let is_assigned = assigned.contains(partition);
        if !is_assigned {
            gauge(*partition).set(0.0);
        }
        is_assigned
    });
}

fn gauge(partition: i32) -> ::metrics::Gauge {
    ::metrics::gauge!(metrics::LAG, "partition" => partition.to_string())
}

/// Counts the rows of a worker for each partition that waits for it. A worker stores records in the order in which they
/// were read: while it stores those of one partition, the others that wait are not stuck.
fn share_progress(positions: &mut [Position], workers: u8) {
    let mut inserted: HashMap<WorkerId, u64> = HashMap::new();
    let worker = |position: &Position| WorkerId::of_partition(position.partition, workers);
    for position in &*positions {
        *inserted.entry(worker(position)).or_default() += position.inserted;
    }
    for position in positions.iter_mut().filter(|position| position.waits_for_worker) {
        position.inserted = inserted[&worker(position)];
    }
}

/// Fails when a partition is stuck.
fn check(
    is_explained: &dyn Fn(i32) -> bool,
    stuck_after: Duration,
    positions: &[Position],
    progress: &mut HashMap<i32, StoredProgress>,
    now: Instant,
) -> anyhow::Result<()> {
    // The time starts again at the end of an issue.
    progress.retain(|partition, _| !is_explained(*partition));
    progress.retain(|partition, _| positions.iter().any(|position| position.partition == *partition));
    for position in positions.iter().copied() {
        let Position { partition, stored, inserted, lag, .. } = position;
        let seen = progress.entry(partition).or_insert_with(|| StoredProgress::at(position, now));
        if lag == 0 || seen.stored != stored || seen.inserted != inserted {
            *seen = StoredProgress::at(position, now);
        } else if seen.is_stuck(position, stuck_after, now) {
            bail!(
                "partition {partition} is stuck: it is {lag} records behind, and its stored offset {stored} has not \
                 advanced for {:?} without a known issue (--stuck-after). The consumer exits, so that another one takes \
                 the partition",
                now.duration_since(seen.since)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    const STUCK_AFTER: Duration = Duration::from_millis(500);

    fn position(partition: i32, stored: i64, lag: i64, busy: bool) -> Position {
        Position { partition, stored, inserted: 0, lag, busy, waits_for_worker: busy }
    }

    #[test]
    fn the_lag_is_exported_while_a_partition_is_assigned_and_is_0_afterwards() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let lags = || {
            let page = recorder.handle().render();
            let lines = page.lines().filter_map(|line| line.strip_prefix(metrics::LAG)?.strip_prefix("{partition=\""));
            lines.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let expected = |lags: [&str; 3]| BTreeSet::from(lags.map(str::to_owned));
        ::metrics::with_local_recorder(&recorder, || {
            let (mut exported, mut progress) = (BTreeSet::new(), HashMap::new());
            let positions = [1, 2, 3].map(|partition| position(partition, 10, 7, true));
            // An issue explains their lag, so that no progress is kept.
            check(&|_| true, STUCK_AFTER, &positions, &mut progress, Instant::now()).unwrap();
            export(&positions, &[1, 2, 3], &mut exported);
            assert_eq!(lags(), expected(["1\"} 7", "2\"} 7", "3\"} 7"]));
            // Of the others, one has no leader, and one was revoked.
            check(&|_| true, STUCK_AFTER, &positions[..1], &mut progress, Instant::now()).unwrap();
            export(&positions[..1], &[1, 2], &mut exported);
            assert_eq!(lags(), expected(["1\"} 7", "2\"} 7", "3\"} 0"]));
            // All brokers are down, and the assignment is lost.
            export(&[], &[], &mut exported);
            assert_eq!(lags(), expected(["1\"} 0", "2\"} 0", "3\"} 0"]));
        });
    }

    #[test]
    fn a_worker_that_inserts_rows_of_one_partition_makes_progress_for_those_that_wait_for_it() {
        let stores = Position { inserted: 7, ..position(0, 10, 5, true) };
        let paused = Position { waits_for_worker: true, ..position(3, 10, 5, false) };
        let mut positions = [stores, paused, position(6, 10, 5, false), position(1, 10, 5, true)];
        share_progress(&mut positions, 3);
        assert_eq!(positions.map(|position| position.inserted), [7, 7, 0, 0]);
    }

    #[test]
    fn a_partition_whose_stored_offset_does_not_advance_is_stuck_unless_an_issue_explains_it() {
        let mut progress = HashMap::new();
        let mut now = Instant::now();
        let mut check = |explained: bool, stored, inserted, lag, passed| {
            now += passed;
            let position = Position { inserted, ..position(3, stored, lag, inserted > 0) };
            check(&|_| explained, STUCK_AFTER, &[position], &mut progress, now)
        };
        let (at_once, later) = (Duration::ZERO, STUCK_AFTER + Duration::from_millis(1));
        assert!(check(false, 10, 0, 5, at_once).is_ok(), "just seen");
        assert!(check(false, 11, 0, 5, at_once).is_ok(), "advanced");
        assert!(check(true, 11, 0, 9, later).is_ok(), "an issue");
        assert!(check(false, 12, 0, 1, at_once).is_ok(), "a transaction marker");
        assert!(check(false, 12, 0, 1, later).is_ok(), "still only that");
        assert!(check(false, 11, 0, 0, at_once).is_ok(), "not behind");
        assert!(check(false, 11, 1, 9, later).is_ok(), "a row of a batch is inserted");
        let error = check(false, 11, 1, 9, later).unwrap_err().to_string();
        assert!(
            error.contains("partition 3 is stuck: it is 9 records behind") && error.contains("offset 11"),
            "{error}"
        );
    }
}
