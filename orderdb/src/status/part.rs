//! A part of the status, which may be unreadable while others are not.

use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Part<T> {
    Read(T),
    Failed { error: String },
}

impl<T> From<anyhow::Result<T>> for Part<T> {
    fn from(result: anyhow::Result<T>) -> Self {
        match result {
            Ok(read) => Self::Read(read),
            Err(error) => Self::Failed { error: format!("{error:#}") },
        }
    }
}

impl<T> Part<T> {
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Read(_) => None,
            Self::Failed { error } => Some(error),
        }
    }
}
