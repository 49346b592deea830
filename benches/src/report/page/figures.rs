//! Figures as text: thousands separators, and three significant digits where a figure is not a count.

use indicatif::HumanFloatCount;
use shared::latency::LatencySummary;

/// The name of a figure of a `Source`, and the figure.
pub type Figure<Source, Value> = (&'static str, fn(&Source) -> Value);

/// Text of a figure that was not measured.
pub const NONE: &str = "–";

/// Such as `60,000`.
pub fn count(value: u64) -> String {
    format!("{:.0}", HumanFloatCount(value as f64))
}

/// Three significant digits, and all digits before the point: `0.031`, `5.9`, `41.2`, `4,182`.
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    format!("{:.decimals$}", HumanFloatCount(value))
}

/// The text of a figure that may not have been measured.
pub fn optional<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// Milliseconds of a latency of `summary`; without orders there is none.
pub fn latency(summary: &LatencySummary, figure: impl Fn(&LatencySummary) -> f64) -> String {
    optional((summary.count > 0).then(|| figure(summary)), significant)
}

/// A time of the run, as on the axis of the charts: `0:24.2`, `1:04:24.0`, and `-0:03.5` before the first due time.
pub fn clock(seconds: f64) -> String {
    let tenths = (seconds.abs() * 10.0).round() as u64;
    let sign = if seconds < 0.0 && tenths > 0 { "-" } else { "" };
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}.{tenth}"),
        _ => format!("{sign}{hours}:{minutes:02}:{seconds:02}.{tenth}"),
    }
}

/// A length of time, such as `4.2 s`.
pub fn seconds(value: f64) -> String {
    format!("{} s", significant(value))
}

/// Such as `1,222 /s`.
pub fn rate(value: f64) -> String {
    format!("{} /s", significant(value))
}

/// Such as `34.0 MiB`.
pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", significant(bytes as f64 / 1_048_576.0))
}

/// A measured value with its unit, as in the result of a requirement.
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" => format!("{:.0}", HumanFloatCount(value)),
        unit => format!("{} {unit}", significant(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_separators_and_three_significant_digits() {
        let texts = [0.0, 0.0314, 0.99949, 5.9, 9.994, 41.21, 412.159, 4_182.016, 1_234_567.8].map(significant);
        assert_eq!(texts, ["0", "0.031", "0.999", "5.9", "9.99", "41.2", "412", "4,182", "1,234,568"]);
        assert_eq!([count(0), count(60_000), count(9_007_199)], ["0", "60,000", "9,007,199"]);
        assert_eq!([with_unit(0.0, ""), with_unit(4_182.016, "ms")], ["0", "4,182 ms"]);
        assert_eq!(mebibytes(34 << 20), "34 MiB");
    }

    #[test]
    fn a_time_of_the_run_has_minutes_and_tenths() {
        assert_eq!([-3.46, -0.04, 0.0, 24.25, 59.96].map(clock), ["-0:03.5", "0:00.0", "0:00.0", "0:24.3", "1:00.0"]);
        assert_eq!(clock(3_864.04), "1:04:24.0");
    }

    #[test]
    fn the_latency_of_no_order_is_not_zero() {
        assert_eq!(latency(&LatencySummary::default(), |summary| summary.p99), NONE);
    }
}
