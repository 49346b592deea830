//! The polling thread. It dispatches records to the workers and never waits for the database, so that the instance
//! stays a member of its group when workers are slow or blocked (invariant 8).

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use rdkafka::{
    Message, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    backlog::{Backlog, WaitingRecord},
    client::Member,
    group::Group,
    offset_commit::commit_stored_offsets,
    starter::Starter,
};
use crate::{
    metrics,
    model::{InFlightRecord, KafkaRecord},
    pipeline::accounting::Accounting,
    settings::OnOffsetOutOfRange,
};

const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records that are polled before they are dispatched; small, so that records are dispatched soon.
const MAX_POLLED: usize = 32;
/// How long a full queue blocks the poll before the partitions are paused. A pause discards what the client prefetched
/// and costs up to a second, so it is used only in long outages.
const PAUSE_AFTER: Duration = Duration::from_secs(2);
/// Timeout of a poll while a partition waits for its start position.
const SHORT_POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// How long after an offset that is out of range the positions of all partitions are looked up. Until then, records that
/// librdkafka had fetched before are read.
const LOOKUP_DELAY: Duration = Duration::from_millis(300);
/// A member without a partition after this time logs that it is on standby. An assignment takes less time.
const STANDBY_NOTICE_DELAY: Duration = Duration::from_secs(10);
/// Timeout of the last commit of a stop.
const FINAL_COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads records and dispatches them to the workers.
pub struct Reader {
    pub group: Arc<Group>,
    /// One channel per worker; partition p belongs to worker p modulo the number of workers.
    pub workers: Vec<mpsc::UnboundedSender<InFlightRecord>>,
    /// Limits the bytes of the records in flight.
    pub memory: Arc<Semaphore>,
    /// The permits of `memory` when no record is in flight, one per byte.
    pub capacity: usize,
    pub accounting: Arc<Accounting>,
    pub topic: String,
    pub on_offset_out_of_range: OnOffsetOutOfRange,
}

impl Reader {
    /// Reads until `stop`, then drains the records in flight until `stop_deadline` is over, and commits. Blocks; runs
    /// on a thread of its own.
    ///
    /// # Errors
    /// When librdkafka fails with a fatal error, or an offset is out of range and `on_offset_out_of_range` is `End`. In
    /// the latter case, what was read before is stored first: the topic may not have it any more.
    pub fn run(&self, stop: &CancellationToken, stop_deadline: Duration) -> anyhow::Result<()> {
        let mut backlog = Backlog::default();
        let mut read = Ok(());
        let mut has_logged_standby = false;
        let mut starter = Starter::new(self.group.clone(), self.on_offset_out_of_range);
        let mut started = Ok(());
        while !stop.is_cancelled() && read.is_ok() && started.is_ok() {
            let member = self.group.member();
            read = self.step(&member, &mut backlog);
            started = starter.step(&member);
            if read.is_ok() && started.is_ok() && self.group.take_rejoin_request() {
                drop(member);
                read = self.rejoin(&mut backlog);
                continue;
            }
            if !has_logged_standby && member.created_at.elapsed() > STANDBY_NOTICE_DELAY {
                has_logged_standby = true;
                self.log_standby(&member);
            }
        }
        if started.is_ok() {
            self.accounting.handed_back(backlog.records.len() as u64);
            backlog.records.clear();
        }
        let drained = read.and_then(|()| self.drain(&mut backlog, Instant::now() + stop_deadline));
        self.accounting.handed_back(backlog.records.len() as u64);
        started?;
        drained
    }

    /// Leaves the group and joins it anew. Records that are not stored by then are left to the next owner.
    fn rejoin(&self, backlog: &mut Backlog) -> anyhow::Result<()> {
        tracing::warn!("consumer group: this instance leaves and joins anew");
        self.accounting.handed_back(backlog.records.len() as u64);
        *backlog = Backlog::default();
        self.drain(backlog, Instant::now() + self.group.drain_timeout())?;
        self.group.rejoin()
    }

    fn log_standby(&self, member: &Member) {
        self.group.resolve_join_issue();
        if member.assignment.partitions().is_empty() {
            tracing::info!(
                "consumer group: on standby without a partition; the group may have more members than the topic has \
                 partitions"
            );
        }
    }

