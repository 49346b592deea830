//! The progress of a bench: a bar on a terminal, and a line in the log for each result.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// The slots of all rounds.
pub struct BenchProgress {
    bar: ProgressBar,
}

impl BenchProgress {
    pub fn new(slots: usize) -> Self {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} · {elapsed} · {msg}").expect("the template is valid");
        let bar = ProgressBar::new(slots as u64).with_style(style);
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar }
    }

    /// A contestant begins.
    pub fn begin(&self, round: u32, contestant: &str) {
        self.bar.set_message(format!("{}: {contestant}", round_name(round)));
    }

    /// A contestant has ended. `more` follows its speed.
    pub fn end(&self, round: u32, contestant: &str, more: &str, per_second: f64) {
        let speed = HumanCount(per_second.round() as u64);
        let separator = if more.is_empty() { "" } else { "; " };
        self.bar.suspend(|| {
            tracing::info!("{}: {contestant}: {speed}/s{separator}{more}", round_name(round));
        });
        self.bar.inc(1);
    }

    /// A contestant at a steady rate has ended, with percentiles in milliseconds.
    pub fn end_latency(&self, round: u32, contestant: &str, p50: f64, p99: f64) {
        self.bar.suspend(|| tracing::info!("{}: {contestant}: p50 {p50:.2} ms, p99 {p99:.2} ms", round_name(round)));
        self.bar.inc(1);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn round_name(round: u32) -> String {
    if round == 0 { "warm-up".to_owned() } else { format!("round {round}") }
}
