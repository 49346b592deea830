//! The polling thread: it hands records to the writers and never waits for the database, so that the instance stays a
//! member of its group whatever happens behind it (invariant 8).

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, bail};
use rdkafka::{Message, TopicPartitionList, consumer::Consumer, error::KafkaError, message::BorrowedMessage};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    account::Account,
    assignment::Lease,
    gap::{Beginning, OnGap, beginnings},
    group::{Group, Membership, commit},
    metrics,
    record::Record,
};

const POLL: Duration = Duration::from_millis(100);
/// Records that are taken before they are handed over; few, since this thread has nothing else to do for them.
const RECORDS_A_STEP: usize = 32;
/// How long a full queue may hold the poll before the partitions are paused: a pause throws away what was prefetched and
/// costs up to a second, so it is for outages that last.
const HOLD: Duration = Duration::from_secs(2);
/// A member without a partition after this long says so: longer than an assignment takes, as the brokers are set here.
const STANDS_BY: Duration = Duration::from_secs(10);
/// How long a stop waits for its commit.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// A record on its way to a writer. Its share of the queue's memory is given back when it is dropped.
pub struct Delivered {
    /// The assignment that it was read under.
    pub lease: Arc<Lease>,
    /// The record.
    pub record: Record,
    /// When it was read.
    pub read_at: SystemTime,
    /// Its share of the queue's memory.
    pub memory: OwnedSemaphorePermit,
}

/// Reads, and hands over to the writers.
pub struct Reader {
    /// The group.
    pub group: Arc<Group>,
    /// One channel a writer; partition p goes to writer p modulo their number.
    pub writers: Vec<mpsc::UnboundedSender<Delivered>>,
    /// Bounds the bytes that are in the channels and with the writers.
    pub memory: Arc<Semaphore>,
    /// Permits that `memory` began with.
    pub capacity: usize,
    /// The count of records.
    pub account: Arc<Account>,
    /// The topic's name.
    pub topic: String,
    /// What is done about records that were deleted unread.
    pub on_gap: OnGap,
}

/// Records that were read and find the queue full.
#[derive(Default)]
struct Held {
    records: VecDeque<(Arc<Lease>, Record, SystemTime)>,
    since: Option<Instant>,
    paused: bool,
}

impl Reader {
    /// Reads until `stop`, then waits until the writers are done or `stop_deadline` is over, and commits. Blocks; runs on
    /// a thread of its own.
    ///
    /// # Errors
    /// When the client library ends with a fatal error.
    pub fn run(&self, stop: &CancellationToken, stop_deadline: Duration) -> anyhow::Result<()> {
        let mut held = Held::default();
        let mut read = Ok(());
        let mut told = false;
        while !stop.is_cancelled() && read.is_ok() {
            let member = self.group.member();
            read = self.step(&member, &mut held).and_then(|()| self.look_for_gaps(&member));
            if !told && member.since.elapsed() > STANDS_BY {
                told = true;
                self.group.is_in();
                if member.assignment.partitions().is_empty() {
                    tracing::info!(
                        "standing by without a partition: the group may have more members than the topic has partitions"
                    );
                }
            }
        }
        self.account.handed_back(held.records.len() as u64);
        held.records.clear();
        read.and_then(|()| self.drain(Instant::now() + stop_deadline))
    }

