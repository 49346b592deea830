//! How far each partition is behind, counted to what is stored and not to what was read; and a watchdog over it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::consumer::Consumer;
use tokio_util::sync::CancellationToken;

use crate::{
    group::{Group, Membership},
    health::{Health, Obstacle},
    metrics,
};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longest time that the brokers may take to answer.
const CALL: Duration = Duration::from_secs(2);

/// Looks at the lag of every partition that this instance has.
pub struct LagWatch {
    /// Asks the brokers where each partition ends, and knows what is stored.
    pub group: Arc<Group>,
    /// The topic's name.
    pub topic: String,
    /// Known outages.
    pub health: Arc<Health>,
    /// A partition that is behind and gets no further for this long, while nothing is known to be in the way, is stuck.
    pub stuck_after: Duration,
}

/// How far a partition is.
#[derive(Clone, Copy)]
struct Position {
    partition: i32,
    /// The offset up to which it is stored.
    stored: i64,
    /// Records behind that.
    lag: i64,
    /// Whether a writer has some of them.
    busy: bool,
}

/// Where a partition stood when its storing last got further.
struct Progress {
    stored: i64,
    lag: i64,
    since: Instant,
}

impl Progress {
    fn at(position: Position) -> Self {
        Self { stored: position.stored, lag: position.lag, since: Instant::now() }
    }

    /// Whether there is work and none of it gets done. Being behind by what was there before is not enough: the markers of
    /// another producer's transactions are offsets that nobody can store.
    fn is_stuck(&self, position: Position, after: Duration) -> bool {
        self.since.elapsed() > after && (position.busy || position.lag > self.lag)
    }
}

impl LagWatch {
    /// Looks every few seconds until `stop`.
    ///
    /// # Errors
    /// When a partition is stuck: it is better to leave the group, and its partitions to others, than to hang.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut progress = HashMap::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let (member, topic, stopping) = (self.group.member(), self.topic.clone(), stop.clone());
            let looking = tokio::task::spawn_blocking(move || positions(&member, &topic, &stopping));
            // Without brokers a look takes longer than a stop may.
            let Some(looked) = stop.run_until_cancelled(looking).await else { break };
            match looked.context("the lag can't be read")? {
                Look::Answered(positions) => {
                    self.health.well(Obstacle::Brokers);
                    check(&self.health, self.stuck_after, &positions, &mut progress)?;
                }
                Look::Silence => {
                    let what = "no broker answers; reading goes on as soon as one does".to_owned();
                    self.health.trouble(Obstacle::Brokers, what);
                }
            }
        }
        Ok(())
    }
}

/// What a look at the partitions shows.
enum Look {
    /// Where each is; those of which something is not known are left out.
    Answered(Vec<Position>),
    /// No answer about any.
    Silence,
}

/// Asks where each partition ends, until `stop`. Blocks.
fn positions(member: &Membership, topic: &str, stop: &CancellationToken) -> Look {
    let (mut positions, partitions, mut answers) = (Vec::new(), member.assignment.partitions(), 0);
    for partition in partitions.iter().copied().take_while(|_| !stop.is_cancelled()) {
        let Some(lease) = member.assignment.lease(partition) else { continue };
        let (stored, busy) = (lease.stored(), lease.is_busy());
        let end = member.consumer.fetch_watermarks(topic, partition, CALL).map(|(_, end)| end);
        answers += usize::from(end.is_ok());
        if let (Some(stored), Ok(end)) = (stored, end) {
            let lag = (end - stored).max(0);
            ::metrics::gauge!(metrics::LAG, "partition" => partition.to_string()).set(lag as f64);
            positions.push(Position { partition, stored, lag, busy });
        }
    }
    if answers == 0 && !partitions.is_empty() { Look::Silence } else { Look::Answered(positions) }
}

/// Whether a partition is stuck.
fn check(
    health: &Health,
    stuck_after: Duration,
    positions: &[Position],
    progress: &mut HashMap<i32, Progress>,
) -> anyhow::Result<()> {
    // What is lost right now explains everything, and once it is back the clock begins anew.
    if health.ready().is_err() {
        progress.clear();
    }
    progress.retain(|partition, _| {
        let known = positions.iter().any(|position| position.partition == *partition);
        if !known {
            // Whose it is now, or how far behind, is not for this instance to say.
            ::metrics::gauge!(metrics::LAG, "partition" => partition.to_string()).set(0.0);
        }
        known
    });
    for position in positions.iter().copied() {
        let Position { partition, stored, lag, .. } = position;
        let seen = progress.entry(partition).or_insert_with(|| Progress::at(position));
        if lag == 0 || seen.stored != stored {
            *seen = Progress::at(position);
        } else if seen.is_stuck(position, stuck_after) {
            bail!(
                "partition {partition} is {lag} records behind and has not got beyond offset {stored} for {:?}, although \
                 nothing is known to be in the way: leaving, so that another instance takes it",
                seen.since.elapsed()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUCK_AFTER: Duration = Duration::from_millis(500);

    #[test]
    fn a_partition_that_gets_no_further_is_stuck_unless_something_is_in_the_way() {
        let (health, mut progress) = (Health::default(), HashMap::new());
        let mut check = |health: &Health, stored, lag| {
            check(health, STUCK_AFTER, &[Position { partition: 3, stored, lag, busy: false }], &mut progress)
        };
        assert!(check(&health, 10, 5).is_ok(), "just seen");
        assert!(check(&health, 11, 5).is_ok(), "got further");
        health.trouble(Obstacle::Database, "the database is lost".to_owned());
        assert!(check(&health, 11, 9).is_ok(), "a known outage");
        health.well(Obstacle::Database);
        assert!(check(&health, 12, 1).is_ok(), "a marker that nobody can store");
        std::thread::sleep(STUCK_AFTER + Duration::from_millis(1));
        assert!(check(&health, 12, 1).is_ok(), "still only that");
        assert!(check(&health, 11, 0).is_ok(), "not behind");
        std::thread::sleep(STUCK_AFTER + Duration::from_millis(1));
        let error = check(&health, 11, 9).unwrap_err().to_string();
        assert!(error.contains("partition 3 is 9 records behind") && error.contains("offset 11"), "{error}");
    }
}
