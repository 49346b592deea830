//! Shows the progress of a run: a progress bar on a terminal, a log line every few seconds otherwise.

use std::{io::IsTerminal, time::Duration};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::{
    clock::RunClock,
    ledger::{live_changes::LiveChanges, live_stats::LiveStats},
    pace::Pacer,
    sample::CacheAge,
    send::change_tally::Schedule,
};

/// Time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The progress display of a run.
pub struct ProgressDisplay {
    pub clock: RunClock,
    /// The schedule at its first order.
    pub schedule: Pacer,
    pub live_stats: watch::Receiver<LiveStats>,
    pub cache_age: CacheAge,
}

impl ProgressDisplay {
    /// Shows the progress until the recorder drops its end of `live_stats`.
    pub async fn show(self) {
        if std::io::stderr().is_terminal() { self.show_bar().await } else { self.log_lines().await }
    }

    async fn show_bar(mut self) {
        let bar = match self.schedule.expected() {
            Some(orders) => ProgressBar::new(orders),
            None => ProgressBar::new_spinner(),
        };
        bar.enable_steady_tick(Duration::from_millis(250));
        let until_start = self.clock.until_start();
        if !until_start.is_zero() {
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message(format!("the first order is due in {}", HumanDuration(until_start)));
        }
        while self.live_stats.changed().await.is_ok() {
            let stats = *self.live_stats.borrow_and_update();
            let remaining = match (self.schedule.expected(), self.schedule.end()) {
                _ if orders_are_done(&stats) => "orders done".to_owned(),
                (None, _) => "Ctrl-C ends the run".to_owned(),
                (_, Some(end)) => format!("{} left", HumanDuration(end.saturating_sub(self.clock.since_start()))),
                (_, None) => format!("{} left", HumanDuration(bar.eta())),
            };
            let bounded = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} acknowledged";
            let unbounded = "{elapsed_precise} {spinner} {human_pos} acknowledged";
            let first_line = if self.schedule.expected().is_some() { bounded } else { unbounded };
            bar.set_style(style(&format!("{first_line}, {remaining}\n{{msg}}")));
            bar.set_position(stats.acknowledged);
            let changes = stats.changes.as_ref().map(changes_figures);
            let of_orders = self.figures(&stats).into_iter().filter(|_| !orders_are_done(&stats));
            bar.set_message(of_orders.chain(changes).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        }
        bar.finish_and_clear();
    }

    async fn log_lines(mut self) {
        let until_start = self.clock.until_start();
        if until_start > LOG_INTERVAL {
            tracing::info!("the first order is due in {}", HumanDuration(until_start));
            tokio::time::sleep(until_start).await;
        }
        let mut ticks = tokio::time::interval(LOG_INTERVAL);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.live_stats.has_changed().is_err() {
                return;
            }
            let stats = *self.live_stats.borrow_and_update();
            tracing::info!("{}", self.log_line(&stats));
        }
    }

    fn log_line(&self, stats: &LiveStats) -> String {
        let total = self.schedule.expected().map_or_else(String::new, |all| format!(" of {all}"));
        let orders = format!("{}{total} acknowledged", stats.acknowledged);
        let changes = stats.changes.as_ref().map_or_else(String::new, |it| format!(" · {}", changes_figures(it)));
        let [rates, latencies, problems] = self.figures(stats);
        let has_problems = stats.unacknowledged + stats.queue_full > 0;
        let problems = if has_problems { format!(" · {problems}") } else { String::new() };
        match orders_are_done(stats) {
            true => format!("orders done, {orders}{changes}{problems}"),
            false => format!("{orders} · {rates} · {latencies}{changes}{problems}"),
        }
    }

    fn figures(&self, stats: &LiveStats) -> [String; 3] {
        let since_start = self.clock.since_start().as_nanos() as u64;
        let due_by = |time: u64| self.schedule.due_by(time);
        let due = due_by(since_start).zip(due_by(since_start.saturating_sub(1_000_000_000)));
        let target = due.map_or_else(String::new, |(now, before)| format!(" of {}/s due", HumanCount(now - before)));
        let cache = self.cache_age.get().map_or_else(String::new, |age| format!(" · cache {} s old", age.as_secs()));
        let (lateness, acknowledgement) = (stats.lateness_ms, stats.acknowledgement_ms);
        [
            format!("{}/s sent{target} · {} in flight{cache}", HumanCount(stats.rate), HumanCount(stats.in_flight())),
            format!(
                "from due, p50/p99: sent {:.1}/{:.1} ms, acknowledged {:.1}/{:.1} ms",
                lateness.0, lateness.1, acknowledgement.0, acknowledgement.1
            ),
            format!(
                "{} NOT acknowledged · queue full {} times",
                HumanCount(stats.unacknowledged),
                HumanCount(stats.queue_full)
            ),
        ]
    }
}

/// Whether only changes follow.
fn orders_are_done(stats: &LiveStats) -> bool {
    stats.changes.is_some_and(|changes| changes.schedule == Schedule::Over)
}

fn changes_figures(changes: &LiveChanges) -> String {
    let lost = changes.unacknowledged + changes.skipped;
    let lost = if lost == 0 { String::new() } else { format!(", {} NOT acknowledged or skipped", HumanCount(lost)) };
    format!("{} changes acknowledged, {} pending{lost}", HumanCount(changes.acknowledged), HumanCount(changes.pending))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are valid")
}
