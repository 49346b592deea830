use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order_id::RunTag;

/// Id of a run, and the name of its folder. A generated one has the start time in UTC and the tag, such as
/// `20261121-093000-a1b2c3`; a user may choose another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text is not a valid name of a run's folder.
#[derive(Debug, thiserror::Error)]
#[error("a run id has 1 to 64 characters: letters, digits, '-', '_' or '.'; it does not begin with '.'")]
pub struct InvalidRunId;

impl RunId {
    /// Generates the id of a run that starts at `started_at` with tag `tag`.
    pub fn new(started_at: DateTime<Utc>, tag: RunTag) -> Self {
        Self(format!("{}-{tag}", started_at.format("%Y%m%d-%H%M%S")))
    }

    /// Seed for random numbers that are the same in each run with this id.
    pub fn seed(&self) -> u64 {
        u64::from(crc32fast::hash(self.0.as_bytes()))
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let valid = (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('.');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRunId) }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
