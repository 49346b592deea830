//! Prints the number of dead letters by kind, with a sample of each.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    dlq_headers,
    program::{Outcome, OutputFormat},
    report,
};

use super::{
    dead_letter::DeadLetter,
    printable::printable,
    scan::{DeadLetterSource, DeadLetterStates, State, visit_dead_letters},
};
use crate::{model::RecordPosition, settings::DlqSettings};

/// Maximum characters of a sample's message that are printed.
const SAMPLE_MESSAGE_CHARS: usize = 100;

/// The dead letters of one kind. A record counts once, however many dead letters it has.
#[derive(Clone, Debug, Default, Serialize)]
struct KindCounts {
    #[serde(rename = "orders")]
    records: u64,
    /// Its order, or its change, is in the table.
    #[serde(rename = "settled")]
    stored: u64,
    /// The table has its order id, or the sequence of its change, with other contents.
    conflicting: u64,
    /// Replayed, and not consumed yet.
    waiting: u64,
    /// Replayed at least once, and dead-lettered again.
    #[serde(rename = "came_back")]
    rejected_again: u64,
    /// The first one in the topic.
    sample: Option<Sample>,
}

impl KindCounts {
    fn add(&mut self, dead_letter: &DeadLetter, state: State) {
        self.records += 1;
        self.stored += u64::from(state == State::Stored);
        self.conflicting += u64::from(state == State::Conflicting);
        self.waiting += u64::from(state == State::Waiting);
        self.rejected_again += u64::from(dead_letter.replays > 0);
        self.sample.get_or_insert_with(|| Sample::of(dead_letter));
    }
}

#[derive(Clone, Debug, Serialize)]
struct Sample {
    position: RecordPosition,
    key: String,
    origin: String,
    message: String,
    at: String,
}

impl Sample {
    fn of(dead_letter: &DeadLetter) -> Self {
        Self {
            position: dead_letter.position,
            key: dead_letter.key_text(),
            origin: dead_letter.place(),
            message: dead_letter.header(dlq_headers::MESSAGE).chars().take(SAMPLE_MESSAGE_CHARS).collect(),
            at: dead_letter.header(dlq_headers::AT),
        }
    }
}

#[derive(Debug, Serialize)]
struct Listing {
    topic: String,
    kinds: BTreeMap<String, KindCounts>,
    unreadable: u64,
}

/// Reads the topic and prints the counts.
///
/// # Errors
/// When the topic or the table can't be read.
pub async fn list(settings: DlqSettings) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, group, database } = settings;
    let (database, dead_letter_topic) = (database.settings()?, topic.dead_letter_topic());
    let source = DeadLetterSource { kafka: kafka.clone(), topic, group };
    let states = DeadLetterStates::read(source, &database).await?;
    let listing = tokio::task::spawn_blocking(move || {
        let mut kinds: BTreeMap<String, KindCounts> = BTreeMap::new();
        let unreadable = visit_dead_letters(&kafka, &dead_letter_topic, |dead_letter| {
            let state = states.of(&dead_letter);
            if state != State::Superseded {
                kinds.entry(dead_letter.kind()).or_default().add(&dead_letter, state);
            }
            Ok(())
        })?;
        anyhow::Ok(Listing { topic: dead_letter_topic, kinds, unreadable })
    })
    .await??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&listing)?),
        OutputFormat::Text => println!("{}", table(&listing)),
    }
    Ok(Outcome::Valid)
}

fn table(listing: &Listing) -> String {
    if listing.kinds.is_empty() && listing.unreadable == 0 {
        return format!("{} has no dead letters", listing.topic);
    }
    let mut table = report::table(["kind", "records", "stored", "conflicting", "waiting", "again"]);
    report::align_right(&mut table, 1..6);
    let mut samples = String::new();
    for (kind, counts) in &listing.kinds {
        let KindCounts { records, stored, conflicting, waiting, rejected_again, sample } = counts;
        let kind = printable(kind);
        if let Some(Sample { position, message, .. }) = sample {
            samples += &format!("\n{kind}, such as {position}: {}", printable(message));
        }
        let figures = [records, stored, conflicting, waiting, rejected_again].map(u64::to_string);
        table.add_row([kind].into_iter().chain(figures));
    }
    let unreadable = match listing.unreadable {
        0 => String::new(),
        records => format!("\n{records} records can't be read: the name of a header is not UTF-8"),
    };
    format!(
        "{table}\nstored: in the table. conflicting: the table has something else in its place.\n\
         waiting: replayed, not consumed yet. again: replayed and dead-lettered again.{samples}{unreadable}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_control_character_of_a_record() {
        let hostile = || "\u{1b}[2J\r\nx".to_owned();
        let position = RecordPosition { partition: 0, offset: 0 };
        let sample = Sample { position, key: hostile(), origin: hostile(), message: hostile(), at: hostile() };
        let counts = KindCounts { records: 1, sample: Some(sample), ..KindCounts::default() };
        let listing = Listing { topic: "orders.dlq".to_owned(), kinds: [(hostile(), counts)].into(), unreadable: 0 };
        let table = table(&listing);
        assert!(!table.contains(['\u{1b}', '\r']), "{table}");
        assert!(table.ends_with("\n\\u{1b}[2J\\r\\nx, such as 0:0: \\u{1b}[2J\\r\\nx"), "{table}");
    }
}
