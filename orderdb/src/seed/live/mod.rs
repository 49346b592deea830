//! Keeps adding and changing rows at a steady rate, so that the cache has rows to refresh in a long run. [`schedule`]
//! computes how many rows are due, [`rows`] writes them.

pub mod rows;
pub mod schedule;

use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::{database::DatabaseSettings, retry::Backoff};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::rows::LiveSeed;
use crate::settings::SeedSettings;

/// Time between two batches.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two log lines where stderr is no terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Adds rows until `stop`, or for the duration in the settings. For each row that is added, another is changed. While
/// the database is unreachable, connecting is retried. Rows that become due during that time are added afterwards.
///
/// # Errors
/// When the database can't be reached at the start or at the end.
pub async fn run_live(
    settings: &SeedSettings,
    database: &DatabaseSettings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut live = LiveSeed::start(settings, database).await?;
    let (started, mut progress) = (Instant::now(), ProgressDisplay::start());
    let duration = settings.live.duration.unwrap_or(Duration::MAX);
    let mut ticks = tokio::time::interval(BATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Present while the database is unreachable.
    let mut outage: Option<Backoff> = None;
    loop {
        let tick_or_end = tokio::time::timeout(duration.saturating_sub(started.elapsed()), ticks.tick());
        if stop.run_until_cancelled(tick_or_end).await.is_none() {
            break;
        }
        let elapsed = started.elapsed().min(duration);
        let Some(result) = stop.run_until_cancelled(live.catch_up(elapsed)).await else { break };
        if let Some(delay) = retry_delay(result, &mut outage) {
            let _ = stop.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
        progress.show(&live);
        if elapsed == duration {
            break;
        }
    }
    progress.bar.finish_and_clear();
    let whole_seconds = Duration::from_secs(started.elapsed().as_secs());
    println!("{database}: {live} in {}", humantime::format_duration(whole_seconds));
    ensure!(outage.is_none(), "{database} was unreachable at the end: rows that were due are missing");
    Ok(())
}

/// Logs the begin and the end of an outage. Returns the delay before the next try.
fn retry_delay(result: anyhow::Result<()>, outage: &mut Option<Backoff>) -> Option<Duration> {
    match result {
        Ok(()) => {
            if outage.take().is_some() {
                tracing::info!("PostgreSQL: working again, rows are added");
            }
            None
        }
        Err(error) => {
            if outage.is_none() {
                tracing::warn!("PostgreSQL: rows can't be added, retrying until they can: {error:#}");
            }
            Some(outage.get_or_insert_with(Backoff::start).next_delay())
        }
    }
}

/// Shows the counts: in a terminal continuously, otherwise in a log line per [`LOG_INTERVAL`].
struct ProgressDisplay {
    bar: ProgressBar,
    last_log: Instant,
}

impl ProgressDisplay {
    fn start() -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {elapsed} {msg} (Ctrl-C stops)").expect("the template is valid");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, last_log: Instant::now() }
    }

    fn show(&mut self, live: &LiveSeed<'_>) {
        self.bar.set_message(live.to_string());
        if self.bar.is_hidden() && self.last_log.elapsed() >= LOG_INTERVAL {
            self.last_log = Instant::now();
            tracing::info!("live seed: {live}");
        }
    }
}
