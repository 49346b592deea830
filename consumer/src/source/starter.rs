//! Starts each assigned partition at a position that was looked up before. librdkafka gets no partition without an
//! explicit offset, and has no policy for an offset that the topic does not have (`auto.offset.reset=error`): it never
//! skips records on its own.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer, RebalanceProtocol},
    error::KafkaResult,
};

use super::{
    assignment::LookupRequest,
    client::Member,
    failed_starts::FailedStarts,
    group::Group,
    start_position::{OffsetOutOfRange, PartitionState, StartPosition, look_up},
};
use crate::{metrics, model::PartitionHandle, pipeline::commit::OffsetStore, settings::OnOffsetOutOfRange};

/// Delay before a lookup that failed is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often positions that moved on without a record are stored.
const SKIP_INTERVAL: Duration = Duration::from_secs(1);
/// A partition that was started later may still have the position of before: librdkafka resets it on another thread.
const SKIP_AFTER: Duration = Duration::from_secs(2);

/// Why the instance ends.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An offset is out of range, and the settings say that the instance ends then.
    #[error("{0}. To continue at the first offset of the partition: --on-offset-out-of-range continue")]
    OutOfRange(OffsetOutOfRange),
    #[error("the lookup of a start position panicked, which is a bug")]
    Panicked,
}

/// Looks start positions up on other threads, and starts partitions on the polling thread.
pub struct Starter {
    group: Arc<Group>,
    on_offset_out_of_range: OnOffsetOutOfRange,
    found: mpsc::Sender<Found>,
    results: mpsc::Receiver<Found>,
    lookups: Vec<JoinHandle<()>>,
    failed: FailedStarts,
    skipped_at: Instant,
}

struct Found {
    request: LookupRequest,
    state: anyhow::Result<PartitionState>,
}

impl Starter {
    pub fn new(group: Arc<Group>, on_offset_out_of_range: OnOffsetOutOfRange) -> Self {
        let (found, results) = mpsc::channel();
        let (lookups, failed, skipped_at) = (Vec::new(), FailedStarts::default(), Instant::now());
        Self { group, on_offset_out_of_range, found, results, lookups, failed, skipped_at }
    }

