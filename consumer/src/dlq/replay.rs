//! Sends dead-lettered records to their topic again once the cause is gone.
//!
//! A replay can be interrupted and repeated: a record that is stored is skipped, and so is one that was replayed and
//! that the consumers have not consumed yet. One that is dead-lettered again has the number of its replays in a header.
//!
//! Orders come first, and changes once all orders are acknowledged: records with one key are in one partition, so that
//! a consumer reads an order before its changes.

use std::fmt;

use anyhow::{Context, bail};
use serde::Serialize;
use shared::program::{Outcome, OutputFormat};
use tokio_util::sync::CancellationToken;

use super::{
    client::DeadLetterClients,
    dead_letter::DeadLetter,
    resend::{Resender, SendError},
    scan::{DeadLetterSource, DeadLetterStates, State, visit_dead_letters},
};
use crate::{
    model::RecordPosition,
    settings::{DlqSettings, ReplaySelection},
};

/// Maximum number of records in flight.
const MAX_IN_FLIGHT: usize = 1_000;

/// The number of records by what the replay did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayCounts {
    /// Sent to the topic again; with `--dry-run`, to be sent.
    pub replayed: u64,
    /// Skipped: its order, or its change, is in the table.
    #[serde(rename = "settled")]
    pub stored: u64,
    /// Skipped: the table has its order id, or the sequence of its change, with other contents.
    pub conflicting: u64,
    /// Skipped: replayed before, and not consumed yet.
    pub waiting: u64,
    /// Skipped: replayed as often as `--max-replays` allows.
    pub too_often: u64,
    /// Skipped: the dead letter does not have the value, since it was too large or the record had none.
    pub without_value: u64,
    /// The topic refuses it.
    pub failed: u64,
}

impl fmt::Display for ReplayCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replayed, stored, conflicting, waiting, too_often, without_value, failed } = self;
        write!(
            f,
            "{replayed} records replayed; skipped: {stored} stored already, {conflicting} conflicting with what \
             is stored in their place, {waiting} replayed and not consumed yet, {too_often} at --max-replays, \
             {without_value} without a value; {failed} can't be sent"
        )
    }
}

/// Replays the selected records and prints the counts. A record that can't be sent is reported, and the outcome is then
/// [`Outcome::Invalid`].
///
/// # Errors
/// When a topic or the table fails, or at a `stop`; the message then has the counts.
pub async fn replay(
    settings: DlqSettings,
    selection: ReplaySelection,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let DlqSettings { output, kafka, topic, group, database } = settings;
    let (database, dead_letter_topic) = (database.settings()?, topic.dead_letter_topic());
    let source = DeadLetterSource { kafka: kafka.clone(), topic, group };
    let states = DeadLetterStates::read(source, &database).await?;
    let clients = DeadLetterClients::open(&kafka).context("the Kafka settings are not usable")?;
    let (dry_run, resender) = (selection.dry_run, Resender::new(clients, tokio::runtime::Handle::current()));
    let mut replay = Replay { states, selection, resender, stop, counts: ReplayCounts::default() };
    let counts = tokio::task::spawn_blocking(move || {
        let steps: &[Step] = if replay.states.has_changes() { &[Step::Orders, Step::Changes] } else { &[Step::Orders] };
        for step in steps {
            visit_dead_letters(&kafka, &dead_letter_topic, |dead_letter| replay.visit(*step, &dead_letter))?;
            replay.wait_for_acknowledgements()?;
        }
        anyhow::Ok(replay.counts)
    })
    .await??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&counts)?),
        OutputFormat::Text if dry_run => println!("dry run: {counts}"),
        OutputFormat::Text => println!("{counts}"),
    }
    Ok(if counts.failed == 0 { Outcome::Valid } else { Outcome::Invalid })
}

/// The records that are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All but changes.
    Orders,
    Changes,
}

/// What is done with a dead letter.
enum Choice {
    Replay,
    SkipStored,
    SkipConflicting,
    SkipWaiting,
    SkipTooOften,
    SkipWithoutValue,
    /// Not counted: not the latest one of its record, not of this step or of the selected kind, or beyond `--limit`.
    Ignore,
}

/// A replay that is running.
struct Replay {
    states: DeadLetterStates,
    selection: ReplaySelection,
    resender: Resender,
    stop: CancellationToken,
    counts: ReplayCounts,
}

impl Replay {
    fn visit(&mut self, step: Step, dead_letter: &DeadLetter) -> anyhow::Result<()> {
        match self.choose(step, dead_letter) {
            Choice::Replay => self.send(dead_letter)?,
            Choice::SkipStored => self.counts.stored += 1,
            Choice::SkipConflicting => self.counts.conflicting += 1,
            Choice::SkipWaiting => self.counts.waiting += 1,
            Choice::SkipTooOften => self.counts.too_often += 1,
            Choice::SkipWithoutValue => self.counts.without_value += 1,
            Choice::Ignore => {}
        }
        Ok(())
    }

    fn choose(&self, step: Step, dead_letter: &DeadLetter) -> Choice {
        let Self { states, selection, counts, .. } = self;
        if dead_letter.is_change() != (step == Step::Changes) {
            return Choice::Ignore;
        }
        if selection.kind.as_ref().is_some_and(|kind| *kind != dead_letter.kind()) {
            return Choice::Ignore;
        }
        match states.of(dead_letter) {
            State::Superseded => Choice::Ignore,
            State::Stored => Choice::SkipStored,
            State::Conflicting => Choice::SkipConflicting,
            State::Waiting => Choice::SkipWaiting,
            State::Open if dead_letter.replays >= selection.max_replays => Choice::SkipTooOften,
            State::Open if !dead_letter.has_its_value() => Choice::SkipWithoutValue,
            State::Open if selection.limit.is_some_and(|limit| counts.replayed >= limit) => Choice::Ignore,
            State::Open => Choice::Replay,
        }
    }

    fn send(&mut self, dead_letter: &DeadLetter) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            self.wait_for_acknowledgements()?;
            bail!("interrupted: {}; repeat the command to replay the rest", self.counts);
        }
        self.counts.replayed += 1;
        if self.selection.dry_run {
            return Ok(());
        }
        if self.resender.in_flight() >= MAX_IN_FLIGHT {
            self.wait_for_acknowledgements()?;
        }
        let mut sent = self.resender.send(dead_letter);
        if matches!(sent, Err(SendError::QueueFull)) {
            self.wait_for_acknowledgements()?;
            sent = self.resender.send(dead_letter);
        }
        match sent {
            Ok(()) => Ok(()),
            Err(error) => self.on_error(dead_letter.position, &dead_letter.key_text(), error),
        }
    }

    fn wait_for_acknowledgements(&mut self) -> anyhow::Result<()> {
        for failure in self.resender.wait_for_acknowledgements() {
            self.on_error(failure.position, &failure.key, failure.error)?;
        }
        Ok(())
    }

    /// Counts a record that can't be sent. The others are sent nevertheless.
    ///
    /// # Errors
    /// When the cause is the cluster and not the record.
    fn on_error(&mut self, position: RecordPosition, key: &str, error: SendError) -> anyhow::Result<()> {
        self.counts.replayed -= 1;
        self.counts.failed += 1;
        if error.is_outage() {
            bail!("{error}: {}; repeat the command to replay the rest", self.counts);
        }
        let RecordPosition { partition, offset } = position;
        tracing::error!(partition, offset, key, "dead letter can't be replayed: {error}");
        Ok(())
    }
}
