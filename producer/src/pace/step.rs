//! One step of `--steps`, as written on the command line.

use std::{str::FromStr, time::Duration};

use super::{
    arrival::Arrival,
    rate::{InvalidRate, Rate},
};

/// Whether the orders of a part of the schedule count in the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the measurement: recorded in the ledger, not part of the figures.
    WarmUp,
    Measured,
}

/// A rate of a step: that of a [`Rate`], or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRate {
    millionths: u64,
}

/// One step: `500:30s` is 500 orders per second for 30 s, `0-500:30s` a linear ramp to it, `0:5s` a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Rate at the beginning.
    pub from: StepRate,
    /// Rate at the end.
    pub to: StepRate,
    /// Above 0.
    pub length: Duration,
    /// `None`: that of the whole schedule.
    pub arrival: Option<Arrival>,
    pub phase: Phase,
}

const STEP: &str = "a step is RATE:DURATION or FROM-TO:DURATION, such as 500:30s or 0-500:30s, and then optionally \
                    :constant or :poisson, and :warm-up";

impl StepRate {
    pub const ZERO: Self = Self { millionths: 0 };

    /// Orders per million seconds.
    pub fn millionths(self) -> u64 {
        self.millionths
    }

    pub fn per_second(self) -> f64 {
        self.millionths as f64 / 1e6
    }
}

impl From<Rate> for StepRate {
    fn from(rate: Rate) -> Self {
        Self { millionths: rate.millionths() }
    }
}

impl FromStr for StepRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "0" { Ok(Self::ZERO) } else { text.parse().map(Rate::into) }
    }
}

impl Step {
    /// `rate` for `length`, measured.
    pub fn constant(rate: Rate, length: Duration) -> Self {
        Self { from: rate.into(), to: rate.into(), length, arrival: None, phase: Phase::Measured }
    }

    /// Linearly from 0 to `rate` in `length`, measured.
    pub fn ramp_up(rate: Rate, length: Duration) -> Self {
        Self { from: StepRate::ZERO, ..Self::constant(rate, length) }
    }

    pub fn is_pause(&self) -> bool {
        (self.from, self.to) == (StepRate::ZERO, StepRate::ZERO)
    }

    fn add_suffix(&mut self, suffix: &str) -> Result<(), String> {
        let (is_new, value) = match suffix {
            "constant" => (self.arrival.is_none(), Self { arrival: Some(Arrival::Constant), ..*self }),
            "poisson" => (self.arrival.is_none(), Self { arrival: Some(Arrival::Poisson), ..*self }),
            "warm-up" => (self.phase == Phase::Measured, Self { phase: Phase::WarmUp, ..*self }),
            other => return Err(format!("'{other}' is no suffix of a step: {STEP}")),
        };
        *self = value;
        if is_new { Ok(()) } else { Err(format!("':{suffix}' is one too many: {STEP}")) }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split(':');
        let (Some(rates), Some(length)) = (parts.next(), parts.next()) else { return Err(STEP.to_owned()) };
        let (from, to) = parse_rates(rates)?;
        let length = shared::program::positive_duration(length)?;
        let mut step = Self { from, to, length, arrival: None, phase: Phase::Measured };
        parts.try_for_each(|suffix| step.add_suffix(suffix))?;
        Ok(step)
    }
}

/// Parses `RATE` or `FROM-TO`. A rate may have an exponent with a sign, such as 1e-3.
fn parse_rates(text: &str) -> Result<(StepRate, StepRate), String> {
    let parse = |text: &str| text.parse::<StepRate>();
    if let Ok(rate) = parse(text) {
        return Ok((rate, rate));
    }
    let mut pairs = text.match_indices('-').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let parsed = pairs.find_map(|(from, to)| Some((parse(from).ok()?, parse(to).ok()?)));
    parsed.ok_or_else(|| format!("'{text}' is neither RATE nor FROM-TO: {InvalidRate}, or 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> (f64, f64, u64, Option<Arrival>, Phase) {
        let step: Step = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (step.from.per_second(), step.to.per_second(), step.length.as_millis() as u64, step.arrival, step.phase)
    }

    #[test]
    fn a_step_has_one_rate_or_two_and_suffixes_in_any_order() {
        let (constant, poisson) = (Some(Arrival::Constant), Some(Arrival::Poisson));
        let (measured, warm_up) = (Phase::Measured, Phase::WarmUp);
        for (text, expected) in [
            ("500:30s", (500.0, 500.0, 30_000, None, measured)),
            ("0.5k:30s:constant", (500.0, 500.0, 30_000, constant, measured)),
            ("0-1000:20s", (0.0, 1_000.0, 20_000, None, measured)),
            ("1k-0:1m:poisson", (1_000.0, 0.0, 60_000, poisson, measured)),
            ("0:5s", (0.0, 0.0, 5_000, None, measured)),
            ("0-0:5s", (0.0, 0.0, 5_000, None, measured)),
            ("10:10s:warm-up", (10.0, 10.0, 10_000, None, warm_up)),
            ("1-2:10ms:warm-up:poisson", (1.0, 2.0, 10, poisson, warm_up)),
            ("1-2:10ms:poisson:warm-up", (1.0, 2.0, 10, poisson, warm_up)),
            ("1e-3:1s", (0.001, 0.001, 1_000, None, measured)),
            ("1e-3-2e-3:1s", (0.001, 0.002, 1_000, None, measured)),
            ("5-1e-3:1s", (5.0, 0.001, 1_000, None, measured)),
        ] {
            assert_eq!(step(text), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_step_is_refused_with_what_would_be_right() {
        for (text, expected) in [
            ("", "a step is RATE:DURATION or FROM-TO:DURATION"),
            ("500", "a step is RATE:DURATION or FROM-TO:DURATION"),
            ("500:", "write it as 30s"),
            (":30s", "'' is neither RATE nor FROM-TO: a rate is a number of orders per second"),
            ("500:0s", "duration"),
            ("-5:30s", "'-5' is neither RATE nor FROM-TO"),
            ("0--5:30s", "'0--5' is neither RATE nor FROM-TO"),
            ("1-2-3:30s", "'1-2-3' is neither RATE nor FROM-TO"),
            ("-:30s", "'-' is neither RATE nor FROM-TO"),
            ("0-11M:30s", "'0-11M' is neither RATE nor FROM-TO"),
            ("1e-7:30s", "'1e-7' is neither RATE nor FROM-TO"),
            ("max:30s", "'max' is neither RATE nor FROM-TO"),
            ("500:30s:uniform", "'uniform' is no suffix of a step"),
            ("500:30s:", "'' is no suffix of a step"),
            ("500:30s:poisson:poisson", "':poisson' is one too many"),
            ("500:30s:poisson:constant", "':constant' is one too many"),
            ("500:30s:warm-up:warm-up", "':warm-up' is one too many"),
        ] {
            let error = text.parse::<Step>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
