use std::{
    process::Stdio,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

use super::token::Token;

/// Characters of the command's last line on stderr that an error shows.
const MAX_MESSAGE: usize = 200;

/// A command whose output is a password.
#[derive(Clone, Debug)]
pub struct PasswordCommand {
    command: SecretString,
    lifetime: Duration,
    account: String,
}

/// The processes of a command. They are killed unless it has ended.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _killed = kill_process_group(group, Signal::KILL);
        }
    }
}

impl PasswordCommand {
    /// `command` is for the shell. The password counts as valid for `lifetime` from the start of the command on. It is
    /// that of `account`: the same command may print another one in another environment.
    pub fn new(command: SecretString, lifetime: Duration, account: String) -> Self {
        Self { command, lifetime, account }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// When it fails, or prints nothing or more than a line. The error shows the end of what it wrote to stderr.
    pub(super) async fn token(&self) -> anyhow::Result<Token> {
        let issued_at = SystemTime::now();
        let mut command = Command::new("sh");
        command.args(["-c", self.command.expose_secret()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C is for us: an order that needs this password may still be stored.
        let child = command.process_group(0).spawn().context("the shell can't be started")?;
        let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let output = child.wait_with_output().await.context("its output can't be read")?;
        group.0 = None;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last_line: String =
                errors.trim().lines().last().unwrap_or_default().chars().take(MAX_MESSAGE).collect();
            bail!("{}: {last_line}", output.status);
        }
        let password = String::from_utf8(output.stdout).ok().context("its output is not UTF-8")?;
        let password = password.trim_end_matches(['\r', '\n']);
        ensure!(!password.is_empty(), "it printed no password");
        ensure!(!password.contains('\n'), "it printed several lines: print the password alone");
        Ok(Token::new(password.into(), issued_at, self.lifetime))
    }

    /// Identifies the password: the same text makes the same password.
    pub(super) fn identity(&self) -> String {
        format!("command {} {}", self.account, self.command.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_output_of_a_command_is_the_password_and_its_errors_are_shown() {
        let run = async |command: &str| {
            PasswordCommand::new(command.into(), Duration::from_secs(60), String::new()).token().await
        };
        let token = run("echo ' p@ss word '").await.unwrap();
        assert_eq!(token.secret().expose_secret(), " p@ss word ");
        for (command, expected) in [
            ("echo hunter2; echo first >&2; echo 'no such role' >&2; exit 3", "exit status: 3: no such role"),
            ("true", "no password"),
            ("echo hunter2; echo hunter2", "several lines"),
            ("printf '\\377'", "not UTF-8"),
            ("no-such-program-here hunter2", "not found"),
        ] {
            let message = format!("{:#}", run(command).await.unwrap_err());
            assert!(message.contains(expected) && !message.contains("hunter2"), "{command}: {message}");
        }
    }
}
