//! Whether the lag grows during a probe, judged with its noise.
//!
//! The slope is that of a least-squares line. The lag of one second resembles that of the second before, so its values
//! tell less than their number suggests: the standard error is that of an autocorrelated series (AR(1)).

use serde::Serialize;

/// Growth that is tolerated, as a share of the rate: a consumer group that is slower than this needs minutes to be a
/// second behind.
const TOLERATED: f64 = 0.01;
/// Growth that no stall of the machine explains when it is beyond the noise.
const CONCLUSIVE: f64 = 0.05;
/// Standard errors on each side of the slope. With some fifteen values a side this is an interval of 99 %.
const STANDARD_ERRORS: f64 = 3.0;
/// Fewer values have no slope.
const MIN_SAMPLES: usize = 4;

/// The lag of a probe over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LagGrowth {
    /// Records a second.
    pub slope: f64,
    /// Of the slope, in records a second.
    pub standard_error: f64,
    /// Slope divided by the rate of the probe.
    pub share_of_rate: f64,
    pub verdict: LagVerdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LagVerdict {
    Steady,
    /// It may grow: the slope is above what is tolerated, but not beyond its noise.
    Unclear,
    Grows,
    /// By 5 % of the rate or more, beyond the noise.
    GrowsFast,
}

impl LagGrowth {
    /// Of a lag in records by seconds; `None` with too few values.
    pub fn of(lag: &[(f64, f64)], rate: f64) -> Option<Self> {
        if lag.len() < MIN_SAMPLES {
            return None;
        }
        let (slope, standard_error) = slope(lag)?;
        let least = slope - STANDARD_ERRORS * standard_error;
        let verdict = match rate {
            rate if least > CONCLUSIVE * rate => LagVerdict::GrowsFast,
            rate if least > TOLERATED * rate => LagVerdict::Grows,
            rate if slope > TOLERATED * rate => LagVerdict::Unclear,
            _ => LagVerdict::Steady,
        };
        Some(Self { slope, standard_error, share_of_rate: slope / rate, verdict })
    }
}

/// Slope of the least-squares line, and its standard error. `None` when all values have one time.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if spread == 0.0 {
        return None;
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let residuals: Vec<f64> = points.iter().map(|(x, y)| y - mean_y - slope * (x - mean_x)).collect();
    let squares: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
    let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let correlation = if squares > 0.0 { (products / squares).clamp(0.0, 0.9) } else { 0.0 };
    let inflation = (1.0 + correlation) / (1.0 - correlation);
    Some((slope, (squares / (count - 2.0) / spread * inflation).sqrt()))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// The lag of 17 s at 10,000/s: grows by `growth` of the rate, and varies by `noise` records, each value by half
    /// like the one before.
    fn lag(growth: f64, noise: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut deviation = 0.0;
        let value = |second: i32| {
            let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            deviation = 0.5 * deviation + noise * normal;
            (f64::from(second), 3_000.0 + growth * 10_000.0 * f64::from(second) + deviation)
        };
        (0..17).map(value).collect()
    }

    fn share(growth: f64, noise: f64, is_wanted: fn(LagVerdict) -> bool) -> f64 {
        let verdicts = (0..1_000).map(|seed| LagGrowth::of(&lag(growth, noise, seed), 10_000.0).unwrap().verdict);
        verdicts.filter(|verdict| is_wanted(*verdict)).count() as f64 / 1_000.0
    }

    #[test]
    fn a_lag_that_only_varies_does_not_grow() {
        for noise in [10.0, 300.0, 3_000.0] {
            let grows = share(0.0, noise, |verdict| matches!(verdict, LagVerdict::Grows | LagVerdict::GrowsFast));
            assert!(grows <= 0.03, "noise {noise}: {grows}");
        }
        assert_eq!(LagGrowth::of(&lag(-0.2, 300.0, 1), 10_000.0).unwrap().verdict, LagVerdict::Steady);
        let none: Vec<(f64, f64)> = (0..17).map(|second| (f64::from(second), 0.0)).collect();
        assert_eq!(LagGrowth::of(&none, 10_000.0).unwrap().verdict, LagVerdict::Steady);
    }

    #[test]
    fn a_lag_that_grows_by_more_than_its_noise_is_found() {
        assert!(share(0.03, 300.0, |verdict| verdict == LagVerdict::Grows) > 0.95);
        assert!(share(0.2, 1_000.0, |verdict| verdict == LagVerdict::GrowsFast) > 0.95);
        assert!(share(0.03, 3_000.0, |verdict| verdict == LagVerdict::GrowsFast) < 0.02);
    }

    #[test]
    fn three_values_or_one_time_have_no_slope() {
        assert_eq!(LagGrowth::of(&lag(1.0, 0.0, 1)[..3], 10_000.0), None);
        assert_eq!(LagGrowth::of(&[(1.0, 2.0); 9], 10_000.0), None);
    }
}
