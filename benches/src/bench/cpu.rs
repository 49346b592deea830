//! CPU time during a measurement: of the programs that are compared, of the brokers, and of PostgreSQL.

use procfs::process::Process;
use serde::Serialize;

use crate::{
    measure::{ProcessKind, cpu_seconds, cpu_seconds_with_children, servers, stack_folder},
    settings::BenchStackSettings,
};

/// CPU seconds, or CPU seconds per something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CpuTime {
    /// Of the processes of a contestant together.
    pub clients: f64,
    /// Of all brokers; none unless all of them are processes of this machine.
    pub brokers: Option<f64>,
    /// Of all processes of PostgreSQL; none unless it runs on this machine.
    pub postgres: Option<f64>,
}

impl CpuTime {
    /// The time from `earlier` on, divided by `units`, such as millions of records.
    pub fn since(self, earlier: Self, units: f64) -> Self {
        let since = |now: Option<f64>, earlier: Option<f64>| now.zip(earlier).map(|(now, then)| (now - then) / units);
        Self {
            clients: (self.clients - earlier.clients) / units,
            brokers: since(self.brokers, earlier.brokers),
            postgres: since(self.postgres, earlier.postgres),
        }
    }
}

/// Reads the CPU time of processes.
pub struct CpuMeter {
    clients: Vec<Client>,
    brokers: Vec<Process>,
    postgres: Option<Process>,
}

/// A process that may end between two reads; it then has the time of the last one.
struct Client {
    process: Process,
    seconds: f64,
}

impl CpuMeter {
    /// For the processes `clients` of a contestant, and the servers of a stack.
    ///
    /// # Errors
    /// When a client has ended.
    pub fn new(clients: impl IntoIterator<Item = u32>, stack: &BenchStackSettings) -> anyhow::Result<Self> {
        let client = |pid: u32| Ok(Client { process: Process::new(pid as i32)?, seconds: 0.0 });
        let servers = servers(&stack_folder(&stack.stack_script, &stack.stack));
        let processes = |kind: ProcessKind| -> Option<Vec<Process>> {
            let of_kind = servers.iter().filter(|server| server.kind == kind);
            of_kind.map(|server| Process::new(server.pid?).ok()).collect()
        };
        Ok(Self {
            clients: clients.into_iter().map(client).collect::<anyhow::Result<_>>()?,
            brokers: processes(ProcessKind::Broker).unwrap_or_default(),
            postgres: processes(ProcessKind::Postgres).and_then(|mut postgres| postgres.pop()),
        })
    }

    /// The time since the start of each process.
    pub fn read(&mut self) -> CpuTime {
        for client in &mut self.clients {
            client.seconds = cpu_seconds(&client.process).unwrap_or(client.seconds);
        }
        let brokers: Option<f64> = self.brokers.iter().map(|broker| cpu_seconds(broker).ok()).sum();
        CpuTime {
            clients: self.clients.iter().map(|client| client.seconds).sum(),
            brokers: brokers.filter(|_| !self.brokers.is_empty()),
            postgres: self.postgres.as_ref().and_then(|postgres| cpu_seconds_with_children(postgres).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_two_readings_is_divided_and_unknown_when_one_is() {
        let first = CpuTime { clients: 3.0, brokers: Some(10.0), postgres: None };
        let last = CpuTime { clients: 3.5, brokers: Some(12.0), postgres: Some(1.0) };
        let expected = CpuTime { clients: 1.25, brokers: Some(5.0), postgres: None };
        assert_eq!(last.since(first, 0.4), expected);
    }

    #[test]
    fn a_client_that_has_ended_keeps_its_time_and_a_stack_elsewhere_has_none() {
        let nowhere = BenchStackSettings { stack_script: "/nowhere/stack".into(), stack: "none".to_owned() };
        let script = "for ((i = 0; i < 300000; i++)); do :; done; read -r";
        let mut busy = std::process::Command::new("bash");
        let mut busy = busy.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut meter = CpuMeter::new([busy.id()], &nowhere).unwrap();
        let mut used = meter.read();
        while used.clients < 0.05 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            used = meter.read();
        }
        assert_eq!((used.brokers, used.postgres), (None, None));
        drop(busy.stdin.take());
        busy.wait().unwrap();
        assert!(meter.read().clients >= used.clients);
    }
}
