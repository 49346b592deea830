//! Emits synthetic orders to Kafka at an exact rate.

use std::process::ExitCode;

use producer::app;
use shared::program;

/// librdkafka allocates memory for each record on one thread and frees it on another: mimalloc is fast at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::run(app::run)
}
