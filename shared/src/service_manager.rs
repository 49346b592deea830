//! Notifications to the service manager, such as systemd (sd_notify(3)): ready, status, watchdog, stopping. A program
//! without `NOTIFY_SOCKET` in its environment was not started by one, and notifies nobody.

use std::{
    io,
    iter::once,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{task::JoinHandle, time::Interval};
use tokio_util::sync::CancellationToken;

use crate::health::{HealthStatus, StatusSource};

/// How often the status is looked at.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum length of the status. systemd ignores a message of more than 4 KiB; a character has up to 4 bytes.
const MAX_STATUS_CHARS: usize = 900;

/// The progress of the part of a program that must never hang, such as the thread that polls a client.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Records progress. To be called again and again, also while there is nothing to do and while a service that the
    /// program depends on is down: a program without a beat in half of the watchdog's timeout may be killed.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of beats until now.
    pub fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The running notifications.
#[must_use = "a program that ends without closing it may end before it tells that it stops"]
pub struct Notifications {
    stop: CancellationToken,
    /// `None` without a service manager.
    task: Option<JoinHandle<()>>,
}

/// Notifies the service manager, if there is one, until `stop`: once the program is ready for the first time, when its
/// status changes, and, for the watchdog, as long as `heartbeat` beats. Needs a tokio runtime: one that is blocked
/// misses the watchdog too.
pub fn notify(status: StatusSource, heartbeat: Heartbeat, stop: &CancellationToken) -> Notifications {
    let (stop, has_manager) = (stop.child_token(), std::env::var_os("NOTIFY_SOCKET").is_some());
    let notifier = || tokio::spawn(Notifier::new(status, heartbeat, notify_systemd).run(stop.clone()));
    Notifications { task: has_manager.then(notifier), stop }
}

impl Notifications {
    /// Waits until the service manager is told that the program stops.
    pub async fn close(self) {
        self.stop.cancel();
        if let Some(task) = self.task
            && let Err(error) = task.await
        {
            tracing::debug!("service manager: {error}");
        }
    }
}

/// Blocks while the service manager does not read.
fn notify_systemd(message: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Custom(message)])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Startup {
    Running,
    Finished,
}

struct Notifier {
    status: StatusSource,
    /// Finished once that was sent.
    startup: Startup,
    /// The status that was sent last.
    told: String,
    heartbeat: Heartbeat,
    /// The beats at the last look for the watchdog.
    beats: u64,
    /// Passes a message on.
    notify: fn(&str) -> io::Result<()>,
    /// Whether the last message was not sent.
    fails: bool,
}

impl Notifier {
    fn new(status: StatusSource, heartbeat: Heartbeat, notify: fn(&str) -> io::Result<()>) -> Self {
        let (startup, told) = (Startup::Running, String::new());
        Self { status, startup, told, heartbeat, beats: 0, notify, fails: false }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut status_ticks = tokio::time::interval(STATUS_INTERVAL);
        // Half of the timeout, as sd_watchdog_enabled(3) recommends.
        let watchdog = sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|half| !half.is_zero());
        let mut watchdog_ticks = watchdog.map(tokio::time::interval);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = status_ticks.tick() => self.tell_status().await,
                () = tick(watchdog_ticks.as_mut()) => {
                    if self.has_progressed() {
                        self.send(&[NotifyState::Watchdog]).await;
                    }
                }
            }
        }
        // From now on the timeout of a stop applies, and no longer the watchdog.
        self.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]).await;
    }

    async fn tell_status(&mut self) {
        let status = (self.status)();
        if self.startup == Startup::Running && status.is_ready() && self.send(&[NotifyState::Ready]).await {
            self.startup = Startup::Finished;
        }
        let text = one_line(&status);
        if text != self.told && self.send(&[NotifyState::Status(&text)]).await {
            self.told = text;
        }
    }

    /// Sends on a thread for blocking calls. Returns whether the message was sent. Failures that follow each other are
    /// logged once.
    async fn send(&mut self, states: &[NotifyState<'_>]) -> bool {
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        let (message, notify) = (lines.join("\n"), self.notify);
        let sending = tokio::task::spawn_blocking(move || notify(&message));
        let sent = sending.await.map_err(io::Error::other).flatten();
        match &sent {
            Ok(()) if self.fails => tracing::info!("service manager: notified again"),
            Err(error) if !self.fails => tracing::warn!("service manager: not notified: {error}"),
            Ok(()) | Err(_) => {}
        }
        self.fails = sent.is_err();
        sent.is_ok()
    }

    /// Whether there was a beat since the last call.
    fn has_progressed(&mut self) -> bool {
        let before = std::mem::replace(&mut self.beats, self.heartbeat.beats());
        self.beats != before
    }
}

/// Readiness, and the issues of all dependencies.
fn one_line(status: &HealthStatus) -> String {
    let readiness = if status.is_ready() { "ready" } else { "not ready" };
    let issues = status.dependencies.iter().flat_map(|dependency| &dependency.issues);
    let parts: Vec<&str> = once(readiness).chain(issues.map(|issue| issue.message.as_str())).collect();
    // A line break would begin another notification.
    parts.join("; ").replace(char::is_control, " ").chars().take(MAX_STATUS_CHARS).collect()
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::health::{CurrentIssue, Dependency, DependencyState, DependencyStatus};

    fn status(state: DependencyState, message: &str) -> HealthStatus {
        let issue = CurrentIssue { since: Utc::now(), message: message.to_owned(), action: "retries" };
        HealthStatus {
            dependencies: vec![DependencyStatus {
                name: Dependency::Redis,
                state,
                since: Utc::now(),
                issues: if state == DependencyState::Up { Vec::new() } else { vec![issue] },
                last_error: None,
            }],
        }
    }

    fn notifier(heartbeat: Heartbeat) -> Notifier {
        Notifier::new(Arc::new(|| status(DependencyState::Up, "")), heartbeat, |_| Ok(()))
    }

    #[tokio::test]
    async fn what_could_not_be_sent_is_sent_at_the_next_look() {
        let mut notifier = notifier(Heartbeat::default());
        notifier.notify = |_| Err(io::Error::other("no buffer space"));
        notifier.tell_status().await;
        assert_eq!((notifier.startup, notifier.told.as_str(), notifier.fails), (Startup::Running, "", true));
        notifier.notify = |_| Ok(());
        notifier.tell_status().await;
        assert_eq!((notifier.startup, notifier.told.as_str(), notifier.fails), (Startup::Finished, "ready", false));
    }

    #[test]
    fn the_status_is_one_line_that_systemd_accepts() {
        assert_eq!(one_line(&status(DependencyState::Up, "")), "ready");
        assert_eq!(one_line(&status(DependencyState::Degraded, "Redis: no answer")), "ready; Redis: no answer");
        let two_lines = status(DependencyState::Down, "PostgreSQL: lost\nREADY=1");
        assert_eq!(one_line(&two_lines), "not ready; PostgreSQL: lost READY=1");
        assert!(one_line(&status(DependencyState::Down, &"주".repeat(5_000))).len() < 4_000);
    }

    #[test]
    fn a_part_that_does_not_beat_has_no_progress() {
        let heartbeat = Heartbeat::default();
        let mut notifier = notifier(heartbeat.clone());
        assert!(!notifier.has_progressed());
        heartbeat.beat();
        assert!(notifier.has_progressed() && !notifier.has_progressed());
        heartbeat.beat();
        heartbeat.beat();
        assert!(notifier.has_progressed() && !notifier.has_progressed());
    }
}