    /// Begins the lookups that are due, and starts the partitions whose position is known. Does not block.
    ///
    /// # Errors
    /// When the offset of a partition is out of range, and the settings say that the instance ends then. The partition is
    /// not read on.
    pub fn step(&mut self, member: &Arc<Member>) -> Result<(), StartError> {
        let requests = member.assignment.take_due_lookups();
        if !requests.is_empty() {
            self.group.resolve_join_issue();
            let (member, topic, found) = (member.clone(), self.group.topic().to_owned(), self.found.clone());
            self.lookups.push(std::thread::spawn(move || {
                // The receiver is gone when the reader has ended.
                let send = |request, state| drop(found.send(Found { request, state }));
                look_up(member.consumer(), &topic, requests, send);
            }));
        }
        for lookup in self.lookups.extract_if(.., |lookup| lookup.is_finished()) {
            lookup.join().map_err(|_| StartError::Panicked)?;
        }
        self.failed.retain(|handle| member.assignment.is_current(handle), self.group.health());
        while let Ok(found) = self.results.try_recv() {
            self.apply(member, found)?;
        }
        if self.skipped_at.elapsed() >= SKIP_INTERVAL {
            self.skipped_at = Instant::now();
            self.store_skipped_offsets(member);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        member: &Member,
        Found { request: LookupRequest { handle, .. }, state }: Found,
    ) -> Result<(), StartError> {
        if !member.assignment.is_current(&handle) {
            return Ok(());
        }
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                self.retry(member, &handle, &error);
                return Ok(());
            }
        };
        // Records may have been read since the lookup was requested.
        let next = member.assignment.next_offset(handle.partition());
        let start = state.start(next);
        let offset = match start {
            StartPosition::At(offset) => offset,
            StartPosition::WithoutOffset { first } => {
                self.report_without_offset(&state);
                first
            }
            StartPosition::OutOfRange(out_of_range) => {
                ::metrics::counter!(metrics::DELETED_UNREAD).increment(out_of_range.deleted_records());
                if self.on_offset_out_of_range == OnOffsetOutOfRange::End {
                    return Err(StartError::OutOfRange(out_of_range));
                }
                let (partition, offset) = (handle.partition(), state.first);
                tracing::warn!(partition, offset, "{out_of_range}; continuing at the first offset of the partition");
                state.first
            }
        };
        if let Err(error) = self.start(member, &handle, offset) {
            self.retry(member, &handle, &error.into());
            return Ok(());
        }
        self.failed.retain(|failed| !Arc::ptr_eq(failed, &handle), self.group.health());
        if next.is_none() {
            handle.advance_stored_offset(offset);
        }
        match start {
            // librdkafka forgets what was stored when it starts a partition again.
            StartPosition::At(_) if next.is_some() => self.store(&handle),
            StartPosition::At(_) => {}
            // A partition without a committed offset looks like one that was never read: records that are deleted while
            // no instance runs would not be noticed.
            StartPosition::WithoutOffset { .. } | StartPosition::OutOfRange(_) => self.store(&handle),
        }
        Ok(())
    }

    /// Looks the position of a partition up again, which could not be started.
    fn retry(&mut self, member: &Member, handle: &Arc<PartitionHandle>, error: &anyhow::Error) {
        tracing::debug!("Kafka: partition {} can't be started yet, retrying: {error:#}", handle.partition());
        self.failed.failed(handle, error, self.group.health());
        member.assignment.look_up_again(handle, RETRY_DELAY);
    }

    /// The brokers delete the offsets of a group that has had no member for `offsets.retention.minutes`. Such a group
    /// can't be told from a new one for certain.
    fn report_without_offset(&self, PartitionState { partition, first, group_has_offsets, .. }: &PartitionState) {
        let group = self.group.name();
        if *first == 0 {
            tracing::debug!("partition {partition}: group {group} has no committed offset and starts at the beginning");
            return;
        }
        ::metrics::counter!(metrics::DELETED_BEFORE_START).increment(first.cast_unsigned());
        let advice = if *group_has_offsets {
            "the group has offsets in other partitions, so it may have lost this one"
        } else {
            "a new group never had one; the offsets of a group without members expire (offsets.retention.minutes)"
        };
        tracing::warn!(
            partition,
            offset = first,
            "group {group} has no committed offset and starts at the first one, {first}; whether it had read the \
             {first} records before it is not known: {advice}"
        );
    }

    /// Makes librdkafka read the partition from `offset` on.
    fn start(&self, member: &Member, handle: &Arc<PartitionHandle>, offset: i64) -> KafkaResult<()> {
        let (consumer, partition) = (member.consumer(), handle.partition());
        let one = self.list(&[(partition, offset)])?;
        // librdkafka keeps the pause of a partition across assignments.
        consumer.resume(&one)?;
        let mut started = member.assignment.started();
        let is_started = started.iter().any(|(number, _)| *number == partition);
        if let RebalanceProtocol::Cooperative = consumer.rebalance_protocol() {
            if is_started {
                consumer.incremental_unassign(&one)?;
            }
            consumer.incremental_assign(&one)?;
        } else {
            started.retain(|(number, _)| *number != partition);
            started.push((partition, offset));
            consumer.assign(&self.list(&started)?)?;
        }
        member.assignment.start(handle, offset);
        Ok(())
    }

    fn list(&self, offsets: &[(i32, i64)]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(self.group.topic(), *partition, Offset::Offset(*offset))?;
        }
        Ok(list)
    }

    /// Stores the offset below which everything is stored, for the next commit.
    fn store(&self, handle: &PartitionHandle) {
        if let Some(stored) = handle.stored_offset() {
            self.group.store(&[(handle.partition(), stored)]);
        }
    }

    /// Some offsets have no record that could be read: those of deleted records, of aborted transactions and of the
    /// markers at the end of each transaction. Where nothing else is in flight, they count as stored.
    fn store_skipped_offsets(&self, member: &Member) {
        let idle = member.assignment.idle(SKIP_AFTER);
        if idle.is_empty() {
            return;
        }
        let Ok(positions) = member.consumer().position() else { return };
        let mut skipped = Vec::new();
        for partition in idle {
            let number = partition.handle.partition();
            let position = match positions.find_partition(self.group.topic(), number).map(|found| found.offset()) {
                Some(Offset::Offset(position)) => position.max(partition.next),
                _ => partition.next,
            };
            if position > partition.stored {
                partition.handle.advance_stored_offset(position);
                member.assignment.skip_to(&partition.handle, position);
                skipped.push((number, position));
            }
        }
        if !skipped.is_empty() {
            self.group.store(&skipped);
        }
    }
}