    fn step(&self, member: &Membership, held: &mut Held) -> anyhow::Result<()> {
        self.hand_over(held);
        ::metrics::gauge!(metrics::QUEUED_BYTES).set((self.capacity - self.memory.available_permits()) as f64);
        if held.records.is_empty() {
            held.since = None;
            if std::mem::take(&mut held.paused) {
                member.consumer.resume(&self.all_partitions(member)).context("the partitions can't be resumed")?;
                tracing::info!("reading again");
            }
            return self.poll(member, POLL, held);
        }
        let since = *held.since.get_or_insert_with(Instant::now);
        if held.paused || since.elapsed() > HOLD {
            // Pausing what is paused already costs nothing, and a partition that came meanwhile is paused too.
            member.consumer.pause(&self.all_partitions(member)).context("the partitions can't be paused")?;
            if !std::mem::replace(&mut held.paused, true) {
                tracing::warn!(
                    "the queue is full and stays so: partitions paused until the database takes orders again"
                );
            }
            return self.poll(member, POLL, held);
        }
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    /// Takes what the client has, up to a few records.
    fn poll(&self, member: &Membership, timeout: Duration, held: &mut Held) -> anyhow::Result<()> {
        let mut next = member.consumer.poll(timeout);
        for taken in 1.. {
            match next {
                None => return Ok(()),
                Some(Err(error)) => return self.survive(&error),
                Some(Ok(record)) => self.take(member, &record, held),
            }
            if taken == RECORDS_A_STEP {
                return Ok(());
            }
            next = member.consumer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn take(&self, member: &Membership, record: &BorrowedMessage<'_>, held: &mut Held) {
        self.account.consumed();
        match member.assignment.lease(record.partition()) {
            Some(lease) => held.records.push_back((lease, Record::of(record), SystemTime::now())),
            None => self.account.handed_back(1),
        }
    }

    /// Asks for each partition that came whether the topic still has what follows the group's offset. The next commit comes a
    /// second after the assignment at the earliest: this comes before it.
    fn look_for_gaps(&self, member: &Membership) -> anyhow::Result<()> {
        let new = member.assignment.take_new();
        if new.is_empty() {
            return Ok(());
        }
        self.group.is_in();
        let beginnings = match beginnings(&member.consumer, &self.topic, &new) {
            Ok(beginnings) => beginnings,
            Err(error) => {
                tracing::debug!("whether records are missing can't be said yet: {error:#}");
                member.assignment.still_new(new);
                return Ok(());
            }
        };
        for Beginning { partition, offset, gap } in beginnings {
            if let Some(lease) = member.assignment.lease(partition) {
                lease.stored_up_to(offset);
            }
            let Some(gap) = gap else { continue };
            ::metrics::counter!(metrics::DELETED_UNREAD).increment(gap.lost());
            match self.on_gap {
                OnGap::Continue => tracing::warn!("{gap}; going on at the beginning of what there is"),
                OnGap::End => {
                    // A commit beyond the gap would hide it from the next start.
                    member.assignment.revoke(&[partition]);
                    bail!("{gap}. To go on at the beginning of what there is: --on-gap continue")
                }
            }
        }
        Ok(())
    }

    /// Everything but a fatal error passes by itself.
    fn survive(&self, error: &KafkaError) -> anyhow::Result<()> {
        if !self.group.replace_if_fatal()? {
            tracing::warn!(%error, "reading goes on");
        }
        Ok(())
    }

    fn hand_over(&self, held: &mut Held) {
        while let Some((lease, record, _)) = held.records.front() {
            // A record larger than the whole queue is let in alone.
            let permits = record.weight.min(self.capacity) as u32;
            if lease.is_revoked() {
                held.records.pop_front();
                self.account.handed_back(1);
                continue;
            }
            let Ok(memory) = self.memory.clone().try_acquire_many_owned(permits) else { return };
            let Some((lease, record, read_at)) = held.records.pop_front() else { return };
            let writer = &self.writers[lease.partition() as usize % self.writers.len()];
            // A lease is revoked on this very thread, so it still holds.
            lease.begin();
            if let Err(mpsc::error::SendError(lost)) = writer.send(Delivered { lease, record, read_at, memory }) {
                // The writer died, which ends the program.
                lost.lease.end(1);
                self.account.handed_back(1);
            }
        }
    }

    /// Keeps polling, so that the group holds, until all that was read is stored.
    fn drain(&self, deadline: Instant) -> anyhow::Result<()> {
        let member = self.group.member();
        let mut late = Held::default();
        let mut drained = false;
        while !drained && Instant::now() < deadline {
            member.consumer.pause(&self.all_partitions(&member)).context("the partitions can't be paused")?;
            self.poll(&member, Duration::from_millis(10), &mut late)?;
            drained =
                member.assignment.drain(&member.assignment.partitions(), Instant::now() + Duration::from_millis(20));
        }
        self.account.handed_back(late.records.len() as u64);
        if !drained {
            tracing::warn!("the deadline of the stop is over: what is not stored yet is left to the next owner");
        }
        let partitions = member.assignment.partitions();
        member.assignment.revoke(&partitions);
        commit_within(member, LAST_COMMIT);
        Ok(())
    }

    fn all_partitions(&self, member: &Membership) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in member.assignment.partitions() {
            list.add_partition(&self.topic, partition);
        }
        list
    }
}

/// Without a coordinator a commit may wait for as long as the session lasts, which a stop must not.
fn commit_within(member: Arc<Membership>, limit: Duration) {
    let (done, committed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        commit(&member.consumer);
        let _ = done.send(());
    });
    if committed.recv_timeout(limit).is_err() {
        tracing::warn!("the offsets could not be committed in time; the orders will be read again and change nothing");
    }
}
