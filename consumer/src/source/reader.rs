//! The polling thread. It dispatches records to the workers and never waits for the database, so that the instance
//! stays a member of its group whatever happens to the workers (invariant 8).

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, bail};
use rdkafka::{Message, TopicPartitionList, consumer::Consumer, error::KafkaError, message::BorrowedMessage};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    backlog::{Backlog, WaitingRecord},
    client::Member,
    group::Group,
    offset_commit::commit_stored_offsets,
    start_position::{StartPosition, start_positions},
};
use crate::{
    metrics,
    model::{InFlightRecord, KafkaRecord},
    pipeline::accounting::Accounting,
    settings::OnOffsetOutOfRange,
};

const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records that are polled before they are dispatched; few, since the thread has no other work.
const MAX_POLLED: usize = 32;
/// How long a full queue blocks the poll before the partitions are paused. A pause discards what the client prefetched
/// and costs up to a second, so it is for outages that last.
const PAUSE_AFTER: Duration = Duration::from_secs(2);
/// A member without a partition after this time logs that it stands by. An assignment takes less.
const STANDBY_NOTICE_DELAY: Duration = Duration::from_secs(10);
/// How long the last commit of a stop may take.
const FINAL_COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads records and dispatches them to the workers.
pub struct Reader {
    pub group: Arc<Group>,
    /// One channel a worker; partition p goes to worker p modulo their number.
    pub workers: Vec<mpsc::UnboundedSender<InFlightRecord>>,
    /// Bounds the bytes of the records that are in flight.
    pub memory: Arc<Semaphore>,
    /// The permits that `memory` starts with, one a byte.
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
    /// When the client library ends with a fatal error, or a committed offset is out of range and that is to end the
    /// reader.
    pub fn run(&self, stop: &CancellationToken, stop_deadline: Duration) -> anyhow::Result<()> {
        let mut backlog = Backlog::default();
        let mut read = Ok(());
        let mut has_announced_standby = false;
        while !stop.is_cancelled() && read.is_ok() {
            let member = self.group.member();
            read = self.step(&member, &mut backlog).and_then(|()| self.check_start_positions(&member));
            if !has_announced_standby && member.created_at.elapsed() > STANDBY_NOTICE_DELAY {
                has_announced_standby = true;
                self.announce_standby(&member);
            }
        }
        self.accounting.handed_back(backlog.records.len() as u64);
        backlog.records.clear();
        read.and_then(|()| self.drain(Instant::now() + stop_deadline))
    }

    fn announce_standby(&self, member: &Member) {
        self.group.resolve_join_issue();
        if member.assignment.partitions().is_empty() {
            tracing::info!(
                "standing by without a partition: the group may have more members than the topic has partitions"
            );
        }
    }

