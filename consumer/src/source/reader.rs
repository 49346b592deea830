//! The polling thread. It dispatches records to the workers and never waits for the database, so that the instance
//! stays a member of its group when workers are slow or blocked (invariant 8).

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use rdkafka::{
    TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use shared::service_manager::Heartbeat;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    backlog::{Backlog, WaitingRecord},
    client::Member,
    group::Group,
    offset_commit::commit_stored_offsets,
    queue_memory::QueueMemory,
    starter::Starter,
};
use crate::{
    metrics,
    model::{InFlightRecord, KafkaRecord, WorkerId},
    pipeline::accounting::Accounting,
    settings::OnOffsetOutOfRange,
};

const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records that are polled before they are dispatched; small, so that records are dispatched soon.
const MAX_POLLED: usize = 32;
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
    /// One channel per worker.
    pub workers: Vec<mpsc::UnboundedSender<InFlightRecord>>,
    pub memory: QueueMemory,
    pub accounting: Arc<Accounting>,
    pub topic: String,
    pub on_offset_out_of_range: OnOffsetOutOfRange,
    /// Beats with each poll. A reader that hangs would keep its partitions until max.poll.interval.ms (5 min) is over.
    pub heartbeat: Heartbeat,
}

impl Reader {
    /// Reads until `stop`, then drains the records in flight until `stop_deadline` is over, and commits. Blocks; runs
    /// on a thread of its own.
    ///
    /// # Errors
    /// When librdkafka fails with a fatal error, or an offset is out of range and `on_offset_out_of_range` is `End`. In
    /// the latter case, what was read before is stored first: the topic may not have it any more.
    pub fn run(&self, stop: &CancellationToken, stop_deadline: Duration) -> anyhow::Result<()> {
        let mut backlogs = self.empty_backlogs();
        let mut read = Ok(());
        let mut has_logged_standby = false;
        let mut starter = Starter::new(self.group.clone(), self.on_offset_out_of_range);
        let mut started = Ok(());
        while !stop.is_cancelled() && read.is_ok() && started.is_ok() {
            self.heartbeat.beat();
            let member = self.group.member();
            read = self.step(&member, &mut backlogs);
            started = starter.step(&member);
            if read.is_ok() && started.is_ok() && self.group.take_rejoin_request() {
                drop(member);
                read = self.rejoin(&mut backlogs);
                continue;
            }
            if !has_logged_standby && member.created_at.elapsed() > STANDBY_NOTICE_DELAY {
                has_logged_standby = true;
                self.log_standby(&member);
            }
        }
        if started.is_ok() {
            self.hand_back(&mut backlogs);
        }
        let drained = read.and_then(|()| self.drain(&mut backlogs, Instant::now() + stop_deadline));
        self.hand_back(&mut backlogs);
        started?;
        drained
    }

