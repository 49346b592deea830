//! Keeps orders from the client while their partition waits for an acknowledgement, so that the client has one batch of
//! a partition in flight at a time. That prevents two errors of librdkafka 2.12:
//!
//! - It reports orders as acknowledged that are lost. A broker accepts any sequence number as the first one of a producer.
//!   When it refuses the first request of a partition (it does not know yet that it is the leader) and accepts the
//!   second one, which was in flight too, librdkafka concludes that the first one is in the log
//!   (`rd_kafka_dr_implicit_ack`). So the first request of a partition has one order, and nothing follows it before its
//!   acknowledgement.
//! - Its idempotent client sends no records of a partition while five are in flight. For those that wait longer than
//!   `linger.ms`, the thread of their broker polls without a pause (`rd_kafka_toppar_producer_serve`): at 1,000 orders a
//!   second, slow brokers cost all cores of a machine that they may need themselves.

use std::{collections::VecDeque, time::Duration};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    client::ClientLimits,
    client_orders::ClientOrders,
    delivery::{DeliveryContext, DeliveryToken},
};
use crate::clock::RunClock;

/// How long orders wait for their partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Until the batch of the partition that is in flight is acknowledged.
    UntilAcknowledged,
    /// Until the partition has acknowledged its first order. Without a schedule, all orders would wait later on, and be
    /// copied for that: a tenth more CPU time per order, at the same throughput.
    UntilFirstAcknowledged,
}

type Record<'a> = BaseRecord<'a, [u8], [u8], usize>;

/// The record of an order that waits.
struct WaitingRecord {
    token: DeliveryToken,
    /// Nanoseconds after the start.
    since: i64,
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Option<OwnedHeaders>,
    timestamp: Option<i64>,
}

impl WaitingRecord {
    fn size(&self, overhead: usize) -> usize {
        self.key.len() + self.value.len() + overhead
    }

    /// Passes the record to the client.
    fn send(
        &mut self,
        client: &BaseProducer<DeliveryContext>,
        topic: &str,
        partition: usize,
    ) -> Result<(), KafkaError> {
        let mut record = Record::with_opaque_to(topic, self.token.opaque())
            .partition(partition as i32)
            .key(&self.key)
            .payload(&self.value);
        (record.headers, record.timestamp) = (self.headers.take(), self.timestamp);
        client.send(record).map_err(|(error, record)| {
            self.headers = record.headers;
            error
        })
    }
}

/// The batch of a partition that the client fills.
#[derive(Debug, Default)]
struct OpenBatch {
    /// Until when it gets orders, in nanoseconds after the start.
    end: i64,
    orders: usize,
    bytes: usize,
}

impl OpenBatch {
    fn with_first(size: usize, now: i64, limits: &ClientLimits) -> Self {
        Self { end: after(now, limits.window), orders: 1, bytes: size }
    }

    /// Counts one more order of this `size`. Returns false when it belongs to the next batch.
    fn add(&mut self, size: usize, now: i64, limits: &ClientLimits) -> bool {
        let (orders, bytes) = (self.orders + 1, self.bytes + size);
        let fits = now < self.end && orders <= limits.batch_orders && bytes <= limits.batch_bytes;
        if fits {
            (self.orders, self.bytes) = (orders, bytes);
        }
        fits
    }
}

