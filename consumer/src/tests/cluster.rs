//! The cluster of the property tests: topic, dead letters, offsets and assignment, in memory.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use shared::lifecycle::{OrderStatus, OrderStatusChanged};

use super::table::Tables;
use crate::{
    dlq::{
        letter::{DeadLetterOutcome, Rejected},
        topic::DeadLetterSink,
    },
    pipeline::commit::OffsetStore,
    retry_scope::{Cancelled, RetryScope},
    source::assignment::Assignment,
};

pub const PARTITIONS: usize = 3;

/// The records that a producer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// The same order as an earlier one.
    Repeat,
    /// Another order with the id of an earlier one.
    Conflicting,
    /// Can't become a row.
    Broken,
    /// The table refuses it.
    Refused,
}

/// The changes that a producer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The next one of its order.
    Next,
    /// The next one but one, and after it the next one.
    Swapped,
    /// The same change as an earlier one.
    Repeat,
    /// Another change with the sequence of an earlier one.
    Conflicting,
    /// No transitions lead to it.
    Illegal,
    /// Of an order that nobody has.
    Unknown,
    /// The table refuses it.
    Refused,
}

/// The statuses of an order, by sequence.
const PATH: [OrderStatus; 5] =
    [OrderStatus::Paid, OrderStatus::Processing, OrderStatus::Shipped, OrderStatus::Delivered, OrderStatus::Refunded];
/// The reason of changes that the table refuses.
pub const REFUSED: &str = "refused";

#[derive(Clone, Debug)]
pub struct Produced {
    pub id: String,
    pub event: ProducedEvent,
}

#[derive(Clone, Debug)]
pub enum ProducedEvent {
    Order {
        kind: Kind,
        /// Records with one id and one content are the same order.
        content: i32,
    },
    Change {
        event: OrderStatusChanged,
        expected: Expected,
    },
}

/// What must become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Stored,
    DeadLettered,
}

impl Produced {
    fn order(id: String, kind: Kind, content: i32) -> Self {
        Self { id, event: ProducedEvent::Order { kind, content } }
    }

    /// The value of the record.
    pub fn value(&self) -> String {
        match &self.event {
            ProducedEvent::Order { content, .. } => content.to_string(),
            ProducedEvent::Change { event, .. } => serde_json::to_string(event).unwrap(),
        }
    }

    fn is_good(&self) -> bool {
        matches!(self.event, ProducedEvent::Order { kind: Kind::Good, .. })
    }
}

#[derive(Default)]
pub struct Cluster {
    pub log: [Vec<Produced>; PARTITIONS],
    pub tables: Tables,
    /// Id and value of each dead letter.
    pub dead_letters: HashSet<(String, String)>,
    /// The number of changes that were produced of each order.
    changes: HashMap<String, i32>,
    pub assignment: Arc<Assignment>,
    /// The offsets stored in librdkafka: none after an assignment until the first is stored.
    pub stored: [Option<i64>; PARTITIONS],
    pub committed: [i64; PARTITIONS],
    pub position: [i64; PARTITIONS],
    /// How often each partition was assigned.
    pub assignments: [i32; PARTITIONS],
}

impl Cluster {
    pub fn revoke(&mut self, partition: usize) {
        self.assignment.revoke(&[partition as i32]);
        self.stored[partition] = None;
    }

    /// A partition that is assigned already stays as it is.
    pub fn assign(&mut self, partition: usize) {
        if self.assignment.handle(partition as i32).is_none() {
            self.assignment.assign([partition as i32]);
            self.assignments[partition] += 1;
            self.position[partition] = self.committed[partition];
        }
    }

