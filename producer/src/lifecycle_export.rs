//! Prints the lifecycle of `--lifecycle` without a file.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

use crate::lifecycle;

/// Prints the file to stdout. A reader that closes the pipe early, such as `head`, is not an error.
///
/// # Errors
/// When stdout can't be written.
pub fn print() -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(lifecycle::default_text().as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the lifecycle can't be written to stdout"),
    }
}