    /// Leaves the group and joins it anew. Records that are not stored by then are left to the next owner.
    fn rejoin(&self, backlogs: &mut [Backlog]) -> anyhow::Result<()> {
        tracing::warn!("consumer group: this instance leaves and joins anew");
        self.hand_back(backlogs);
        self.drain(backlogs, Instant::now() + self.group.drain_timeout())?;
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

    fn empty_backlogs(&self) -> Vec<Backlog> {
        self.workers.iter().map(|_| Backlog::default()).collect()
    }

    /// Leaves the records of the backlogs to the next owners.
    fn hand_back(&self, backlogs: &mut [Backlog]) {
        for backlog in backlogs {
            while let Some(WaitingRecord { record, .. }) = backlog.pop() {
                self.accounting.handed_back(record.kind, 1);
            }
            *backlog = Backlog::default();
        }
    }

    fn workers(&self) -> impl Iterator<Item = WorkerId> {
        WorkerId::all(self.workers.len() as u8)
    }

    fn worker_of(&self, partition: i32) -> WorkerId {
        WorkerId::of_partition(partition, self.workers.len() as u8)
    }

    /// Dispatches the backlogs; polls when each is empty, or when the partitions of its worker are paused.
    fn step(&self, member: &Member, backlogs: &mut [Backlog]) -> anyhow::Result<()> {
        for (worker, backlog) in self.workers().zip(&mut *backlogs) {
            self.dispatch(worker, backlog);
            self.pause_or_resume(member, worker, backlog)?;
        }
        ::metrics::gauge!(metrics::QUEUED_BYTES).set(self.memory.used() as f64);
        let began = Instant::now();
        if !backlogs.iter().any(Backlog::blocks_poll) {
            self.poll(member, POLL_TIMEOUT, backlogs)?;
            backlogs.iter_mut().for_each(|backlog| backlog.count_polled(began.elapsed()));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
        let is_waiting =
            |(worker, backlog): (WorkerId, &Backlog)| self.memory.is_idle(worker) && backlog.expects_records();
        let others_wait = self.workers().zip(&*backlogs).any(is_waiting);
        for backlog in backlogs.iter_mut().filter(|backlog| backlog.blocks_poll()) {
            backlog.count_blocked(began.elapsed(), others_wait);
        }
        Ok(())
    }

    /// Pauses the partitions of a worker whose queue is full for long, and resumes them once it has room.
    fn pause_or_resume(&self, member: &Member, worker: WorkerId, backlog: &mut Backlog) -> anyhow::Result<()> {
        if backlog.is_empty() {
            backlog.clear_full();
            if backlog.is_paused() && self.memory.has_room(worker) {
                let partitions = self.started_partitions_of(member, worker);
                member.consumer().resume(&self.list(&partitions)).context("the partitions can't be resumed")?;
                hold_back(member, &partitions, false);
                tracing::info!("record queue: worker {worker} is no longer full; its partitions resumed");
                backlog.resume();
            }
        }
        if backlog.must_pause() {
            let partitions = self.started_partitions_of(member, worker);
            member.consumer().pause(&self.list(&partitions)).context("the partitions can't be paused")?;
            hold_back(member, &partitions, true);
            if backlog.pause() {
                tracing::warn!(
                    ?partitions,
                    "record queue: worker {worker} is full; its partitions paused until PostgreSQL accepts rows"
                );
            }
        }
        Ok(())
    }

    /// Polls a few records into the backlogs.
    fn poll(&self, member: &Member, timeout: Duration, backlogs: &mut [Backlog]) -> anyhow::Result<()> {
        let is_starting = member.assignment.has_running_lookup();
        let mut next = member.consumer().poll(if is_starting { timeout.min(SHORT_POLL_TIMEOUT) } else { timeout });
        for polled in 1.. {
            match next {
                None => return Ok(()),
                Some(Err(error)) => return self.handle_error(member, &error),
                Some(Ok(record)) => self.accept(member, &record, backlogs),
            }
            if polled == MAX_POLLED {
                return Ok(());
            }
            next = member.consumer().poll(Duration::ZERO);
        }
        Ok(())
    }

    fn accept(&self, member: &Member, record: &BorrowedMessage<'_>, backlogs: &mut [Backlog]) {
        let record = KafkaRecord::copy_of(record);
        self.accounting.consumed(record.kind);
        match member.assignment.read(record.position.partition, record.position.offset) {
            Some(partition) => {
                let read_at = SystemTime::now();
                partition.note_read(record.position.offset, record.timestamp);
                let backlog = &mut backlogs[self.worker_of(partition.partition()).index()];
                backlog.push(WaitingRecord { partition, record, read_at });
            }
            None => self.accounting.handed_back(record.kind, 1),
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

    /// Sends the backlog of a worker to it, until its queue is full.
    fn dispatch(&self, worker: WorkerId, backlog: &mut Backlog) {
        while let Some(WaitingRecord { partition, record, .. }) = backlog.first() {
            if partition.is_revoked() {
                self.accounting.handed_back(record.kind, 1);
                backlog.pop();
                continue;
            }
            let Some(memory) = self.memory.try_acquire(worker, record.weight) else { return };
            let Some(WaitingRecord { partition, record, read_at }) = backlog.pop() else { return };
            // Partitions are revoked on this thread, so this one is still assigned.
            partition.begin();
            let in_flight = InFlightRecord { partition, record, read_at, memory };
            if let Err(mpsc::error::SendError(lost)) = self.workers[worker.index()].send(in_flight) {
                // The worker panicked, which ends the program.
                lost.partition.end(1);
                self.accounting.handed_back(lost.record.kind, 1);
            }
        }
    }

    /// Keeps polling, to stay in the group, until all records of the backlogs and in flight are stored.
    fn drain(&self, backlogs: &mut [Backlog], deadline: Instant) -> anyhow::Result<()> {
        let member = self.group.member();
        let mut late = self.empty_backlogs();
        let mut drained = false;
        while !drained && Instant::now() < deadline {
            self.heartbeat.beat();
            member
                .consumer()
                .pause(&self.list(&self.started_partitions(&member)))
                .context("the partitions can't be paused")?;
            self.poll(&member, Duration::from_millis(10), &mut late)?;
            for (worker, backlog) in self.workers().zip(&mut *backlogs) {
                self.dispatch(worker, backlog);
            }
            let slice_end = Instant::now() + Duration::from_millis(20);
            drained = member.assignment.drain(&member.assignment.partitions(), slice_end)
                && backlogs.iter().all(Backlog::is_empty);
        }
        self.hand_back(&mut late);
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

    fn started_partitions(&self, member: &Member) -> Vec<i32> {
        member.assignment.started().into_iter().map(|(partition, _)| partition).collect()
    }

    fn started_partitions_of(&self, member: &Member, worker: WorkerId) -> Vec<i32> {
        let mut partitions = self.started_partitions(member);
        partitions.retain(|partition| self.worker_of(*partition) == worker);
        partitions.sort_unstable();
        partitions
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }
}

/// Records for the watchdog whether partitions are paused until their worker has room.
fn hold_back(member: &Member, partitions: &[i32], held_back: bool) {
    for handle in partitions.iter().filter_map(|partition| member.assignment.handle(*partition)) {
        handle.hold_back(held_back);
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
