//! Shows a run while it runs: a live view on a terminal, a log line every few seconds elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::{
    deliver::Start,
    pace::Pacer,
    record::{SoFar, age},
    sample::RefreshedAt,
};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown of a run.
pub struct View {
    /// When the run's time begins.
    pub start: Start,
    /// The schedule, as it is before its first order.
    pub schedule: Pacer,
    /// What is known of the run.
    pub so_far: watch::Receiver<SoFar>,
    /// When the cache was last refreshed.
    pub refreshed_at: RefreshedAt,
}

impl View {
    /// Shows the run until whoever records it is done.
    pub async fn show(self) {
        if std::io::stderr().is_terminal() { self.live().await } else { self.lines().await }
    }

    async fn live(mut self) {
        let bar = match self.schedule.expected() {
            Some(orders) => ProgressBar::new(orders),
            None => ProgressBar::new_spinner(),
        };
        bar.enable_steady_tick(Duration::from_millis(250));
        let (to_wait, _) = self.times();
        if !to_wait.is_zero() {
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message(format!("the first order is due in {}", HumanDuration(to_wait)));
        }
        while self.so_far.changed().await.is_ok() {
            let now = *self.so_far.borrow_and_update();
            let left = match (self.schedule.expected(), self.schedule.end()) {
                (None, _) => "Ctrl-C ends the run".to_owned(),
                (_, Some(end)) => format!("{} left", HumanDuration(end.saturating_sub(self.times().1))),
                (_, None) => format!("{} left", HumanDuration(bar.eta())),
            };
            let bounded = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} acknowledged";
            let unbounded = "{elapsed_precise} {spinner} {human_pos} acknowledged";
            let first = if self.schedule.expected().is_some() { bounded } else { unbounded };
            bar.set_style(style(&format!("{first}, {left}\n{{msg}}")));
            bar.set_position(now.acknowledged);
            bar.set_message(self.figures(&now).join("\n"));
        }
        bar.finish_and_clear();
    }

    async fn lines(mut self) {
        let (to_wait, _) = self.times();
        if to_wait > LINE_EVERY {
            tracing::info!("the first order is due in {}", HumanDuration(to_wait));
            tokio::time::sleep(to_wait).await;
        }
        let mut ticks = tokio::time::interval(LINE_EVERY);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.so_far.has_changed().is_err() {
                return;
            }
            let now = *self.so_far.borrow_and_update();
            let of = self.schedule.expected().map_or_else(String::new, |all| format!(" of {all}"));
            let [rates, latencies, trouble] = self.figures(&now).map(|line| line.trim_start().to_owned());
            let trouble = if now.lost + now.queue_full > 0 { format!(" · {trouble}") } else { String::new() };
            tracing::info!("{}{of} acknowledged · {rates} · {latencies}{trouble}", now.acknowledged);
        }
    }

    /// Time until the first order is due, and since.
    fn times(&self) -> (Duration, Duration) {
        let now = std::time::Instant::now();
        (self.start.instant.saturating_duration_since(now), now.saturating_duration_since(self.start.instant))
    }

    fn figures(&self, now: &SoFar) -> [String; 3] {
        let since = self.times().1.as_nanos() as u64;
        let due = |time: u64| self.schedule.due_by(time);
        let target = due(since).zip(due(since.saturating_sub(1_000_000_000))).map(|(now, before)| now - before);
        let target = target.map_or_else(String::new, |target| format!(" of {}/s due", HumanCount(target)));
        let cache = age(*self.refreshed_at.borrow())
            .map_or_else(String::new, |age| format!(" · cache {} s old", age.as_secs()));
        let (late, acknowledged) = (now.lateness_ms, now.acknowledgement_ms);
        [
            format!("  {}/s sent{target} · {} in flight{cache}", HumanCount(now.rate), HumanCount(now.in_flight())),
            format!(
                "  from due, p50/p99: sent {:.1}/{:.1} ms, acknowledged {:.1}/{:.1} ms",
                late.0, late.1, acknowledged.0, acknowledged.1
            ),
            format!("  {} NOT acknowledged · queue full {} times", HumanCount(now.lost), HumanCount(now.queue_full)),
        ]
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are valid ones")
}
