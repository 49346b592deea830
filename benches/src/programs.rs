//! Starts the programs of orderflow and ends them again; whatever this process starts, it ends.

use std::{
    ffi::OsStr,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than a consumer's own stop deadline.
const STOP: Duration = Duration::from_secs(30);
const LOG_TAIL_LINES: usize = 15;

/// A running program, ended with SIGTERM when it is dropped.
pub struct Program {
    name: String,
    child: Option<Child>,
    log: PathBuf,
}

impl Program {
    /// Starts `binary` (a name: one of ours, beside this very binary) in the background, with its output in
    /// `logs/NAME.log`. It is in a process group of its own, so that a Ctrl-C on the terminal reaches it through us alone.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        binary: &str,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = command(binary)?;
        command.args(arguments).envs(environment.iter().cloned());
        Self::spawn(name, command, logs)
    }

    /// Starts any program the same way.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(name: &str, mut command: Command, logs: &Path) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        std::fs::create_dir_all(logs).with_context(|| format!("no logs can be kept in {}", logs.display()))?;
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        command.stdin(Stdio::null()).process_group(0).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        Ok(Self { name: name.to_owned(), child: Some(child), log })
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The most memory that it has had resident so far, in bytes.
    ///
    /// # Errors
    /// When it has ended, or the system does not tell.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join("status"))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak.map(|kib: u64| kib * 1024).context("the system does not tell a process' peak memory")
    }

    /// An error with the end of its log, when it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            None => Ok(()),
            Some(status) => bail!("{} ended early, {status}:\n{}", self.name, self.log_tail()),
        }
    }

    /// The last lines that it printed.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// All that it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("it has ended")?;
        let pid = Pid::from_raw(child.id() as i32).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("{} can't be signalled", self.name))
    }

    /// Asks it to stop; [`Self::wait`] says how that went.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end; after `deadline` it is killed.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn wait(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let child = self.child.as_mut().context("it has ended")?;
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            if Instant::now() >= until {
                child.kill()?;
                child.wait()?;
                self.child = None;
                bail!("{} did not stop within {deadline:?} and was killed:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it with SIGTERM and expects success.
    ///
    /// # Errors
    /// When it does not end in time, or not well.
    pub fn stop(self) -> anyhow::Result<()> {
        self.ask_to_stop()?;
        self.finish()
    }

    /// Waits for the end that it was asked for, and expects success.
    ///
    /// # Errors
    /// When it does not end in time, or not well.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let status = self.wait(STOP)?;
        if status.success() { Ok(()) } else { bail!("{} ended badly, {status}:\n{}", self.name, self.log_tail()) }
    }

    /// Kills it on the spot.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn kill(mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("it has ended")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Leaves it running when this process ends.
    pub fn leave_running(mut self) {
        self.child = None;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.is_some() && self.ask_to_stop().is_ok() {
            let _ = self.wait(STOP);
        }
    }
}

/// A command for one of our programs, which stands beside this very binary (or one folder up, for a test's).
///
/// # Errors
/// When it isn't there.
pub fn command(binary: &str) -> anyhow::Result<Command> {
    let this = std::env::current_exe().context("this program does not know where it is")?;
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join(binary)).find(|path| path.is_file());
    let path =
        found.with_context(|| format!("{binary} is not beside {}: build the whole workspace", this.display()))?;
    Ok(Command::new(path))
}

/// An address on this machine that nothing listens at, outside the range from which the system takes ports for outgoing
/// connections, so that it stays free until it is used.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let mut random = rand::rng();
    (0..1_000)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, random.random_range(20_000..30_000))))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no port is free between 20000 and 30000")
}
