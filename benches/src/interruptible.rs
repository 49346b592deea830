//! Work that ends when nobody waits for it any more: a program that runs to its end, or a blocking call.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::process::Registered;

/// Longer than the producer waits for its last acknowledgements.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// Runs a program until it ends, and returns its exit status and what it wrote to pipes.
///
/// The program has a process group of its own, so that Ctrl-C at the terminal reaches this process alone. When the
/// future is dropped, as on a stop, the group gets one SIGTERM, and the drop waits for the end of the program.
///
/// # Errors
/// When the program can't be started.
pub async fn run_to_end(name: &str, mut command: Command) -> anyhow::Result<Output> {
    let child = Registered::spawn(command.stdin(Stdio::null()).process_group(0));
    let (child, registered) = child.with_context(|| format!("{name} can't be started"))?;
    let group = Pid::from_child(&child);
    let stop = |ended: &Receiver<()>| {
        let _ = kill_process_group(group, Signal::TERM);
        if ended.recv_timeout(STOP_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("{name} does not stop within {STOP_TIMEOUT:?}: it is killed");
            let _ = kill_process_group(group, Signal::KILL);
        }
    };
    let wait = move || {
        let output = child.wait_with_output();
        drop(registered);
        output
    };
    Ok(run_blocking(wait, stop).await??)
}

/// Runs `work` on a thread for blocking work. When the future is dropped, `stop` is called, and waits for the end of
/// `work`: then nothing is received any more.
///
/// # Errors
/// When `work` panics.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    stop: impl Fn(&Receiver<()>),
) -> anyhow::Result<T> {
    let (running, ended) = channel::<()>();
    let _stop_when_dropped = StopWhenDropped { ended, stop };
    let working = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(running);
        result
    });
    Ok(working.await?)
}

struct StopWhenDropped<Stop: Fn(&Receiver<()>)> {
    /// Disconnected when the work has ended.
    ended: Receiver<()>,
    stop: Stop,
}

impl<Stop: Fn(&Receiver<()>)> Drop for StopWhenDropped<Stop> {
    fn drop(&mut self) {
        if self.ended.try_recv() == Err(TryRecvError::Empty) {
            (self.stop)(&self.ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that counts the signals that it gets, and ends on SIGTERM half a second later.
    fn counter(file: &std::path::Path) -> Command {
        let script = format!(
            "trap 'echo INT >> {0}' INT; trap 'echo TERM >> {0}; sleep 0.5; echo ended >> {0}; exit' TERM; \
             echo started >> {0}; while :; do sleep 0.05; done",
            file.display()
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).stdout(Stdio::piped());
        command
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_that_is_no_longer_waited_for_gets_one_sigterm_and_has_ended_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signals");
        let read = || std::fs::read_to_string(&file).unwrap_or_default();
        let started = async {
            while !read().contains("started") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            output = run_to_end("the counter", counter(&file)) => panic!("{output:?}"),
            () = started => {}
        }
        assert_eq!(read(), "started\nTERM\nended\n");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_that_ends_by_itself_returns_its_output() {
        let mut command = Command::new("bash");
        command.args(["-c", "echo out; echo err >&2; exit 3"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = run_to_end("bash", command).await.unwrap();
        assert_eq!(
            (output.status.code(), &output.stdout[..], &output.stderr[..]),
            (Some(3), &b"out\n"[..], &b"err\n"[..])
        );
    }
}
