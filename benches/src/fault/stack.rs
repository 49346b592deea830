//! The servers of a run, through the script `deploy/stack`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use super::model::Target;
use crate::interruptible::run_to_end;

/// A variable of the environment: its value, or `None` for one that must not be set.
pub type Variable = (String, Option<String>);

/// A stack that may be broken.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Path of the script.
    pub script: PathBuf,
    pub name: String,
}

/// A service of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub target: Target,
    pub state: ServiceState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    Running,
    Paused,
    /// Never started, or stopped by the script.
    Stopped,
    /// It has ended otherwise.
    Dead,
}

impl Stack {
    /// A command of the script that is not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.args(["--name", &self.name]).args(arguments);
        command
    }

    /// Runs a command of the script to its end and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the error has what it wrote to stderr.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (success, output) = self.output(arguments).await?;
        ensure!(success, "{} failed: {}", self.shown(arguments), output.trim());
        Ok(output)
    }

    /// The settings of the programs, as `env` prints them: a value, or `None` for one that must not be set. `option` may
    /// be `--proxied`.
    ///
    /// # Errors
    /// When the stack does not exist.
    pub async fn environment(&self, option: Option<&str>) -> anyhow::Result<Vec<Variable>> {
        let arguments: Vec<&str> = ["env"].into_iter().chain(option).collect();
        Ok(self.run(&arguments).await?.lines().filter_map(variable).collect())
    }

    /// All services. It is empty when the stack does not exist.
    ///
    /// # Errors
    /// When the script can't be run.
    pub async fn services(&self) -> anyhow::Result<Vec<Service>> {
        // The exit status tells whether all run.
        let (_, output) = self.output(&["status"]).await?;
        Ok(output.lines().filter_map(parse_service).collect())
    }

    /// stdout of a command that succeeds, stderr of one that fails and prints nothing.
    async fn output(&self, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = run_to_end(&self.shown(arguments), command).await?;
        let has_failed = !output.status.success();
        let errors = if has_failed { &output.stderr[..] } else { &[] };
        let text = [&output.stdout[..], errors].concat();
        Ok((!has_failed, String::from_utf8(text).context("the output of the stack's script is not UTF-8")?))
    }

    fn shown(&self, arguments: &[&str]) -> String {
        format!("{} --name {} {}", self.script.display(), self.name, arguments.join(" "))
    }
}

/// A line of `deploy/stack env`: `export NAME=VALUE` or `unset NAME`.
fn variable(line: &str) -> Option<Variable> {
    if let Some(name) = line.strip_prefix("unset ") {
        return Some((name.to_owned(), None));
    }
    let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
    Some((name.to_owned(), Some(value.to_owned())))
}

/// A row of the table of `status`.
fn parse_service(line: &str) -> Option<Service> {
    let mut columns = line.split_whitespace();
    let target = match columns.next()? {
        "redis" => Target::Redis,
        "postgres" => Target::Postgres,
        name => Target::Broker(name.strip_prefix("kafka-")?.parse().ok()?),
    };
    let state = match columns.next()? {
        "running" => ServiceState::Running,
        "paused" => ServiceState::Paused,
        "stopped" => ServiceState::Stopped,
        "dead" => ServiceState::Dead,
        _ => return None,
    };
    Some(Service { target, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_status_has_a_row_for_each_service() {
        let table = "stack main in /x\n  SERVICE   STATE         PID   PORT    MEMORY\n\
                     \x20 kafka-1   running        12  19092    400 MB\n\
                     \x20 kafka-2   dead            -  19093         -\n\
                     \x20 redis     paused         13  16379      8 MB\n\
                     \x20 postgres  stopped         -  15432         -\n";
        let services: Vec<Service> = table.lines().filter_map(parse_service).collect();
        let service = |target, state| Service { target, state };
        assert_eq!(
            services,
            [
                service(Target::Broker(1), ServiceState::Running),
                service(Target::Broker(2), ServiceState::Dead),
                service(Target::Redis, ServiceState::Paused),
                service(Target::Postgres, ServiceState::Stopped),
            ]
        );
    }

    #[test]
    fn the_environment_of_a_stack_sets_some_variables_and_removes_others() {
        let text = |value: &str| value.to_owned();
        assert_eq!(variable("export A=b=c"), Some((text("A"), Some(text("b=c")))));
        assert_eq!(variable("export D="), Some((text("D"), Some(String::new()))));
        assert_eq!(variable("unset PGHOST"), Some((text("PGHOST"), None)));
        assert_eq!(variable("# comment"), None);
    }

    #[test]
    fn each_line_of_the_environment_is_a_variable() {
        let printed = "unset PGHOST\nexport KAFKA_BROKERS=127.0.0.1:1,127.0.0.1:2\nexport DATABASE_URL=\nother\n";
        let variables: Vec<Variable> = printed.lines().filter_map(variable).collect();
        let expected =
            [("PGHOST", None), ("KAFKA_BROKERS", Some("127.0.0.1:1,127.0.0.1:2")), ("DATABASE_URL", Some(""))];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_command_is_an_error_with_what_it_says() {
        let stack = Stack { script: concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack").into(), name: "x".into() };
        let error = stack.run(&["kill", "redis"]).await.unwrap_err().to_string();
        assert!(error.contains("--name x kill redis failed") && error.contains("stack 'x' does not exist"), "{error}");
    }
}
