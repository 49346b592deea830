//! CPU, memory and open files of processes, from `/proc`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use procfs::{ProcResult, process::Process};

use super::model::{ProcessKind, ProcessSample};

/// How often the proportional memory (PSS) of PostgreSQL's processes is read. The kernel walks through all their pages.
const PSS_INTERVAL: Duration = Duration::from_secs(10);

/// A process to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedProcess {
    pub name: String,
    pub kind: ProcessKind,
    /// `None` while it does not run.
    pub pid: Option<i32>,
}

impl WatchedProcess {
    /// This process.
    pub fn this() -> Self {
        Self { name: "loadtest".to_owned(), kind: ProcessKind::Loadtest, pid: std::process::id().try_into().ok() }
    }
}

/// Measures processes by their names. A name may get another process later: a program that was started again.
#[derive(Default)]
pub struct ProcessMeter {
    processes: BTreeMap<String, MeteredProcess>,
}

struct MeteredProcess {
    process: Process,
    started: u64,
    has_children: bool,
    cpu_seconds: f64,
    read: Instant,
    memory: Memory,
}

/// Memory as it was read last.
#[derive(Clone, Copy, Default)]
struct Memory {
    bytes: u64,
    /// When the proportional memory was read; none when it can't be, or was not yet.
    pss_read: Option<Instant>,
}

impl ProcessMeter {
    /// A sample of each process. CPU is the average since the last call, or 0 in the first one. A process that has
    /// ended, or can't be read, is not running.
    pub fn read(&mut self, watched: &[WatchedProcess]) -> Vec<ProcessSample> {
        watched.iter().map(|process| self.read_one(process)).collect()
    }

    fn read_one(&mut self, watched: &WatchedProcess) -> ProcessSample {
        let mut sample = ProcessSample {
            name: watched.name.clone(),
            kind: watched.kind,
            is_running: false,
            cpu_cores: 0.0,
            memory_bytes: 0,
            open_files: None,
        };
        if watched.pid.is_none_or(|pid| self.fill(watched, pid, &mut sample).is_err()) {
            self.processes.remove(&watched.name);
        }
        sample
    }

    fn fill(&mut self, watched: &WatchedProcess, pid: i32, sample: &mut ProcessSample) -> ProcResult<()> {
        let known = self.processes.get_mut(&watched.name).filter(|known| known.process.pid == pid && known.is_same());
        let metered = match known {
            Some(metered) => {
                sample.cpu_cores = metered.cpu_since_last()?;
                metered
            }
            None => {
                let metered = MeteredProcess::new(pid, watched.kind == ProcessKind::Postgres)?;
                self.processes.entry(watched.name.clone()).insert_entry(metered).into_mut()
            }
        };
        sample.memory_bytes = metered.memory()?;
        sample.open_files = metered.process.fd_count().ok().map(|count| count as u64);
        sample.is_running = true;
        Ok(())
    }
}

impl MeteredProcess {
    fn new(pid: i32, has_children: bool) -> ProcResult<Self> {
        let process = Process::new(pid)?;
        let started = process.stat()?.starttime;
        let mut new =
            Self { process, started, has_children, cpu_seconds: 0.0, read: Instant::now(), memory: Memory::default() };
        new.cpu_seconds = new.cpu()?;
        Ok(new)
    }

    /// Whether it is the process that was read before, and not another one with its id.
    fn is_same(&self) -> bool {
        self.process.stat().is_ok_and(|stat| stat.starttime == self.started)
    }

    fn cpu(&self) -> ProcResult<f64> {
        if self.has_children { cpu_seconds_with_children(&self.process) } else { cpu_seconds(&self.process) }
    }

    fn cpu_since_last(&mut self) -> ProcResult<f64> {
        let (now, cpu) = (Instant::now(), self.cpu()?);
        let cores = (cpu - self.cpu_seconds).max(0.0) / now.duration_since(self.read).as_secs_f64();
        self.read = now;
        // A child that ends between two reads is counted twice, or not at all, until the next second.
        self.cpu_seconds = self.cpu_seconds.max(cpu);
        Ok(cores)
    }

