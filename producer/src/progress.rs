//! Shows a run while it runs: a live line on a terminal, a log line every few seconds elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::record::SoFar;

/// Seconds between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the run, of so many `orders` where that is known, until whoever records it is done.
pub async fn show(orders: Option<u64>, mut so_far: watch::Receiver<SoFar>) {
    if std::io::stderr().is_terminal() { live(orders, &mut so_far).await } else { lines(&mut so_far).await }
}

async fn live(orders: Option<u64>, so_far: &mut watch::Receiver<SoFar>) {
    let bounded = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} {msg}, {eta} left";
    let unbounded = "{elapsed_precise} {spinner} {human_pos} {msg}, Ctrl-C ends the run";
    let (bar, template) = match orders {
        Some(orders) => (ProgressBar::new(orders), bounded),
        None => (ProgressBar::new_spinner(), unbounded),
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
        tracing::info!("{} {}", now.acknowledged, describe(&now));
    }
}

fn describe(now: &SoFar) -> String {
    let in_flight = now.enqueued.saturating_sub(now.acknowledged + now.lost);
    let (late, acknowledged) = (now.lateness_ms, now.acknowledgement_ms);
    let lost = if now.lost > 0 { format!(", {} NOT acknowledged", now.lost) } else { String::new() };
    format!(
        "acked, {}/s, {in_flight} in flight, p50/p99 late {:.1}/{:.1} acked {:.1}/{:.1} ms{lost}",
        now.rate, late.0, late.1, acknowledged.0, acknowledged.1
    )
}
