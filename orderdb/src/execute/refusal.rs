//! Why the server refuses a statement, and where.

use anyhow::anyhow;
use tokio_postgres::{
    Error,
    error::{ErrorPosition, SqlState},
};

/// Number of characters that are shown from the place of an error on.
const EXCERPT: usize = 40;

/// The server's message, its SQLSTATE, the place in `sql`, and what the server adds.
pub fn refusal(error: &Error, sql: &str) -> anyhow::Error {
    let Some(refusal) = error.as_db_error() else {
        let is_copy = sql.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy"));
        return match is_copy {
            true => anyhow!("COPY from and to the client is not supported: use --output csv for rows, or psql"),
            false => anyhow!("the statement failed: {error}"),
        };
    };
    let mut message = format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
    if let Some(ErrorPosition::Original(position)) = refusal.position() {
        message.push_str(&place(sql, *position));
    }
    for (name, text) in [("detail", refusal.detail()), ("hint", refusal.hint())] {
        if let Some(text) = text {
            message.push_str(&format!("; {name}: {text}"));
        }
    }
    if *refusal.code() == SqlState::READ_ONLY_SQL_TRANSACTION {
        message.push_str("; --write allows it");
    }
    anyhow!(message)
}

/// `position` counts characters from 1.
pub fn place(sql: &str, position: u32) -> String {
    let before = (position as usize).saturating_sub(1);
    let line = sql.chars().take(before).filter(|&c| c == '\n').count() + 1;
    let column = sql.chars().take(before).collect::<Vec<_>>().iter().rev().take_while(|&&c| c != '\n').count() + 1;
    let near: String = sql.chars().skip(before).take_while(|&c| c != '\n').take(EXCERPT).collect();
    let near = if near.is_empty() { "at the end".to_owned() } else { format!("near {near:?}") };
    format!(", at line {line}, column {column}, {near}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_counts_characters_not_bytes() {
        assert_eq!(place("SELECT x", 8), ", at line 1, column 8, near \"x\"");
        assert_eq!(place("SELECT '서울',\n  nothing\nFROM orders", 16), ", at line 2, column 3, near \"nothing\"");
        assert_eq!(place("SELECT", 7), ", at line 1, column 7, at the end");
    }
}
