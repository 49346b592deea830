//! What lies in the dead-letter topic: counted ([`list`]), looked at ([`show`]), and put back once its cause is gone
//! ([`replay`]).
//!
//! An order may have several letters: one more each time that it was put back too early. The latest counts. An order that
//! is in the table by now is settled.

pub mod letter;
pub mod list;
pub mod replay;
pub mod show;

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use rdkafka::message::BorrowedMessage;
use shared::{
    database::{DatabaseSettings, connect},
    kafka::{KafkaSettings, scan},
};

use self::letter::{Identity, Letter, Place};

/// Orders asked for at once.
const LOOKUP: usize = 5_000;

/// Gives every letter of `topic` to `look`; those whose headers can't be read are only counted, in the answer. Blocks.
///
/// # Errors
/// When the topic can't be read, or `look` fails.
pub fn letters(
    kafka: &KafkaSettings,
    topic: &str,
    mut look: impl FnMut(Letter) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut unreadable = 0;
    scan(kafka, topic, None, |record: &BorrowedMessage<'_>| match Letter::read(record) {
        Some(letter) => look(letter),
        None => {
            unreadable += 1;
            Ok(())
        }
    })?;
    Ok(unreadable)
}

/// Where the latest letter of each order is.
#[derive(Debug, Default)]
pub struct Latest(HashMap<Identity, Place>);

impl Latest {
    /// Reads the topic. Blocks.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Self> {
        let mut letters_of: HashMap<Identity, (u32, Place)> = HashMap::new();
        letters(kafka, topic, |letter| {
            let next = (letter.replays, letter.place);
            let latest = letters_of.entry(letter.identity).or_insert(next);
            // In one partition the later is the latest; another may hold one that was put back once more.
            *latest = next.max(*latest);
            Ok(())
        })?;
        Ok(Self(letters_of.into_iter().map(|(identity, (_, place))| (identity, place)).collect()))
    }

    /// Whether `letter` is the latest of its order.
    pub fn is(&self, letter: &Letter) -> bool {
        self.0.get(&letter.identity) == Some(&letter.place)
    }

    /// Those of the orders that are in the table.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn settled(&self, database: &DatabaseSettings) -> anyhow::Result<HashSet<Identity>> {
        let client = connect(database).await?;
        let ids: Vec<&str> = self.0.keys().filter_map(Identity::order_id).collect();
        let mut settled = HashSet::new();
        for some in ids.chunks(LOOKUP) {
            let query = "SELECT order_id FROM orders WHERE order_id = ANY($1)";
            let rows = client.query(query, &[&some]).await.context("the orders can't be looked up")?;
            settled.extend(rows.iter().map(|row| Identity::of_order(row.get(0))));
        }
        Ok(settled)
    }
}
