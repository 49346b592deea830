//! Confirmation before a command destroys rows: a user types two codes, a script passes the name of the database. On
//! another machine both need a flag as well.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use rand::RngExt;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use crate::{database::DatabaseSettings, program::WrongUsage};

/// Characters of a code. 0, 1, I, L and O are left out because they look alike.
const CODE_CHARACTERS: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 4;
/// Interval of the checks for a stop signal while an answer is awaited.
const STOP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The flags by which a command that destroys is confirmed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct YesDestroy {
    /// Confirm by the name of the database instead of at the prompt; required where there is no terminal.
    #[arg(long, value_name = "DATABASE_NAME")]
    pub yes_destroy: Option<String>,
    /// Permit it on a database of another machine, which the prompt or --yes-destroy alone does not.
    #[arg(long)]
    pub allow_remote: bool,
}

impl YesDestroy {
    /// Returns once the user has confirmed. `what` is the consequence, with the number of rows, without a full stop,
    /// such as `this deletes 1000 users`. A cancelled `stop` ends the prompt.
    ///
    /// # Errors
    /// [`WrongUsage`] when the database is on another machine and the flag for it is missing. When the user does not
    /// confirm or passes the name of another database, or when there is no flag and no terminal.
    pub async fn confirm(
        &self,
        database: &DatabaseSettings,
        what: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let name = database.database();
        if !database.is_local() && !self.allow_remote {
            let script = if has_terminal() { String::new() } else { format!(" and --yes-destroy {name}") };
            bail!(WrongUsage(format!(
                "{what}, in database {database}, which is on another machine. Nothing was changed: it needs \
                 --allow-remote{script}"
            )));
        }
        match self.yes_destroy.as_deref() {
            Some(given) if given == name => return Ok(()),
            Some(given) => bail!("the database is {name}, not {given}: nothing was changed"),
            None => {}
        }
        ensure!(
            has_terminal(),
            "{what}, in database {database}. Nothing was changed: confirm with --yes-destroy {name}"
        );
        let place = if database.is_local() { "" } else { ", on another machine" };
        let what = format!("{what}, in database {database}{place}.");
        let stop = stop.clone();
        tokio::task::spawn_blocking(move || {
            let mut input = Terminal { stop };
            prompt(&mut input, &mut std::io::stderr(), &what, &random_codes())
        })
        .await?
    }
}

fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The two codes differ, so that the second answer can't be typed without reading.
fn random_codes() -> [String; 2] {
    let mut random = rand::rng();
    let mut code = || {
        let character = |_| char::from(CODE_CHARACTERS[random.random_range(0..CODE_CHARACTERS.len())]);
        (0..CODE_LENGTH).map(character).collect::<String>()
    };
    let first = code();
    loop {
        let second = code();
        if second != first {
            return [first, second];
        }
    }
}

trait Answers {
    /// The next line. `None`: the program was told to stop.
    fn next(&mut self) -> std::io::Result<Option<String>>;
}

/// Standard input, which a stop signal interrupts.
struct Terminal {
    stop: CancellationToken,
}

impl Answers for Terminal {
    fn next(&mut self) -> std::io::Result<Option<String>> {
        let stdin = std::io::stdin();
        // A terminal has something to read once a line is complete.
        loop {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&STOP_CHECK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        Ok(Some(answer))
    }
}

fn prompt(input: &mut impl Answers, output: &mut impl Write, what: &str, codes: &[String; 2]) -> anyhow::Result<()> {
    writeln!(output, "{what}")?;
    for (code, purpose) in codes.iter().zip(["to continue", "to confirm"]) {
        write!(output, "Type {code} {purpose}: ")?;
        output.flush()?;
        let Some(answer) = input.next().context("the answer can't be read")? else {
            writeln!(output)?;
            bail!("interrupted: nothing was changed");
        };
        ensure!(answer.trim().eq_ignore_ascii_case(code), "the answer is not {code}: nothing was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Answers for std::str::Lines<'_> {
        fn next(&mut self) -> std::io::Result<Option<String>> {
            Ok(Some(Iterator::next(self).unwrap_or_default().to_owned()))
        }
    }

    #[test]
    fn both_codes_must_be_typed() {
        let codes = ["K7QM".to_owned(), "2XYZ".to_owned()];
        let answered = |answers: &str| {
            let mut output = Vec::new();
            let agreed = prompt(&mut answers.lines(), &mut output, "All rows go.", &codes).is_ok();
            (agreed, String::from_utf8(output).unwrap())
        };
        let (agreed, printed) = answered("K7QM\n 2xyz \n");
        assert!(
            agreed && printed.starts_with("All rows go.\n") && printed.contains("K7QM") && printed.contains("2XYZ"),
            "{printed}"
        );
        for answers in ["", "yes\nyes\n", "K7QM\n", "K7QM\nK7QM\n", "\nK7QM\n2XYZ\n", "2XYZ\nK7QM\n"] {
            assert!(!answered(answers).0, "{answers:?}");
        }
        // After a wrong first code there is no second prompt.
        assert!(!answered("no\n").1.contains("2XYZ"));
    }

    #[test]
    fn the_codes_are_random_and_differ() {
        let codes: Vec<[String; 2]> = (0..50).map(|_| random_codes()).collect();
        assert!(codes.iter().all(|[first, second]| first != second && first.len() == CODE_LENGTH));
        assert!(codes.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
