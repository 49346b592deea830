//! Numbers as they are shown.

use std::time::Duration;

use indicatif::HumanCount;

/// Counts up to 99,999,999 in full, then millions.
pub fn count(number: u64) -> String {
    if number < 100_000_000 { HumanCount(number).to_string() } else { format!("{}M", HumanCount(number / 1_000_000)) }
}

/// Orders per second, `–` when it is not known.
pub fn rate(orders_per_second: Option<f64>) -> String {
    orders_per_second.map_or_else(|| "–".to_owned(), |rate| count(rate.max(0.0).round() as u64))
}

/// Milliseconds with three digits.
pub fn milliseconds(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => count(value.round() as u64),
    }
}

pub fn memory(bytes: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    match bytes as f64 / MIB {
        mib if mib < 1_023.5 => format!("{mib:.0} MiB"),
        mib => format!("{:.1} GiB", mib / 1024.0),
    }
}

/// `0:42`, or `1:02:03` from an hour.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `12 s`, or as [`clock`] from two minutes.
pub fn short(time: Duration) -> String {
    if time.as_secs() < 120 { format!("{} s", time.as_secs()) } else { clock(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_unit_and_as_many_digits_as_are_read() {
        assert_eq!(
            [count(0), count(1_234_567), count(123_456_789), rate(Some(999.6)), rate(None)],
            ["0", "1,234,567", "123M", "1,000", "–"]
        );
        let milliseconds = [0.0, 3.647, 9.996, 38.24, 99.96, 12_345.6].map(milliseconds);
        assert_eq!(milliseconds, ["0.00", "3.65", "10.0", "38.2", "100", "12,346"]);
        assert_eq!([memory(0), memory(60 << 20), memory(1536 << 20)], ["0 MiB", "60 MiB", "1.5 GiB"]);
        let seconds = [0, 59, 60, 3_723].map(Duration::from_secs);
        assert_eq!(seconds.map(clock), ["0:00", "0:59", "1:00", "1:02:03"]);
        assert_eq!(seconds.map(short), ["0 s", "59 s", "60 s", "1:02:03"]);
    }
}