fn after(nanos: i64, duration: Duration) -> i64 {
    nanos.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// Decides whether the client gets one more order of a partition.
struct Admission {
    client_orders: ClientOrders,
    policy: WaitPolicy,
    limits: ClientLimits,
}

impl Admission {
    /// Counts the order in `batch` if the client gets it. The time is read last: an order that is passed on after its
    /// batch was sent waits in the client.
    fn admit(&self, partition: usize, batch: &mut OpenBatch, size: usize, now: impl Fn() -> i64) -> bool {
        if self.client_orders.has_acknowledged(partition)
            && (self.policy == WaitPolicy::UntilFirstAcknowledged || batch.add(size, now(), &self.limits))
        {
            return true;
        }
        let is_free = !self.client_orders.any(partition);
        if is_free {
            *batch = OpenBatch::with_first(size, now(), &self.limits);
        }
        is_free
    }
}

/// The orders of one partition.
#[derive(Default)]
struct PartitionQueue {
    batch: OpenBatch,
    waiting: VecDeque<WaitingRecord>,
}

/// The orders that wait, by partition. Used by the sending thread only.
pub struct PartitionQueues {
    queues: Vec<PartitionQueue>,
    admission: Admission,
    /// Orders in all queues.
    waiting: usize,
    waiting_bytes: usize,
}

impl PartitionQueues {
    /// `client_orders` is also counted by the client's [`DeliveryContext`].
    pub fn new(client_orders: ClientOrders, policy: WaitPolicy, limits: ClientLimits) -> Self {
        let queues = (0..client_orders.partitions()).map(|_| PartitionQueue::default()).collect();
        Self { queues, admission: Admission { client_orders, policy, limits }, waiting: 0, waiting_bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether more than half of the places in the client's queue are taken, with those that wait for it.
    pub fn is_half_full(&self, client: &BaseProducer<DeliveryContext>) -> bool {
        let ClientLimits { queue_orders, queue_bytes, .. } = self.admission.limits;
        records(self.waiting, client) > queue_orders / 2 || self.waiting_bytes > queue_bytes / 2
    }

    /// Passes the record to the client, or keeps it until [`Self::send_waiting`] does.
    ///
    /// # Errors
    /// When the client refuses the record, or has as many orders, with those that wait, as its queue may have.
    pub fn send(
        &mut self,
        client: &BaseProducer<DeliveryContext>,
        record: Record<'_>,
        clock: &RunClock,
    ) -> Result<(), KafkaError> {
        let partition = record.partition.and_then(|partition| usize::try_from(partition).ok());
        let Some((partition, queue)) = partition.and_then(|index| Some((index, self.queues.get_mut(index)?))) else {
            return client.send(record).map_err(|(error, _)| error);
        };
        let overhead = self.admission.limits.record_overhead;
        let size = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len) + overhead;
        if queue.waiting.is_empty() && self.admission.admit(partition, &mut queue.batch, size, || clock.now()) {
            client.send(record).map_err(|(error, _)| error)?;
            self.admission.client_orders.sent(partition);
            return Ok(());
        }
        let ClientLimits { queue_orders, queue_bytes, .. } = self.admission.limits;
        if records(self.waiting, client) >= queue_orders || self.waiting_bytes + size > queue_bytes {
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        }
        queue.waiting.push_back(WaitingRecord {
            token: DeliveryToken::from_opaque(record.delivery_opaque),
            since: clock.now(),
            key: record.key.unwrap_or_default().to_vec(),
            value: record.payload.unwrap_or_default().to_vec(),
            headers: record.headers,
            timestamp: record.timestamp,
        });
        self.waiting += 1;
        self.waiting_bytes += size;
        Ok(())
    }

    /// Passes to the client what it can send by now. Calls `failed` for each order that has waited for too long, or that
    /// the client refuses for another reason than a full queue.
    pub fn send_waiting(
        &mut self,
        client: &BaseProducer<DeliveryContext>,
        topic: &str,
        clock: &RunClock,
        mut failed: impl FnMut(DeliveryToken, &KafkaError),
    ) {
        if self.is_empty() {
            return;
        }
        for (partition, queue) in self.queues.iter_mut().enumerate() {
            while let Some(first) = queue.waiting.front() {
                let size = first.size(self.admission.limits.record_overhead);
                let is_too_old = clock.now() >= after(first.since, self.admission.limits.timeout);
                if !is_too_old && !self.admission.admit(partition, &mut queue.batch, size, || clock.now()) {
                    break;
                }
                let Some(first) = queue.waiting.front_mut() else { break };
                let result = match is_too_old {
                    true => Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)),
                    false => first.send(client, topic, partition),
                };
                match result {
                    Ok(()) => self.admission.client_orders.sent(partition),
                    Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => return,
                    Err(error) => failed(first.token, &error),
                }
                queue.waiting.pop_front();
                self.waiting -= 1;
                self.waiting_bytes -= size;
            }
        }
    }

    /// Removes all orders that wait, and returns them.
    pub fn purge(&mut self) -> impl Iterator<Item = DeliveryToken> {
        (self.waiting, self.waiting_bytes) = (0, 0);
        self.queues.iter_mut().flat_map(|queue| queue.waiting.drain(..)).map(|record| record.token)
    }
}

/// Those of the client and those that wait for it.
fn records(waiting: usize, client: &BaseProducer<DeliveryContext>) -> usize {
    waiting + client.in_flight_count().max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClientLimits = ClientLimits {
        window: Duration::from_nanos(100),
        record_overhead: 0,
        batch_orders: 8,
        batch_bytes: 1_000,
        queue_orders: 1_000,
        queue_bytes: 1_000_000,
        timeout: Duration::from_secs(1),
    };

    /// Sends orders of 10 bytes to one partition at these times, and returns which of them the client gets.
    fn admitted<const N: usize>(admission: &Admission, batch: &mut OpenBatch, times: [i64; N]) -> [bool; N] {
        times.map(|now| {
            let is_admitted = admission.admit(0, batch, 10, || now);
            if is_admitted {
                admission.client_orders.sent(0);
            }
            is_admitted
        })
    }

    fn admission(policy: WaitPolicy) -> Admission {
        Admission { client_orders: ClientOrders::new(1), policy, limits: LIMITS }
    }

    #[test]
    fn nothing_follows_the_first_order_of_a_partition_before_its_acknowledgement() {
        for policy in [WaitPolicy::UntilAcknowledged, WaitPolicy::UntilFirstAcknowledged] {
            let (admission, mut batch) = (admission(policy), OpenBatch::default());
            assert_eq!(admitted(&admission, &mut batch, [0, 0, 1_000]), [true, false, false]);
            // The next one is the first one again.
            admission.client_orders.completed(0, false);
            assert_eq!(admitted(&admission, &mut batch, [2_000, 2_000]), [true, false]);
            admission.client_orders.completed(0, true);
            assert_eq!(admitted(&admission, &mut batch, [3_000, 3_000]), [true, true]);
        }
    }

    #[test]
    fn a_partition_has_one_batch_in_flight_which_gets_orders_until_its_window_is_over_or_it_is_full() {
        let (admission, mut batch) = (admission(WaitPolicy::UntilAcknowledged), OpenBatch::default());
        admission.client_orders.sent(0);
        admission.client_orders.completed(0, true);
        assert_eq!(admitted(&admission, &mut batch, [50, 50, 149, 150, 300]), [true, true, true, false, false]);
        for _ in 0..3 {
            admission.client_orders.completed(0, true);
        }
        assert_eq!(admitted(&admission, &mut batch, [500; 9]), [[true; 8].as_slice(), &[false]].concat()[..]);
        for _ in 0..8 {
            admission.client_orders.completed(0, true);
        }
        assert!(admission.admit(0, &mut batch, 950, || 900) && admission.admit(0, &mut batch, 50, || 900));
        admission.client_orders.sent(0);
        assert!(!admission.admit(0, &mut batch, 1, || 900));
    }
}
