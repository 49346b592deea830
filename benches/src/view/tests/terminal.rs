//! The view on a real terminal: a program that has it, in a pseudo-terminal.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{Read, Write},
    num::NonZeroU16,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
    thread,
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use shared::{
    shutdown,
    telemetry::{LogFormat, LogSettings, Logging, ProgramInfo},
};
use testbed::eventually;

use super::*;
use crate::view::{View, ViewMode, observations};

const TIMEOUT: Duration = Duration::from_secs(60);
const ENDING: &str = "VIEW_TEST_ENDING";
const FOLDER: &str = "VIEW_TEST_FOLDER";

/// Not a test, but the program of the tests. It shows a run until it is stopped.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by the other tests"]
async fn program() {
    let ending = env::var(ENDING).expect("the other tests set how it ends");
    Logging::start(LogSettings { log_format: LogFormat::Text }, ProgramInfo { program: "view", version: "1.2.3" });
    let (stop, observations) = (shutdown::on_signal().unwrap(), observations());
    let view = View::start(ViewMode::Auto, observations.subscribe(), stop.clone()).unwrap();
    let observe = |observation| drop(observations.send(observation));
    let folder = PathBuf::from(env::var(FOLDER).unwrap());
    let outline = Outline { logs: folder.clone(), ..outline() };
    observe(Observation::Outline(Arc::new(outline)));
    tracing::info!("a log line");
    tracing::warn!("a warning");
    for second in 0.. {
        if stop.is_cancelled() && ending != "hangs" {
            break;
        }
        observe(Observation::Sample(Arc::new(Sample { at: Utc::now(), ..sample(second) })));
        tokio::time::sleep(Duration::from_millis(50)).await;
        if ending == "panics" && std::fs::remove_file(folder.join("panic")).is_ok() {
            let panicked = tokio::spawn(async { panic!("a task panics") }).await;
            assert!(panicked.is_err() && view.is_full_screen());
        }
    }
    drop(view);
    eprintln!("stopped gracefully");
}

/// The program in a terminal.
struct Running {
    terminal: Option<File>,
    path: String,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(path).unwrap()
}

fn parser(columns: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap(), 0)
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Running {
    async fn start(ending: &str, more: &[(&str, &str)]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, size(160, 45)).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let (other_end, folder) = (open(&path), tempfile::tempdir().unwrap());
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty").arg(env::current_exe().unwrap());
        setsid.args(["view::tests::terminal::program", "--exact", "--ignored", "--nocapture"]);
        setsid.env(ENDING, ending).env(FOLDER, folder.path()).env("TERM", "xterm").env_remove("NO_COLOR");
        // A backtrace has more lines than the screen.
        setsid.env("RUST_BACKTRACE", "0");
        setsid.envs(more.iter().copied());
        setsid.stdin(other_end.try_clone().unwrap()).stdout(other_end.try_clone().unwrap()).stderr(other_end);
        let child = setsid.spawn().unwrap();
        drop(setsid);
        let terminal = File::from(terminal);
        let screen = Arc::new(Mutex::new(parser(160, 45)));
        let (mut read, shown) = (terminal.try_clone().unwrap(), screen.clone());
        thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(length @ 1..) = read.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..length]);
            }
        });
        let running = Self { terminal: Some(terminal), path, screen, child, folder };
        running.shows("(2 of 4)").await;
        running
    }

    fn screen(&self) -> MutexGuard<'_, vt100::Parser> {
        self.screen.lock().unwrap()
    }

    async fn shows(&self, text: &str) {
        let is_shown = async || self.screen().screen().contents().contains(text);
        eventually(&format!("{text:?} is shown"), TIMEOUT, is_shown).await;
    }

    fn press(&mut self, key: &[u8]) {
        self.terminal.as_mut().unwrap().write_all(key).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the program has ended", TIMEOUT, async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code()
    }

    /// Asserts that the terminal is as it was before the view.
    async fn assert_restored(&self) {
        let is_restored = async || {
            let screen = self.screen();
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        };
        eventually("the screen is restored", TIMEOUT, is_restored).await;
        let modes = tcgetattr(open(&self.path)).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
    }
}

#[tokio::test]
async fn q_stops_the_run_and_the_terminal_is_as_before_with_the_warnings_below_the_view() {
    let mut running = Running::start("stops", &[]).await;
    assert!(running.screen().screen().alternate_screen());
    running.shows("a log line").await;
    running.press(b"q");
    assert_eq!(running.exit_code().await, Some(0));
    running.shows("stopped gracefully").await;
    running.assert_restored().await;
    let screen = running.screen().screen().contents();
    assert!(!screen.contains("a log line") && screen.contains("WARN a warning"), "{screen}");
    let log = std::fs::read_to_string(running.folder.path().join("loadtest.log")).unwrap();
    for line in ["INFO a log line", "WARN a warning", "INFO stopping"] {
        assert!(log.contains(line), "{log}");
    }
}

#[tokio::test]
async fn ctrl_c_is_shown_as_a_stop_and_a_second_one_exits_at_once() {
    let mut running = Running::start("hangs", &[]).await;
    running.press(&[3]);
    running.shows("stopping; q: exit at once").await;
    // Not before the time in which a key that is held down is repeated.
    while running.child.try_wait().unwrap().is_none() {
        running.press(&[3]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(running.exit_code().await, Some(130));
    running.shows("exiting at once").await;
    running.assert_restored().await;
}

#[tokio::test]
async fn a_second_signal_exits_at_once_and_restores_the_terminal() {
    let mut running = Running::start("hangs", &[]).await;
    running.signal(Signal::TERM);
    running.shows("stopping; q: exit at once").await;
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(130));
    running.assert_restored().await;
}

#[tokio::test]
async fn a_panic_of_a_task_is_read_on_the_restored_terminal_and_the_run_goes_on() {
    let mut running = Running::start("panics", &[]).await;
    std::fs::write(running.folder.path().join("panic"), "").unwrap();
    running.shows("a task panics").await;
    running.assert_restored().await;
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    running.shows("stopped gracefully").await;
}

#[tokio::test]
async fn the_view_follows_the_size_of_the_terminal() {
    let running = Running::start("stops", &[]).await;
    running.shows("Lag by partition: 936 records, 0.9 s of orders").await;
    for (columns, rows) in [(60, 20), (200, 60)] {
        *running.screen() = parser(columns, rows);
        tcsetwinsize(running.terminal.as_ref().unwrap(), size(columns, rows)).unwrap();
        let fits = async || {
            let screen = running.screen();
            let lines: Vec<String> = screen.screen().rows(0, columns).collect();
            // The clock is at the right edge of the first line, the events are the last panel.
            lines[0].trim_end().len() + 2 > columns.into() && lines.iter().any(|line| line.contains(" Events "))
        };
        eventually(&format!("{columns} x {rows} is drawn"), TIMEOUT, fits).await;
    }
}

#[tokio::test]
async fn a_terminal_that_goes_away_stops_the_run_gracefully() {
    let mut running = Running::start("stops", &[]).await;
    // The thread that reads has a copy, so the signal is sent as a shell does.
    running.terminal = None;
    running.signal(Signal::HUP);
    assert_eq!(running.exit_code().await, Some(0));
}

#[tokio::test]
async fn no_color_is_respected() {
    let running = Running::start("stops", &[("NO_COLOR", "1")]).await;
    let screen = running.screen();
    let cells = (0..45).flat_map(|row| (0..160).map(move |column| (row, column)));
    let mut colors = cells.filter_map(|(row, column)| Some(screen.screen().cell(row, column)?.fgcolor()));
    assert!(colors.all(|color| color == vt100::Color::Default));
}
