//! Child processes: starts the programs of orderflow, watches them and stops them. A [`Program`] is stopped when it is
//! dropped. [`kill_all`] is for a process that exits at once.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{Read, Seek, SeekFrom},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use shared::{kafka::KafkaSettings, telemetry::LOG_FORMAT_VARIABLE};

/// Longer than a consumer's own stop deadline.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const LOG_TAIL_LINES: usize = 15;

/// A running program. Dropping it requests its stop and waits for the end.
pub struct Program {
    name: String,
    child: Option<(Child, Registered)>,
    /// Of a program that has ended by itself.
    status: Option<ExitStatus>,
    log: PathBuf,
    /// Size of the log at the start of the program.
    log_start: u64,
    /// Whether SIGTERM was sent. For a program of orderflow, a second one means to exit at once.
    stop_requested: AtomicBool,
}

impl Program {
    /// Starts `binary` (the name of a program of this workspace) in the background, with its output in `logs/NAME.log`.
    /// The program gets its own process group: Ctrl-C on the terminal reaches this process only, which stops the
    /// program.
    ///
    /// # Errors
    /// When the program can't be started.
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

    /// Starts any command in the same way.
    ///
    /// # Errors
    /// When the command can't be started.
    pub fn spawn(name: &str, command: Command, logs: &Path) -> anyhow::Result<Self> {
        let log = log_file(name, logs)?;
        File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        Self::spawn_again(name, command, logs)
    }

    /// Starts any command. Its output is appended to the log of an earlier start.
    ///
    /// # Errors
    /// When the command can't be started.
    pub fn spawn_again(name: &str, mut command: Command, logs: &Path) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = log_file(name, logs)?;
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("{} can't be written", log.display()))?;
        let log_start = output.metadata()?.len();
        command.stdin(Stdio::null()).process_group(0).stdout(output.try_clone()?).stderr(output);
        let child = Registered::spawn(&mut command).with_context(|| format!("{name} can't be started"))?;
        Ok(Self {
            name: name.to_owned(),
            child: Some(child),
            status: None,
            log,
            log_start,
            stop_requested: AtomicBool::new(false),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, |(child, _)| child.id())
    }

    /// The peak of the program's resident memory, in bytes.
    ///
    /// # Errors
    /// When the program has ended, or the system does not report the peak.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join("status"))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak.map(|kib: u64| kib * 1024).context("the system does not report the peak memory of a process")
    }

    /// Whether the program still runs.
    ///
    /// # Errors
    /// When it has ended; the error has the last lines of its log.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended unexpectedly, {status}:\n{}", self.name, self.log_tail()),
        }
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// The log since the start of the program: stdout and stderr.
    pub fn log(&self) -> String {
        let read = || {
            let (mut file, mut text) = (File::open(&self.log)?, Vec::new());
            file.seek(SeekFrom::Start(self.log_start))?;
            file.read_to_end(&mut text)?;
            std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let (child, _) = self.child.as_ref().with_context(|| format!("{} has ended", self.name))?;
        let pid = Pid::from_raw(child.id() as i32).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("{} can't be signalled", self.name))
    }

    /// Sends SIGTERM, once, and does not wait; [`Self::wait`] and [`Self::wait_for_success`] do.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn request_stop(&self) -> anyhow::Result<()> {
        match self.stop_requested.swap(true, Ordering::Relaxed) {
            true => Ok(()),
            false => self.signal(Signal::TERM),
        }
    }

    /// The exit status of a program that has ended.
    ///
    /// # Errors
    /// When it was killed by this, or the system does not know it.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        let (child, _) = self.child.as_mut().with_context(|| format!("{} has ended", self.name))?;
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
            self.status = status;
        }
        Ok(status)
    }

    /// Waits for the end. After `timeout` the program is killed.
    ///
    /// # Errors
    /// When the program had to be killed.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                self.end_now()?;
                bail!("{} did not stop within {timeout:?} and was killed:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM and waits for exit code 0.
    ///
    /// # Errors
    /// When the program does not stop in time, or exits with another code.
    pub fn stop(self) -> anyhow::Result<()> {
        self.request_stop()?;
        self.wait_for_success()
    }

    /// Waits for exit code 0, after [`Self::request_stop`] or for a program that ends by itself.
    ///
    /// # Errors
    /// When the program does not stop in time, or exits with another code.
    pub fn wait_for_success(mut self) -> anyhow::Result<()> {
        let status = self.wait(STOP_TIMEOUT)?;
        if status.success() { Ok(()) } else { bail!("{} failed, {status}:\n{}", self.name, self.log_tail()) }
    }

    /// Sends SIGKILL.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.end_now()
    }

    fn end_now(&mut self) -> anyhow::Result<()> {
        let (mut child, _registered) = self.child.take().with_context(|| format!("{} has ended", self.name))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Gives up control of the program: it continues after this process has ended.
    pub fn leave_running(mut self) {
        self.child = None;
    }
}

