//! Ids of the form that a seed makes: a letter and digits.

use diesel::{sql_query, sql_types::Text};
use shared::{
    database::{SqlError, StatementClient},
    lookup::LookupRow,
};

/// Times that an id is taken by another program before one gives up.
pub const ATTEMPTS: usize = 20;

/// The greatest number in an id of `letter` and `digits` digits, from the end of the index; 0 if there is none. A seed
/// of this size has no longer ids, and an id that is taken is refused by the primary key.
pub async fn last_number<Row: LookupRow>(
    client: &mut StatementClient,
    letter: char,
    digits: usize,
) -> Result<u64, SqlError> {
    let (table, id) = Row::TABLE;
    let query = format!(
        "SELECT {id} FROM {table} WHERE {id} BETWEEN $1 AND $2 AND {id} ~ '^{letter}[0-9]{{{digits}}}$' \
         ORDER BY {id} DESC LIMIT 1"
    );
    let bound = |digit: &str| format!("{letter}{}", digit.repeat(digits));
    let query = sql_query(query).bind::<Text, _>(bound("0")).bind::<Text, _>(bound("9"));
    let last = client.query(&query).await?;
    Ok(last.first().and_then(|row| row.get::<_, &str>(0).get(1..)?.parse().ok()).unwrap_or(0))
}
