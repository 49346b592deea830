//! The compiler of the brokers' JVM, which decides how fast they become.

use procfs::process::Process;

use crate::{
    measure::{ProcessKind, servers, stack_folder},
    settings::BenchStackSettings,
};

/// `deploy/run` starts brokers without the optimising compiler, and with `--keep` they go on running.
pub fn warn_of_quick_compiler(stack: &BenchStackSettings) {
    let servers = servers(&stack_folder(&stack.stack_script, &stack.stack));
    let mut brokers = servers.iter().filter(|server| server.kind == ProcessKind::Broker).filter_map(|it| it.pid);
    if brokers.any(is_quick) {
        tracing::warn!(
            "a broker runs with -XX:TieredStopAtLevel=1, a third below its peak: deploy/stack down, then up without it"
        );
    }
}

fn is_quick(pid: i32) -> bool {
    let arguments = Process::new(pid).and_then(|process| process.cmdline()).unwrap_or_default();
    arguments.iter().any(|argument| argument == "-XX:TieredStopAtLevel=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_found_in_the_command_line_of_a_broker() {
        let run = |argument: &str| {
            let mut bash = std::process::Command::new("bash");
            bash.args(["-c", "read -r", argument]).stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        let (mut quick, mut other) = (run("-XX:TieredStopAtLevel=1"), run("-XX:TieredStopAtLevel=4"));
        let started = |pid: u32| Process::new(pid as i32).unwrap().cmdline().is_ok_and(|line| line.len() > 3);
        while !started(quick.id()) || !started(other.id()) {
            std::thread::yield_now();
        }
        assert!(is_quick(quick.id() as i32) && !is_quick(other.id() as i32));
        for process in [&mut quick, &mut other] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
