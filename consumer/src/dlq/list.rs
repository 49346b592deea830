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
    scan::{LatestDeadLetters, visit_dead_letters},
};
use crate::{model::RecordPosition, settings::DlqSettings};

/// Maximum characters of a sample's message that are printed.
const SAMPLE_MESSAGE_CHARS: usize = 100;

/// The dead letters of one kind. An order counts once, however many dead letters it has.
#[derive(Clone, Debug, Default, Serialize)]
struct KindCounts {
    orders: u64,
    /// In the table.
    #[serde(rename = "settled")]
    stored: u64,
    /// Replayed at least once, and dead-lettered again.
    #[serde(rename = "came_back")]
    rejected_again: u64,
    /// The first one in the topic.
    sample: Option<Sample>,
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
            origin: dead_letter.origin(),
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
    let DlqSettings { output, kafka, topic, database } = settings;
    let (database, topic) = (database.settings()?, topic.dead_letter_topic());
    let (reading, name) = (kafka.clone(), topic.clone());
    let latest = tokio::task::spawn_blocking(move || LatestDeadLetters::read(&reading, &name)).await??;
    let stored = latest.find_stored(&database).await?;
    let listing = tokio::task::spawn_blocking(move || {
        let mut kinds: BTreeMap<String, KindCounts> = BTreeMap::new();
        let unreadable = visit_dead_letters(&kafka, &topic, |dead_letter| {
            if latest.contains(&dead_letter) {
                let counts = kinds.entry(dead_letter.kind()).or_default();
                counts.orders += 1;
                counts.stored += u64::from(stored.contains(&dead_letter.order));
                counts.rejected_again += u64::from(dead_letter.replays > 0);
                counts.sample.get_or_insert_with(|| Sample::of(&dead_letter));
            }
            Ok(())
        })?;
        anyhow::Ok(Listing { topic, kinds, unreadable })
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
    let mut table = report::table(["kind", "orders", "stored", "again", "position", "reason of a sample"]);
    report::align_right(&mut table, 1..4);
    for (kind, counts) in &listing.kinds {
        let (position, message) = match &counts.sample {
            Some(sample) => (sample.position.to_string(), sample.message.clone()),
            None => Default::default(),
        };
        let orders = [counts.orders, counts.stored, counts.rejected_again].map(|count| count.to_string());
        table.add_row([kind.clone()].into_iter().chain(orders).chain([position, message]));
    }
    let unreadable = match listing.unreadable {
        0 => String::new(),
        records => format!("\n{records} records can't be read: the name of a header is not UTF-8"),
    };
    format!("{table}\nstored: in the table; again: replayed and dead-lettered again{unreadable}")
}
