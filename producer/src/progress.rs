//! Shows a run while it runs: a live line on a terminal, a log line every few seconds elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::{record::SoFar, settings::LoadSettings};

/// Seconds between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the run until whoever records it is done.
pub async fn show(load: LoadSettings, mut so_far: watch::Receiver<SoFar>) {
    if std::io::stderr().is_terminal() { live(&load, &mut so_far).await } else { lines(&mut so_far).await }
}

async fn live(load: &LoadSettings, so_far: &mut watch::Receiver<SoFar>) {
    let bounded = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} acknowledged, {msg}, {eta} left";
    let unbounded = "{elapsed_precise} {spinner} {human_pos} acknowledged, {msg}, Ctrl-C ends the run";
    let (bar, template) = if load.is_bounded() {
        (ProgressBar::new(load.orders()), bounded)
    } else {
        (ProgressBar::new_spinner(), unbounded)
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is a valid one"));
    bar.enable_steady_tick(Duration::from_millis(250));
    while so_far.changed().await.is_ok() {
        let now = *so_far.borrow_and_update();
        bar.set_position(now.acknowledged);
        bar.set_message(describe(&now));
    }
    bar.finish_and_clear();
}

async fn lines(so_far: &mut watch::Receiver<SoFar>) {
    let mut ticks = tokio::time::interval(LINE_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if so_far.has_changed().is_err() {
            return;
        }
        let now = *so_far.borrow_and_update();
        tracing::info!("{} acknowledged, {}", now.acknowledged, describe(&now));
    }
}

fn describe(now: &SoFar) -> String {
    let in_flight = now.enqueued.saturating_sub(now.acknowledged + now.lost);
    let (p50, p99) = now.acknowledgement_ms;
    let lost = if now.lost > 0 { format!(", {} NOT acknowledged", now.lost) } else { String::new() };
    format!("{in_flight} in flight, p50 {p50:.1} p99 {p99:.1} ms{lost}")
}
