//! Confirmation before a command deletes rows: a user types two codes, a script passes the name of the database.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use rand::RngExt;

use crate::database::DatabaseSettings;

/// Characters of a code. 0, 1, I, L and O are left out because they look alike.
const CODE_CHARACTERS: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 4;

/// The flag by which a script confirms.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct YesDestroy {
    /// Confirm by the name of the database instead of at the prompt; required where there is no terminal.
    #[arg(long, value_name = "DATABASE_NAME")]
    pub yes_destroy: Option<String>,
}

impl YesDestroy {
    /// Returns once the user has confirmed. `what` is the consequence, with the number of rows, without a full stop,
    /// such as `this deletes 1000 users`.
    ///
    /// # Errors
    /// When the user does not confirm or passes the name of another database, or when there is no flag and no terminal.
    pub fn confirm(&self, database: &DatabaseSettings, what: &str) -> anyhow::Result<()> {
        let name = database.database();
        match self.yes_destroy.as_deref() {
            Some(given) if given == name => return Ok(()),
            Some(given) => bail!("the database is {name}, not {given}: nothing was changed"),
            None => {}
        }
        let (input, output) = (std::io::stdin(), std::io::stderr());
        ensure!(
            input.is_terminal() && output.is_terminal(),
            "{what}, in database {database}. Nothing was changed: confirm with --yes-destroy {name}"
        );
        let mut random = rand::rng();
        let codes = [(); 2].map(|()| {
            let character = |_| char::from(CODE_CHARACTERS[random.random_range(0..CODE_CHARACTERS.len())]);
            (0..CODE_LENGTH).map(character).collect::<String>()
        });
        prompt(&mut input.lock(), &mut output.lock(), &format!("{what}, in database {database}."), &codes)
    }
}

/// The two codes differ, so that the second answer can't be typed without reading.
fn prompt(input: &mut impl BufRead, output: &mut impl Write, what: &str, codes: &[String; 2]) -> anyhow::Result<()> {
    writeln!(output, "{what}")?;
    for (code, purpose) in codes.iter().zip(["to continue", "to confirm"]) {
        write!(output, "Type {code} {purpose}: ")?;
        output.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer).context("the answer can't be read")?;
        ensure!(answer.trim().eq_ignore_ascii_case(code), "the answer is not {code}: nothing was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_must_be_typed() {
        let codes = ["K7QM".to_owned(), "2XYZ".to_owned()];
        let answered = |answers: &str| {
            let mut output = Vec::new();
            let agreed = prompt(&mut answers.as_bytes(), &mut output, "All rows go.", &codes).is_ok();
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
}