    /// Dispatches the backlog; polls when it is empty, or when the partitions are paused.
    fn step(&self, member: &Member, backlog: &mut Backlog) -> anyhow::Result<()> {
        self.dispatch(backlog);
        ::metrics::gauge!(metrics::QUEUED_BYTES).set((self.capacity - self.memory.available_permits()) as f64);
        if backlog.records.is_empty() {
            if backlog.clear_full() {
                member
                    .consumer()
                    .resume(&self.started_partitions(member))
                    .context("the partitions can't be resumed")?;
                tracing::info!("record queue: no longer full, partitions resumed");
            }
            return self.poll(member, POLL_TIMEOUT, backlog);
        }
        if backlog.full_for() > PAUSE_AFTER || backlog.paused {
            // Pausing a paused partition has no effect, and one that was assigned meanwhile must be paused too.
            member.consumer().pause(&self.started_partitions(member)).context("the partitions can't be paused")?;
            if !std::mem::replace(&mut backlog.paused, true) {
                tracing::warn!(
                    "record queue: full for more than {PAUSE_AFTER:?}, partitions paused until PostgreSQL accepts rows"
                );
            }
            return self.poll(member, POLL_TIMEOUT, backlog);
        }
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    /// Polls a few records into the backlog.
    fn poll(&self, member: &Member, timeout: Duration, backlog: &mut Backlog) -> anyhow::Result<()> {
        let is_starting = member.assignment.has_running_lookup();
        let mut next = member.consumer().poll(if is_starting { timeout.min(SHORT_POLL_TIMEOUT) } else { timeout });
        for polled in 1.. {
            match next {
                None => return Ok(()),
                Some(Err(error)) => return self.handle_error(member, &error),
                Some(Ok(record)) => self.accept(member, &record, backlog),
            }
            if polled == MAX_POLLED {
                return Ok(());
            }
            next = member.consumer().poll(Duration::ZERO);
        }
        Ok(())
    }

    fn accept(&self, member: &Member, record: &BorrowedMessage<'_>, backlog: &mut Backlog) {
        self.accounting.consumed();
        match member.assignment.read(record.partition(), record.offset()) {
            Some(partition) => {
                let (record, read_at) = (KafkaRecord::copy_of(record), SystemTime::now());
                backlog.records.push_back(WaitingRecord { partition, record, read_at });
            }
            None => self.accounting.handed_back(1),
        }
    }

    /// Replaces a client that failed with a fatal error. librdkafka itself recovers from any other error.
    fn handle_error(&self, member: &Member, error: &KafkaError) -> anyhow::Result<()> {
        if matches!(error, KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) {
            // The error does not name the partition.
            member.assignment.look_up_all_again(LOOKUP_DELAY);
        } else if !self.group.replace_if_fatal()? {
            tracing::warn!(%error, "Kafka: error reported by librdkafka, reading continues");
        }
        Ok(())
    }

    /// Sends the backlog to the workers, until the queue is full.
    fn dispatch(&self, backlog: &mut Backlog) {
        while let Some(WaitingRecord { partition, record, .. }) = backlog.records.front() {
            if partition.is_revoked() {
                backlog.records.pop_front();
                self.accounting.handed_back(1);
                continue;
            }
            // A record larger than the whole queue is dispatched alone.
            let permits = record.weight.min(self.capacity) as u32;
            let Ok(memory) = self.memory.clone().try_acquire_many_owned(permits) else { return };
            let Some(WaitingRecord { partition, record, read_at }) = backlog.records.pop_front() else { return };
            let worker = &self.workers[partition.partition() as usize % self.workers.len()];
            // Partitions are revoked on this thread, so this one is still assigned.
            partition.begin();
            if let Err(mpsc::error::SendError(lost)) =
                worker.send(InFlightRecord { partition, record, read_at, memory })
            {
                // The worker panicked, which ends the program.
                lost.partition.end(1);
                self.accounting.handed_back(1);
            }
        }
    }

    /// Keeps polling, to stay in the group, until all records of the backlog and in flight are stored.
    fn drain(&self, backlog: &mut Backlog, deadline: Instant) -> anyhow::Result<()> {
        let member = self.group.member();
        let mut late = Backlog::default();
        let mut drained = false;
        while !drained && Instant::now() < deadline {
            member.consumer().pause(&self.started_partitions(&member)).context("the partitions can't be paused")?;
            self.poll(&member, Duration::from_millis(10), &mut late)?;
            self.dispatch(backlog);
            let slice_end = Instant::now() + Duration::from_millis(20);
            drained = member.assignment.drain(&member.assignment.partitions(), slice_end) && backlog.records.is_empty();
        }
        self.accounting.handed_back(late.records.len() as u64);
        if !drained {
            tracing::warn!(
                "consumer group: not drained in time; records that are not stored are left to the next owner of their \
                 partition"
            );
        }
        let partitions = member.assignment.partitions();
        member.assignment.revoke(&partitions);
        commit_within(member, FINAL_COMMIT_TIMEOUT);
        Ok(())
    }

    fn started_partitions(&self, member: &Member) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, _) in member.assignment.started() {
            list.add_partition(&self.topic, partition);
        }
        list
    }
}

/// Commits the stored offsets. Without a coordinator, a commit blocks for the session timeout, which would exceed the
/// stop deadline.
fn commit_within(member: Arc<Member>, timeout: Duration) {
    let (done, committed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        commit_stored_offsets(member.consumer());
        let _ = done.send(());
    });
    if committed.recv_timeout(timeout).is_err() {
        tracing::warn!(
            "Kafka: offsets not committed within {timeout:?}; the next owner reads these records again and counts them \
             as duplicates"
        );
    }
}