/// The ids of the programs that run and were not waited for.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process with a group of its own that [`kill_all`] kills, until this is dropped.
pub struct Registered(u32);

impl Registered {
    pub fn spawn(command: &mut Command) -> std::io::Result<(Child, Self)> {
        // Locked until the child is registered: `kill_all` must not miss it.
        let mut running = running();
        let child = command.spawn()?;
        running.insert(child.id());
        let registered = Self(child.id());
        Ok((child, registered))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}

/// Sends SIGKILL to the process group of each program that was started and still runs. For a process that exits
/// without dropping its programs.
pub fn kill_all() {
    for pid in running().iter().filter_map(|pid| Pid::from_raw(*pid as i32)) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn log_file(name: &str, logs: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(logs).with_context(|| format!("the folder {} can't be created", logs.display()))?;
    Ok(logs.join(format!("{name}.log")))
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.is_some() && self.request_stop().is_ok() {
            let _ = self.wait(STOP_TIMEOUT);
        }
    }
}

/// A command for a program of this workspace. Its binary is in the folder of this process's own binary, or (for a test)
/// in the parent folder. It logs as text: people read it, in files and in messages.
///
/// # Errors
/// When there is no such binary.
pub fn command(binary: &str) -> anyhow::Result<Command> {
    let this = std::env::current_exe().context("the path of this program is not known")?;
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join(binary)).find(|path| path.is_file());
    let path =
        found.with_context(|| format!("{binary} is not in the folder of {}: build the workspace", this.display()))?;
    let mut command = Command::new(path);
    command.env(LOG_FORMAT_VARIABLE, "text");
    Ok(command)
}

/// `--kafka-config` as it was given, for a program that is started. These settings have no environment variable.
pub fn kafka_config_arguments(kafka: &KafkaSettings) -> Vec<String> {
    kafka.extra.iter().flat_map(|(key, value)| ["--kafka-config".to_owned(), format!("{key}={value}")]).collect()
}

/// The addresses that [`free_address`] has returned. Until the program that is started binds its address, nothing else
/// tells that it is taken.
static RETURNED: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

/// A free port of this machine, another one at each call. It is outside the range of the system's ephemeral ports, so
/// that no outgoing connection takes it before the program that is started binds it.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let mut random = rand::rng();
    let mut returned = RETURNED.lock().unwrap_or_else(PoisonError::into_inner);
    (0..1_000)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, random.random_range(20_000..30_000))))
        .find(|address| TcpListener::bind(address).is_ok() && returned.insert(*address))
        .context("no port is free between 20000 and 30000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_returned_twice_although_nothing_has_bound_it_yet() {
        let addresses: BTreeSet<SocketAddr> = (0..1_000).map(|_| free_address().unwrap()).collect();
        assert_eq!(addresses.len(), 1_000);
    }
}
