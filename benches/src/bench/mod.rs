//! Side by side in one run, on the same machine and the same services: what our programs reach, and what others do. Only
//! ratios are worth telling; the machine's own speed comes and goes.

pub mod bare_loop;
pub mod perf_test;
pub mod producer;
