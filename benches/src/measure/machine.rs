//! The machine of a run.

use procfs::{CpuInfo, Current, Meminfo};

use crate::report::model::Machine;

/// What the system says about the machine; `unknown` or 0 where it says nothing.
pub fn machine() -> Machine {
    let unknown = || "unknown".to_owned();
    let cpu = CpuInfo::current().ok().and_then(|info| info.model_name(0).map(str::to_owned));
    Machine {
        cpu: cpu.unwrap_or_else(unknown),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: Meminfo::current().map_or(0, |memory| memory.mem_total),
        system: system().unwrap_or_else(unknown),
    }
}

/// Distribution and kernel, such as `Debian GNU/Linux 12 (bookworm), Linux 6.1.0`.
fn system() -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let kernel = format!("Linux {}", kernel.trim());
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Some(name.map_or(kernel.clone(), |name| format!("{}, {kernel}", name.trim_matches('"'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let machine = machine();
        assert!(machine.cores > 0 && machine.memory_bytes > 100_000_000, "{machine:?}");
        assert!(!machine.cpu.is_empty() && machine.system.contains("Linux "), "{machine:?}");
    }
}
