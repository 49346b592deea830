//! What a service manager such as systemd is told: that a program is ready, what it lacks, that it goes on, and that it
//! stops.

use std::{path::Path, time::Duration};

use benches::process::Program;
use chrono::Utc;
use testbed::Testbed;
use tokio::{net::UnixDatagram, time::timeout};

use super::scenario::TIMEOUT;

/// Timeout of the watchdog: short, so that the tests are.
const WATCHDOG: Duration = Duration::from_secs(2);

/// The socket of a service manager.
struct NotifySocket {
    socket: UnixDatagram,
    path: String,
}

impl NotifySocket {
    fn bind(folder: &Path) -> Self {
        let path = folder.join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path: path.display().to_string() }
    }

    /// What systemd sets for a service with a watchdog.
    fn environment(&self) -> [(String, String); 2] {
        [
            ("NOTIFY_SOCKET".to_owned(), self.path.clone()),
            ("WATCHDOG_USEC".to_owned(), WATCHDOG.as_micros().to_string()),
        ]
    }

    /// Receives until a line begins with `expected`. Returns the lines.
    async fn receive_until(&self, expected: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut buffer = vec![0; 4_096];
        while !lines.iter().any(|line| line.starts_with(expected)) {
            let received = timeout(TIMEOUT, self.socket.recv(&mut buffer)).await;
            let length = received.unwrap_or_else(|_| panic!("no {expected} after {lines:?}")).unwrap();
            lines.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        lines
    }
}

fn start(program: &str, arguments: &[&str], bed: &Testbed, more: &[(String, String)]) -> (NotifySocket, Program) {
    let manager = NotifySocket::bind(bed.folder());
    let environment = [bed.environment(), more.to_vec(), manager.environment().to_vec()].concat();
    let program = Program::start(program, program, arguments, &environment, bed.folder()).unwrap();
    (manager, program)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_tells_that_it_is_ready_that_it_reads_and_that_it_stops() {
    let bed = Testbed::new("notifying_consumer").await;
    let (manager, consumer) = start("consumer", &[], &bed, &[]);
    manager.receive_until("READY=1").await;
    manager.receive_until("WATCHDOG=1").await;
    consumer.request_stop().unwrap();
    let last = manager.receive_until("STOPPING=1").await;
    assert!(!last.contains(&"READY=1".to_owned()), "it is ready once: {last:?}");
    consumer.wait_for_success().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_tells_that_it_is_ready_once_it_has_sent() {
    let bed = Testbed::new("notifying_producer").await;
    let start_at = testbed::shared_start();
    let arguments = ["--source", "builtin", "--rate", "100", "--start-at", &start_at.to_rfc3339()];
    let (manager, mut producer) = start("producer", &arguments, &bed, &[]);
    let first = manager.receive_until("READY=1").await;
    assert!(Utc::now() >= start_at, "ready before the first order: {first:?}");
    assert!(first.contains(&"STATUS=not ready; nothing has been sent yet".to_owned()), "{first:?}");
    assert!(!first.contains(&"STATUS=ready".to_owned()), "{first:?}");
    manager.receive_until("WATCHDOG=1").await;
    producer.request_stop().unwrap();
    manager.receive_until("STOPPING=1").await;
    producer.wait(TIMEOUT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_worker_tells_what_it_lacks_and_lives_on_without_it() {
    let bed = Testbed::new("notifying_worker").await;
    let redis = bed.redis_proxy().await;
    redis.stall();
    let (manager, worker) = start("cache-worker", &[], &bed, &bed.cache_behind(&redis).environment());
    let first = manager.receive_until("STATUS=not ready; Redis: no answer").await;
    assert!(!first.contains(&"READY=1".to_owned()), "{first:?}");
    redis.resume();
    manager.receive_until("READY=1").await;
    manager.receive_until("STATUS=ready").await;
    redis.stall();
    manager.receive_until("STATUS=not ready; Redis: no answer").await;
    manager.receive_until("WATCHDOG=1").await;
    redis.resume();
    let restored = manager.receive_until("STATUS=ready").await;
    assert!(!restored.contains(&"READY=1".to_owned()), "it is ready once: {restored:?}");
    worker.request_stop().unwrap();
    manager.receive_until("STOPPING=1").await;
    worker.wait_for_success().unwrap();
}