    /// Dispatches the backlog; polls when it is empty, or when the partitions are paused.
    fn step(&self, member: &Member, backlog: &mut Backlog) -> anyhow::Result<()> {
        self.dispatch(backlog);
        ::metrics::gauge!(metrics::QUEUED_BYTES).set((self.capacity - self.memory.available_permits()) as f64);
        if backlog.records.is_empty() {
            if backlog.clear_full() {
                member.consumer.resume(&self.all_partitions(member)).context("the partitions can't be resumed")?;
                tracing::info!("the queue has room again: partitions resumed");
            }
            return self.poll(member, POLL_TIMEOUT, backlog);
        }
        if backlog.full_for() > PAUSE_AFTER || backlog.paused {
            // To pause a paused partition costs nothing, and one that was assigned meanwhile has to be paused too.
            member.consumer.pause(&self.all_partitions(member)).context("the partitions can't be paused")?;
            if !std::mem::replace(&mut backlog.paused, true) {
                tracing::warn!("the queue stays full: partitions paused until the database accepts orders again");
            }
            return self.poll(member, POLL_TIMEOUT, backlog);
        }
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    /// Polls a few records into the backlog.
    fn poll(&self, member: &Member, timeout: Duration, backlog: &mut Backlog) -> anyhow::Result<()> {
        let mut next = member.consumer.poll(timeout);
        for polled in 1.. {
            match next {
                None => return Ok(()),
                Some(Err(error)) => return self.handle_error(&error),
                Some(Ok(record)) => self.accept(member, &record, backlog),
            }
            if polled == MAX_POLLED {
                return Ok(());
            }
            next = member.consumer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn accept(&self, member: &Member, record: &BorrowedMessage<'_>, backlog: &mut Backlog) {
        self.accounting.consumed();
        match member.assignment.handle(record.partition()) {
            Some(partition) => {
                let (record, read_at) = (KafkaRecord::copy_of(record), SystemTime::now());
                backlog.records.push_back(WaitingRecord { partition, record, read_at });
            }
            None => self.accounting.handed_back(1),
        }
    }

    /// Checks, for each newly assigned partition, that the topic has the committed offset. The first commit comes a
    /// second after the assignment at the earliest: this check comes before it.
    fn check_start_positions(&self, member: &Member) -> anyhow::Result<()> {
        let partitions = member.assignment.take_without_start_position();
        if partitions.is_empty() {
            return Ok(());
        }
        self.group.resolve_join_issue();
        let positions = match start_positions(&member.consumer, &self.topic, &partitions) {
            Ok(positions) => positions,
            Err(error) => {
                tracing::debug!("the start positions can't be checked yet: {error:#}");
                member.assignment.put_back_without_start_position(partitions);
                return Ok(());
            }
        };
        for StartPosition { partition, offset, out_of_range } in positions {
            if let Some(handle) = member.assignment.handle(partition) {
                handle.advance_stored_offset(offset);
            }
            let Some(out_of_range) = out_of_range else { continue };
            ::metrics::counter!(metrics::DELETED_UNREAD).increment(out_of_range.deleted_records());
            match self.on_offset_out_of_range {
                OnOffsetOutOfRange::Continue => {
                    tracing::warn!("{out_of_range}; continuing at the beginning of the partition");
                }
                OnOffsetOutOfRange::End => {
                    // A commit behind the gap would hide it from the next start.
                    member.assignment.revoke(&[partition]);
                    bail!(
                        "{out_of_range}. To continue at the beginning of the partition: \
                         --on-offset-out-of-range continue"
                    )
                }
            }
        }
        Ok(())
    }

    /// Replaces a client that ended with a fatal error. The library itself recovers from any other error.
    fn handle_error(&self, error: &KafkaError) -> anyhow::Result<()> {
        if !self.group.replace_if_fatal()? {
            tracing::warn!(%error, "Kafka: reading goes on after an error");
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
            // Partitions are revoked on this very thread, so this one is still assigned.
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

    /// Keeps polling, to stay in the group, until all records in flight are stored.
    fn drain(&self, deadline: Instant) -> anyhow::Result<()> {
        let member = self.group.member();
        let mut late = Backlog::default();
        let mut drained = false;
        while !drained && Instant::now() < deadline {
            member.consumer.pause(&self.all_partitions(&member)).context("the partitions can't be paused")?;
            self.poll(&member, Duration::from_millis(10), &mut late)?;
            let slice_end = Instant::now() + Duration::from_millis(20);
            drained = member.assignment.drain(&member.assignment.partitions(), slice_end);
        }
        self.accounting.handed_back(late.records.len() as u64);
        if !drained {
            tracing::warn!("the deadline of the stop is over: what is not stored yet is left to the next owner");
        }
        let partitions = member.assignment.partitions();
        member.assignment.revoke(&partitions);
        commit_within(member, FINAL_COMMIT_TIMEOUT);
        Ok(())
    }

    fn all_partitions(&self, member: &Member) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in member.assignment.partitions() {
            list.add_partition(&self.topic, partition);
        }
        list
    }
}

/// Commits the stored offsets. Without a coordinator, a commit blocks for as long as the session lasts, which a stop
/// must not.
fn commit_within(member: Arc<Member>, timeout: Duration) {
    let (done, committed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        commit_stored_offsets(&member.consumer);
        let _ = done.send(());
    });
    if committed.recv_timeout(timeout).is_err() {
        tracing::warn!("offsets are not committed in time: the orders will be read again, and are stored already");
    }
}
