//! The axis of a chart: its range, its ticks, and where a value is.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Begins at 0.
    Linear,
    Logarithmic,
}

/// The least value of a logarithmic axis: a latency of 0 is drawn there.
const LEAST: f64 = 0.01;
/// Ticks of a linear axis, about.
const LINEAR_TICKS: f64 = 5.0;
/// With fewer ticks at 1, 2 and 5, a logarithmic axis has those of a linear one.
const LEAST_TICKS: usize = 3;

#[derive(Clone, Copy, Debug)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that has all `values`.
    pub fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        match scale {
            Scale::Linear => Self { scale, low: 0.0, high: if high > 0.0 { high * 1.1 } else { 1.0 } },
            Scale::Logarithmic => {
                let (low, high) = (low.clamp(LEAST, 1e12), high.max(LEAST * 10.0));
                Self { scale, low: low / 1.15, high: high * 1.15 }
            }
        }
    }

    /// 0 at the begin of the axis, 1 at its end.
    pub fn place(self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// Round values within the range, no two of them closer to each other than `distance`, as a share of the axis.
    pub fn ticks(self, distance: f64) -> Vec<f64> {
        let mut ticks: Vec<f64> = Vec::new();
        for tick in self.round_values() {
            if ticks.last().is_none_or(|last| self.place(tick) - self.place(*last) >= distance) {
                ticks.push(tick);
            }
        }
        ticks
    }

    fn round_values(self) -> Vec<f64> {
        let is_inside = |tick: &f64| (self.low..=self.high).contains(tick);
        if self.scale == Scale::Logarithmic {
            let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let ticks = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|tick| tick * 10_f64.powi(power)));
            let ticks: Vec<f64> = ticks.filter(is_inside).collect();
            if ticks.len() >= LEAST_TICKS {
                return ticks;
            }
        }
        let step = round_step((self.high - self.low) / LINEAR_TICKS);
        let first = (self.low / step).ceil();
        (0..).map(|tick| (first + f64::from(tick)) * step).take_while(is_inside).collect()
    }
}

/// The next of 1, 2, 5, 10, … that is not below `least`.
fn round_step(least: f64) -> f64 {
    let unit = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * unit).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_and_ticks_are_on_the_axis_and_no_two_ticks_are_too_close() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for values in [vec![500.0, 32_000.0], vec![0.0], vec![3.2], vec![0.3, 1.97], vec![0.0, 100.0]] {
                let axis = Axis::over(scale, values.iter().copied());
                let ticks = axis.ticks(0.1);
                assert!((2..=10).contains(&ticks.len()), "{scale:?} {values:?} {ticks:?}");
                let all = values.iter().chain(&ticks);
                assert!(all.into_iter().all(|value| (0.0..=1.0).contains(&axis.place(*value))), "{values:?}");
                let is_apart = |pair: &[f64]| axis.place(pair[1]) - axis.place(pair[0]) >= 0.1;
                assert!(ticks.windows(2).all(is_apart), "{scale:?} {ticks:?}");
            }
        }
        assert_eq!(Axis::over(Scale::Linear, [1.9].into_iter()).ticks(0.0), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(Axis::over(Scale::Logarithmic, [10.0, 100.0].into_iter()).ticks(0.0), [10.0, 20.0, 50.0, 100.0]);
        let narrow = Axis::over(Scale::Logarithmic, [9_100.0, 9_400.0].into_iter()).ticks(0.0);
        assert_eq!(narrow, [8_000.0, 9_000.0, 10_000.0], "none of 1, 2 and 5 but one is inside");
    }
}