    /// The id of an order begins with the outcome that it must have, such as `good-7`.
    pub fn produce(&mut self, partition: usize, kind: Kind) {
        let number = self.log.iter().map(Vec::len).sum::<usize>();
        let earlier = self.log.iter().flatten().rev().find(|record| record.is_good()).cloned();
        let content = number as i32;
        let record = match (kind, earlier) {
            (Kind::Repeat, Some(Produced { id, event: ProducedEvent::Order { content, .. } })) => {
                Produced::order(id, kind, content)
            }
            (Kind::Conflicting, Some(earlier)) => Produced::order(earlier.id, kind, content),
            (Kind::Good | Kind::Repeat | Kind::Conflicting, _) => {
                Produced::order(format!("good-{number}"), Kind::Good, content)
            }
            (Kind::Broken, _) => Produced::order(format!("broken-{number}"), kind, content),
            (Kind::Refused, _) => Produced::order(format!("refused-{number}"), kind, content),
        };
        self.log[partition].push(record);
    }

    /// Produces a change of the good order that `order` chooses, after it in its partition.
    pub fn produce_change(&mut self, order: usize, kind: ChangeKind) {
        let places = self.log.iter().enumerate().flat_map(|(partition, log)| log.iter().map(move |it| (partition, it)));
        let good: Vec<(usize, &Produced)> = places.filter(|(_, record)| record.is_good()).collect();
        if good.is_empty() {
            return;
        }
        let (partition, id) = (good[order % good.len()].0, good[order % good.len()].1.id.clone());
        let number = self.log.iter().map(Vec::len).sum::<usize>();
        let last = self.changes.get(&id).copied().unwrap_or_default();
        let has = |sequence: i32| (sequence as usize) < PATH.len();
        let stored: Vec<OrderStatusChanged> =
            self.log[partition].iter().filter_map(|record| stored_change(record, &id)).collect();
        let change = |sequence: i32, status, reason: String| OrderStatusChanged {
            sequence,
            status,
            reason,
            // Times go back, too.
            occurred_at: chrono::DateTime::from_timestamp(1_000_000 - number as i64, 0).unwrap(),
        };
        let on_path = |sequence: i32, reason: String| change(sequence, PATH[sequence as usize], reason);
        let reason = format!("reason-{number}");
        let (changes, expected, id) = match kind {
            ChangeKind::Swapped if has(last + 2) => {
                let swapped = vec![on_path(last + 2, reason), on_path(last + 1, format!("earlier-{number}"))];
                (swapped, Expected::Stored, id)
            }
            ChangeKind::Next | ChangeKind::Swapped if has(last + 1) => {
                (vec![on_path(last + 1, reason)], Expected::Stored, id)
            }
            ChangeKind::Refused if has(last + 1) => {
                (vec![on_path(last + 1, REFUSED.to_owned())], Expected::DeadLettered, id)
            }
            ChangeKind::Conflicting if !stored.is_empty() => {
                let other = OrderStatusChanged { reason, ..stored[number % stored.len()].clone() };
                (vec![other], Expected::DeadLettered, id)
            }
            ChangeKind::Illegal => {
                (vec![change(last + 1, OrderStatus::PaymentPending, reason)], Expected::DeadLettered, id)
            }
            ChangeKind::Unknown => (vec![on_path(1, reason)], Expected::DeadLettered, format!("unknown-{number}")),
            _ if stored.is_empty() => return,
            _ => (vec![stored[number % stored.len()].clone()], Expected::Stored, id),
        };
        if matches!(kind, ChangeKind::Next | ChangeKind::Swapped | ChangeKind::Refused) {
            let latest = changes.iter().map(|change| change.sequence).max().unwrap().max(last);
            self.changes.insert(id.clone(), latest);
        }
        let records = changes
            .into_iter()
            .map(|event| Produced { id: id.clone(), event: ProducedEvent::Change { event, expected } });
        self.log[partition].extend(records);
    }

    pub fn commit(&mut self) {
        for (committed, stored) in self.committed.iter_mut().zip(&self.stored) {
            *committed = stored.unwrap_or(*committed);
        }
    }