    /// Resident memory. With children, whose pages are mostly shared: the proportional memory of all, or what each has
    /// for itself where that can't be read.
    fn memory(&mut self) -> ProcResult<u64> {
        let own = self.process.statm()?;
        let page = procfs::page_size();
        if !self.has_children {
            return Ok(own.resident * page);
        }
        if self.memory.pss_read.is_some_and(|read| read.elapsed() < PSS_INTERVAL) {
            return Ok(self.memory.bytes);
        }
        let children = children(&self.process);
        let pss = std::iter::once(&self.process).chain(&children).map(proportional_memory).sum::<Option<u64>>();
        self.memory = match pss {
            Some(bytes) => Memory { bytes, pss_read: Some(Instant::now()) },
            None => {
                let private = children.iter().filter_map(|child| child.statm().ok());
                let private: u64 = private.map(|memory| memory.resident.saturating_sub(memory.shared)).sum();
                Memory { bytes: (own.resident + private) * page, pss_read: None }
            }
        };
        Ok(self.memory.bytes)
    }
}

/// CPU time of a process since its start, in seconds.
///
/// # Errors
/// When the process has ended.
pub fn cpu_seconds(process: &Process) -> ProcResult<f64> {
    let stat = process.stat()?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

/// The same with all its children. The system adds the CPU time of children that have ended to that of their parent.
///
/// # Errors
/// When the process has ended.
pub fn cpu_seconds_with_children(process: &Process) -> ProcResult<f64> {
    let running: f64 = children(process).iter().filter_map(|child| cpu_seconds(child).ok()).sum();
    let stat = process.stat()?;
    let ended = (stat.cutime + stat.cstime).max(0) as f64 / procfs::ticks_per_second() as f64;
    Ok(cpu_seconds(process)? + ended + running)
}

fn children(process: &Process) -> Vec<Process> {
    let children = process.task_main_thread().and_then(|task| task.children()).unwrap_or_default();
    children.into_iter().filter_map(|pid| Process::new(pid.try_into().ok()?).ok()).collect()
}

/// PSS in bytes; 0 for a process that has just ended, `None` without the permission.
fn proportional_memory(process: &Process) -> Option<u64> {
    match process.smaps_rollup() {
        Ok(rollup) => Some(rollup.memory_map_rollup.iter().filter_map(|map| map.extension.map.get("Pss")).sum()),
        Err(_) if !process.is_alive() => Some(0),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Child, Command},
    };

    use rustix::process::{Pid, Signal, kill_process_group};

    use super::*;

    /// A process with a group of its own, so that its children end with it.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }

    fn shell(script: &str) -> Running {
        Running(Command::new("bash").args(["-c", script]).process_group(0).spawn().unwrap())
    }

    fn watched(kind: ProcessKind, pid: Option<i32>) -> [WatchedProcess; 1] {
        [WatchedProcess { name: "it".to_owned(), kind, pid }]
    }

    fn pid(process: &Running) -> Option<i32> {
        process.0.id().try_into().ok()
    }

    #[test]
    fn the_cpu_and_memory_of_a_process_are_measured_and_of_postgresql_also_those_of_its_children() {
        let busy = shell("while :; do :; done & while :; do :; done & wait");
        let mut meter = ProcessMeter::default();
        let [parent, tree] = [ProcessKind::Consumer, ProcessKind::Postgres].map(|kind| {
            let mut cores = 0.0;
            // The first figure of a process is 0; the two children need some time on a busy machine.
            for _ in 0..100 {
                let sample = meter.read(&watched(kind, pid(&busy))).remove(0);
                assert!(sample.is_running, "{sample:?}");
                cores += sample.cpu_cores;
                if cores > 0.5 {
                    assert!(sample.memory_bytes > 100_000, "{sample:?}");
                    assert!(sample.open_files.is_some_and(|files| (3..100).contains(&files)), "{sample:?}");
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            meter = ProcessMeter::default();
            cores
        });
        assert!(parent < 0.5 && tree > 0.5, "{parent}, {tree}");
    }

    #[test]
    fn a_process_that_ended_is_not_running_and_another_one_with_its_name_begins_anew() {
        let mut meter = ProcessMeter::default();
        let first = shell("while :; do :; done");
        let first_pid = pid(&first);
        assert!(meter.read(&watched(ProcessKind::Consumer, first_pid))[0].is_running);
        drop(first);
        let ended = meter.read(&watched(ProcessKind::Consumer, first_pid)).remove(0);
        assert!(!ended.is_running && ended.memory_bytes == 0, "{ended:?}");
        assert!(!meter.read(&watched(ProcessKind::Consumer, None))[0].is_running);
        let second = shell("sleep 60");
        let sample = meter.read(&watched(ProcessKind::Consumer, pid(&second))).remove(0);
        assert!(sample.is_running && sample.cpu_cores == 0.0, "{sample:?}");
    }
}
