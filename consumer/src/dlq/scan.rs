//! Reads the dead-letter topic, and what became of its records since.
//!
//! A record that is replayed before the cause is gone has another dead letter. Its latest dead letter counts.

use std::collections::HashMap;

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use shared::{
    database::DatabaseSettings,
    dlq_headers,
    kafka::{KafkaSettings, TopicSettings, read_headers, scan, scan_unconsumed},
    wire::{ReceivedChange, ReceivedEvent},
};

use super::{
    dead_letter::{DeadLetter, Identity},
    stored::StoredEvents,
};
use crate::model::RecordPosition;

/// Passes every dead letter of `topic` to `visit`. Returns the number of those whose headers can't be read. Blocks.
///
/// # Errors
/// When the topic can't be read, or `visit` fails.
pub fn visit_dead_letters(
    kafka: &KafkaSettings,
    topic: &str,
    mut visit: impl FnMut(DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut unreadable = 0;
    scan(kafka, topic, None, |record: &BorrowedMessage<'_>| match DeadLetter::parse(record) {
        Some(dead_letter) => visit(dead_letter),
        None => {
            unreadable += 1;
            Ok(())
        }
    })?;
    Ok(unreadable)
}

/// What became of a dead-lettered record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has a later dead letter, which counts.
    Superseded,
    /// Its order, or its change, is in the table.
    Stored,
    /// The table has its order id, or the sequence of its change, with other contents: a replay would only make another
    /// dead letter.
    Conflicting,
    /// It was replayed, and the consumers have not consumed it yet.
    Waiting,
    /// It is in the dead-letter topic alone.
    Open,
}

/// The topics whose dead letters are read, and the group of their consumers.
pub struct DeadLetterSource {
    pub kafka: KafkaSettings,
    pub topic: TopicSettings,
    pub group: String,
}

/// The states of all dead letters.
pub struct DeadLetterStates {
    latest: HashMap<Identity, Latest>,
    /// How often each record was replayed that the consumers have not consumed yet.
    waiting: HashMap<Identity, u32>,
    stored: StoredEvents,
}

struct Latest {
    replays: u32,
    position: RecordPosition,
    order_id: Option<String>,
    is_change: bool,
}

impl DeadLetterStates {
    /// Reads the orders topic from the group's committed offsets on, then the dead-letter topic, then the tables. In
    /// this order, a record that is consumed meanwhile is found in one of them.
    ///
    /// # Errors
    /// When a topic or the table can't be read.
    pub async fn read(source: DeadLetterSource, database: &DatabaseSettings) -> anyhow::Result<Self> {
        let reading = tokio::task::spawn_blocking(move || {
            let DeadLetterSource { kafka, topic, group } = source;
            let waiting = read_waiting(&kafka, &topic.topic, &group)?;
            anyhow::Ok((waiting, read_latest(&kafka, &topic.dead_letter_topic())?))
        });
        let (waiting, latest) = reading.await??;
        let (changes, orders): (Vec<&Latest>, Vec<&Latest>) = latest.values().partition(|latest| latest.is_change);
        let stored = StoredEvents::read(database, &ids(&orders), &ids(&changes)).await?;
        Ok(Self { latest, waiting, stored })
    }

    /// Whether any of them is a change of an order.
    pub fn has_changes(&self) -> bool {
        self.latest.values().any(|latest| latest.is_change)
    }

    pub fn of(&self, dead_letter: &DeadLetter) -> State {
        let is_latest = |latest: &Latest| latest.position == dead_letter.position;
        if !self.latest.get(&dead_letter.identity).is_some_and(is_latest) {
            return State::Superseded;
        }
        if let Some(state) = self.stored_state(dead_letter) {
            return state;
        }
        // The dead letter of the last replay has the number of that replay.
        let replayed = self.waiting.get(&dead_letter.identity).copied().unwrap_or_default();
        if replayed > dead_letter.replays { State::Waiting } else { State::Open }
    }
}

impl DeadLetterStates {
    /// What the tables have in the place of the record; none when they have nothing.
    fn stored_state(&self, dead_letter: &DeadLetter) -> Option<State> {
        let is_same = match dead_letter.event() {
            Some(ReceivedEvent::StatusChanged(ReceivedChange { order_id, event })) => {
                self.stored.change(&order_id, event.sequence)?.differences(&event).is_empty()
            }
            // Which place a change has is not known without its value.
            None if dead_letter.is_change() => return None,
            placed => {
                let row = self.stored.order(dead_letter.order_id()?)?;
                matches!(placed, Some(ReceivedEvent::Placed(order)) if row.differences(&order.event).is_empty())
            }
        };
        Some(if is_same { State::Stored } else { State::Conflicting })
    }
}

fn ids<'a>(latest: &[&'a Latest]) -> Vec<&'a str> {
    latest.iter().filter_map(|latest| latest.order_id.as_deref()).collect()
}

fn read_latest(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<HashMap<Identity, Latest>> {
    let mut latest: HashMap<Identity, Latest> = HashMap::new();
    visit_dead_letters(kafka, topic, |dead_letter| {
        let DeadLetter { position, replays, .. } = dead_letter;
        let (order_id, is_change) = (dead_letter.order_id().map(str::to_owned), dead_letter.is_change());
        let next = || Latest { replays, position, order_id, is_change };
        let current = latest.entry(dead_letter.identity).or_insert_with(next);
        // Within a partition the later one is the latest; across partitions, the one with more replays.
        if (replays, position) > (current.replays, current.position) {
            (current.replays, current.position) = (replays, position);
        }
        Ok(())
    })?;
    Ok(latest)
}

fn read_waiting(kafka: &KafkaSettings, topic: &str, group: &str) -> anyhow::Result<HashMap<Identity, u32>> {
    let mut waiting = HashMap::new();
    scan_unconsumed(kafka, topic, group, |record| {
        if let Some((identity, replays)) = replay_of(record) {
            let most = waiting.entry(identity).or_insert(replays);
            *most = replays.max(*most);
        }
        Ok(())
    })?;
    Ok(waiting)
}

/// The dead-lettered record that `record` is a replay of, and the number of the replay.
fn replay_of(record: &BorrowedMessage<'_>) -> Option<(Identity, u32)> {
    let headers = record.headers()?;
    let last = |name: &str| {
        let value = headers.iter().filter(|header| header.key == name).last()?.value?;
        Some(std::str::from_utf8(value).ok()?.to_owned())
    };
    let replay = || Some((last(dlq_headers::REPLAY_ORIGIN)?, last(dlq_headers::REPLAY_COUNT)?.parse().ok()?));
    let (origin, replays) = read_headers(replay).ok()??;
    Some((Identity::of(&origin, record.key(), record.payload()), replays))
}
