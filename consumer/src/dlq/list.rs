//! Counts the dead letters by kind, with a sample of each.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use shared::program::{Outcome, OutputFormat};

use super::{
    Latest,
    letter::{Letter, Place},
    letters,
};
use crate::settings::DlqSettings;

/// Characters of a message that are shown.
const MESSAGE: usize = 100;

/// The letters of one kind; an order counts once, however many letters it has.
#[derive(Clone, Debug, Default, Serialize)]
struct OfKind {
    /// Orders.
    orders: u64,
    /// Of those, in the table by now.
    settled: u64,
    /// Of those, put back at least once, and back here.
    came_back: u64,
    /// The first of them that was found.
    sample: Option<Sample>,
}

#[derive(Clone, Debug, Serialize)]
struct Sample {
    place: Place,
    key: String,
    origin: String,
    message: String,
    at: String,
}

impl Sample {
    fn of(letter: &Letter) -> Self {
        Self {
            place: letter.place,
            key: letter.key_text(),
            origin: letter.origin(),
            message: letter.header("dlq-message").chars().take(MESSAGE).collect(),
            at: letter.header("dlq-at"),
        }
    }
}

#[derive(Debug, Serialize)]
struct Listing {
    topic: String,
    kinds: BTreeMap<String, OfKind>,
    unreadable: u64,
}

/// Reads the topic and prints what is in it.
///
/// # Errors
/// When the topic or the table can't be read.
pub async fn list(settings: DlqSettings) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, database } = settings;
    let (database, topic) = (database.settings()?, topic.dead_letter_topic());
    let (reading, name) = (kafka.clone(), topic.clone());
    let latest = tokio::task::spawn_blocking(move || Latest::of(&reading, &name)).await??;
    let settled = latest.settled(&database).await?;
    let listing = tokio::task::spawn_blocking(move || {
        let mut kinds: BTreeMap<String, OfKind> = BTreeMap::new();
        let unreadable = letters(&kafka, &topic, |letter| {
            if latest.is(&letter) {
                let of_kind = kinds.entry(letter.kind()).or_default();
                of_kind.orders += 1;
                of_kind.settled += u64::from(settled.contains(&letter.identity));
                of_kind.came_back += u64::from(letter.replays > 0);
                of_kind.sample.get_or_insert_with(|| Sample::of(&letter));
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
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["kind", "orders", "settled", "came back", "for example", "why"]);
    for (kind, of_kind) in &listing.kinds {
        let (place, message) = match &of_kind.sample {
            Some(sample) => (format!("{} ({})", sample.place, sample.key), sample.message.clone()),
            None => Default::default(),
        };
        let counts = [of_kind.orders, of_kind.settled, of_kind.came_back].map(|count| count.to_string());
        table.add_row([kind.clone()].into_iter().chain(counts).chain([place, message]));
    }
    let unreadable = match listing.unreadable {
        0 => String::new(),
        letters => format!("\n{letters} letters have a header whose name is not text and can't be read here"),
    };
    format!("{table}\nsettled: in the table by now{unreadable}")
}
