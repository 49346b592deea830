//! Timeouts that several benches share.

use std::time::Duration;

/// Timeout of one request to brokers, Redis or database.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of one program in a round of `bench producer`.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(300);
