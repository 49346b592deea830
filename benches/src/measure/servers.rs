//! The processes of the servers of a stack, by the files that `deploy/stack` writes when it starts one.

use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::{model::ProcessKind, processes::WatchedProcess};
use crate::fault::Target;

/// The servers of a stack.
const SERVERS: [Target; 5] = [Target::Broker(1), Target::Broker(2), Target::Broker(3), Target::Redis, Target::Postgres];

/// Folder of the stack `name`, which `deploy/stack` at `script` started.
pub fn stack_folder(script: &Path, name: &str) -> PathBuf {
    let folders = std::env::var_os("ORDERFLOW_STATE").map(PathBuf::from);
    let beside = || script.parent().unwrap_or(Path::new(".")).join("../.stack");
    folders.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(beside).join(name)
}

/// The servers of the stack in `folder`, with their process ids.
pub fn servers(folder: &Path) -> Vec<WatchedProcess> {
    let watched = |server: Target| WatchedProcess {
        name: server.to_string(),
        kind: match server {
            Target::Redis => ProcessKind::Redis,
            Target::Postgres => ProcessKind::Postgres,
            _ => ProcessKind::Broker,
        },
        pid: running(&folder.join(format!("run/{server}.pid"))),
    };
    SERVERS.map(watched).into()
}

/// The id in a file `ID START-TIME BOOT`, when that process runs. The system uses ids again, hence the start time.
fn running(file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut words = text.split_whitespace();
    let (pid, started): (i32, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let stat = Process::new(pid).ok()?.stat().ok()?;
    (stat.starttime == started && !matches!(stat.state, 'Z' | 'X')).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_runs_when_the_process_of_its_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let stat = Process::myself().unwrap().stat().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let write = |name: &str, started: u64| {
            let text = format!("{} {started} a-boot\n", stat.pid);
            std::fs::write(folder.path().join("run").join(name), text).unwrap();
        };
        write("kafka-2.pid", stat.starttime);
        write("redis.pid", stat.starttime + 1);
        let running: Vec<String> =
            servers(folder.path()).into_iter().filter(|it| it.pid == Some(stat.pid)).map(|it| it.name).collect();
        assert_eq!(running, ["kafka-2"]);
    }
}