    /// Whether the record is stored or a dead letter, as its kind requires. A dead letter of a valid order requires that
    /// another one with its id is stored.
    pub fn is_processed(&self, record: &Produced) -> bool {
        let dead_lettered = || self.dead_letters.contains(&(record.id.clone(), record.value()));
        let stored = self.tables.orders.get(&record.id).map(|order| order.content);
        match &record.event {
            ProducedEvent::Order { kind: Kind::Broken | Kind::Refused, .. } => stored.is_none() && dead_lettered(),
            ProducedEvent::Order { kind: Kind::Good | Kind::Repeat | Kind::Conflicting, content } => {
                stored.is_some_and(|stored| stored == *content || dead_lettered())
            }
            ProducedEvent::Change { event, expected: Expected::Stored } => self.tables.has_change(&record.id, event),
            ProducedEvent::Change { event, expected: Expected::DeadLettered } => {
                dead_lettered() && !self.tables.has_change(&record.id, event)
            }
        }
    }

    /// Whether each id whose records are all in one partition is stored with the content of the first of them.
    pub fn first_records_are_stored(&self) -> bool {
        let (mut partitions, mut first): (HashMap<&str, HashSet<usize>>, HashMap<&str, i32>) = Default::default();
        for (partition, log) in self.log.iter().enumerate() {
            for record in log {
                if let ProducedEvent::Order { content, .. } = record.event {
                    partitions.entry(&record.id).or_default().insert(partition);
                    first.entry(&record.id).or_insert(content);
                }
            }
        }
        self.tables
            .orders
            .iter()
            .all(|(id, order)| partitions[id.as_str()].len() > 1 || order.content == first[id.as_str()])
    }

    /// Whether no dead letter is stored.
    pub fn no_dead_letter_is_stored(&self) -> bool {
        self.dead_letters.iter().all(|(id, value)| match value.parse::<i32>() {
            Ok(content) => self.tables.orders.get(id).is_none_or(|order| order.content != content),
            Err(_) => !self.tables.has_change(id, &serde_json::from_str(value).unwrap()),
        })
    }
}

/// The change of an order, if it must be stored.
fn stored_change(record: &Produced, id: &str) -> Option<OrderStatusChanged> {
    match &record.event {
        ProducedEvent::Change { event, expected: Expected::Stored } if record.id == id => Some(event.clone()),
        _ => None,
    }
}

#[derive(Clone, Default)]
pub struct SharedCluster(Arc<Mutex<Cluster>>);

impl SharedCluster {
    pub fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }
}

impl DeadLetterSink for SharedCluster {
    fn observe(&self, _: usize) {}

    async fn send(
        &self,
        rejected: &[Rejected<'_>],
        _: &mut RetryScope<'_>,
    ) -> Result<Vec<DeadLetterOutcome>, Cancelled> {
        let outcomes = rejected.iter().map(|Rejected { in_flight, .. }| {
            if in_flight.partition.is_revoked() {
                return DeadLetterOutcome::HandedBack;
            }
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            let letter = (text(in_flight.record.key()), text(in_flight.record.value()));
            self.lock().dead_letters.insert(letter);
            DeadLetterOutcome::Acknowledged
        });
        Ok(outcomes.collect())
    }
}

impl OffsetStore for SharedCluster {
    fn store(&self, offsets: &[(i32, i64)]) {
        let mut cluster = self.lock();
        for (partition, offset) in offsets {
            let at = *partition as usize;
            assert!(cluster.assignment.handle(*partition).is_some(), "an offset of a revoked partition");
            assert!(cluster.stored[at].is_none_or(|before| before < *offset), "an offset that goes back");
            let undone = cluster.log[at][..*offset as usize].iter().find(|record| !cluster.is_processed(record));
            assert!(undone.is_none(), "an offset is stored beyond {undone:?}");
            cluster.stored[at] = Some(*offset);
        }
    }
}
