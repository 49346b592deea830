//! Timeouts that several benches share.

use std::time::Duration;

/// One request to brokers, Redis or database.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// One program's part of a round of `bench producer`.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(300);
