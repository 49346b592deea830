//! The machine that this process runs on.

use std::{env::consts, fs, path::PathBuf, thread};

use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Platform {
    /// Such as `linux x86_64`.
    target: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    system: Option<String>,
    kernel: Option<String>,
    cpus: Option<usize>,
    executable: Option<PathBuf>,
}

impl Platform {
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let system = read("/etc/os-release").and_then(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(name.trim_matches('"').to_owned())
        });
        Self {
            target: format!("{} {}", consts::OS, consts::ARCH),
            system,
            kernel: read("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
            cpus: thread::available_parallelism().ok().map(usize::from),
            executable: std::env::current_exe().ok(),
        }
    }

    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let system = [Some(self.target.clone()), self.system.clone(), self.kernel.clone()];
        let cpus = self.cpus.map(|cpus| format!("{cpus} CPUs"));
        let executable = self.executable.as_ref().map(|path| path.display().to_string());
        let platform = system.into_iter().chain([cpus]).flatten().collect::<Vec<_>>().join(", ");
        [("platform", Some(platform)), ("executable", executable)]
            .into_iter()
            .filter_map(|(what, value)| Some((what, value?)))
            .collect()
    }
}
