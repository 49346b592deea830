//! The delay that a run may have at its end without missing its rate.

use std::time::Duration;

/// A run misses its rate when its last order is delayed by more than this fraction of the run's length.
const RATE_TOLERANCE: f64 = 0.01;

/// Lower limit of the tolerance: in a short run, the operating system's scheduling alone causes shorter delays.
pub const MIN_DELAY_TOLERANCE: Duration = Duration::from_millis(250);

/// Whether a delay at the end of a schedule of this length misses the rate.
pub fn exceeds_tolerance(delay: Duration, length: Duration) -> bool {
    delay > length.mul_f64(RATE_TOLERANCE).max(MIN_DELAY_TOLERANCE)
}
