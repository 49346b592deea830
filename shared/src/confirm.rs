//! Asked before anything is destroyed, the same way by every command: a person types a code twice, a script names the
//! database.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use rand::RngExt;

use crate::database::DatabaseSettings;

/// Without those that are mistaken for another.
const LETTERS: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 4;

/// How a script says yes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct YesDestroy {
    /// Say yes without being asked, by the name of the database; the only way where there is no terminal.
    #[arg(long, value_name = "DATABASE_NAME")]
    pub yes_destroy: Option<String>,
}

impl YesDestroy {
    /// Returns when whoever runs the program agrees that `what` happens to `database`; `what` is a sentence with the
    /// numbers of rows.
    ///
    /// # Errors
    /// When they don't, name another database, or there is nobody to ask.
    pub fn confirm(&self, database: &DatabaseSettings, what: &str) -> anyhow::Result<()> {
        let name = database.database();
        match self.yes_destroy.as_deref() {
            Some(named) if named == name => return Ok(()),
            Some(named) => bail!("this is database {name} and not {named}: nothing was changed"),
            None => {}
        }
        let (input, output) = (std::io::stdin(), std::io::stderr());
        ensure!(
            input.is_terminal() && output.is_terminal(),
            "{what}, in database {database}. Nothing was changed: say yes with --yes-destroy {name}"
        );
        let mut random = rand::rng();
        let codes = [(); 2].map(|()| {
            let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
            (0..CODE_LENGTH).map(letter).collect::<String>()
        });
        ask(&mut input.lock(), &mut output.lock(), &format!("{what}, in database {database}."), &codes)
    }
}

/// A code each time anew, so that the second answer takes as much attention as the first.
fn ask(input: &mut impl BufRead, output: &mut impl Write, what: &str, codes: &[String; 2]) -> anyhow::Result<()> {
    writeln!(output, "{what}")?;
    for (code, purpose) in codes.iter().zip(["to go on", "again, to be sure"]) {
        write!(output, "Type {code} {purpose}: ")?;
        output.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer).context("the answer can't be read")?;
        ensure!(answer.trim().eq_ignore_ascii_case(code), "that was not {code}: nothing was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_must_be_typed() {
        let codes = ["K7QM".to_owned(), "2XYZ".to_owned()];
        let asked = |answers: &str| {
            let mut output = Vec::new();
            let agreed = ask(&mut answers.as_bytes(), &mut output, "All rows go.", &codes).is_ok();
            (agreed, String::from_utf8(output).unwrap())
        };
        let (agreed, said) = asked("K7QM\n 2xyz \n");
        assert!(
            agreed && said.starts_with("All rows go.\n") && said.contains("K7QM") && said.contains("2XYZ"),
            "{said}"
        );
        for answers in ["", "yes\nyes\n", "K7QM\n", "K7QM\nK7QM\n", "\nK7QM\n2XYZ\n", "2XYZ\nK7QM\n"] {
            assert!(!asked(answers).0, "{answers:?}");
        }
        // The second is not even asked for.
        assert!(!asked("no\n").1.contains("2XYZ"));
    }
}
