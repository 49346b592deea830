use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args;
use shared::{ledger::Shard, order_id::Sequence, program::positive_duration};

use super::wrong_usage;
use crate::pace::{Arrival, Arrivals, Burst, End, InvalidRate, Pace, Pacer, Profile, Rate, Step};

/// What `--rate` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedRate {
    /// Orders a second.
    Fixed(Rate),
    /// As fast as the brokers acknowledge.
    Max,
}

impl FromStr for AskedRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "max" { Ok(Self::Max) } else { text.parse().map(Self::Fixed) }
    }
}

/// How many orders, how fast.
#[derive(Clone, Debug, Args)]
pub struct LoadSettings {
    /// Orders a second, such as 1000 or 0.5, or `max` for as fast as the brokers acknowledge.
    #[arg(long, value_name = "ORDERS_A_SECOND", required_unless_present = "steps")]
    pub rate: Option<AskedRate>,
    /// How long orders become due, such as 30s or 5m; without it and --count, until Ctrl-C.
    #[arg(long, value_parser = positive_duration, conflicts_with = "count")]
    pub duration: Option<Duration>,
    /// How many orders.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=Sequence::LIMIT))]
    pub count: Option<u64>,
    /// One rate after the other, such as 500:30s,1000:30s,2000:30s; in place of --rate and --duration.
    #[arg(long, value_delimiter = ',', value_name = "RATE:DURATION", conflicts_with_all = ["rate", "duration", "count", "ramp_up"])]
    pub steps: Vec<Step>,
    /// Begin at 0 and reach the rate only after this long.
    #[arg(long, value_parser = positive_duration, value_name = "DURATION")]
    pub ramp_up: Option<Duration>,
    /// Extra orders at once, again and again: 5000@10s is 5,000 every 10 s.
    #[arg(long, value_name = "ORDERS@DURATION")]
    pub burst: Option<Burst>,
    /// How orders are spread: evenly, or as those of many independent buyers are.
    #[arg(long, value_enum, default_value_t)]
    pub arrival: Arrival,
    /// Send for this long before --count and --duration begin; audited, but left out of the figures.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub warm_up: Duration,
    /// How much of a stall is caught up. What is further behind is skipped, which makes the run invalid.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub catch_up: Duration,
    /// A run whose lateness (sent − due) has a 99th percentile above this is not valid.
    #[arg(long, default_value = "250ms", value_parser = positive_duration, value_name = "DURATION")]
    pub lateness_bound: Duration,
    /// When the first order is due, such as 2026-01-31T09:00:00Z; at once when not given.
    #[arg(long, value_name = "TIME")]
    pub start_at: Option<DateTime<Utc>>,
    /// Send from now on, but date the orders from --start-at on, as if it were then: repeats a run of the past. Mind the topic's
    /// retention, which counts from these dates.
    #[arg(long, requires = "start_at")]
    pub backdate: bool,
    /// How long acknowledgements are waited for at the end.
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "DURATION")]
    pub flush_timeout: Duration,
}

impl LoadSettings {
    /// The schedule that is asked for.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub fn pacer(&self, seed: u64) -> Result<Pacer, clap::Error> {
        let profile = match (self.rate, self.ramp_up) {
            (None, _) => Profile::steps(self.warm_up, &self.steps),
            (Some(AskedRate::Fixed(rate)), None) => Profile::constant(rate),
            (Some(AskedRate::Fixed(rate)), Some(ramp)) => Profile::ramp(self.warm_up, ramp, rate)
                .ok_or_else(|| wrong_usage("--ramp-up is too long for this rate: its orders can't be counted"))?,
            (Some(AskedRate::Max), ramp) => {
                let scheduled = ramp.is_some() || self.burst.is_some() || self.arrival != Arrival::default();
                if scheduled {
                    return Err(wrong_usage(
                        "--rate max has no schedule that --ramp-up, --burst or --arrival could shape",
                    ));
                }
                return Ok(Pacer::new(Pace::Unpaced, self.end(), self.warm_up, self.catch_up));
            }
        };
        let arrivals = Arrivals::new(profile, self.arrival, self.burst, seed);
        Ok(Pacer::new(Pace::Scheduled(Box::new(arrivals)), self.end(), self.warm_up, self.catch_up))
    }

    fn end(&self) -> End {
        let of_steps = (!self.steps.is_empty()).then(|| self.steps.iter().map(|step| step.length).sum());
        match (self.count, self.duration.or(of_steps)) {
            (Some(count), _) => End::Orders(count),
            (None, Some(length)) => End::At(u64::try_from((self.warm_up + length).as_nanos()).unwrap_or(u64::MAX)),
            (None, None) => End::Open,
        }
    }

    /// Orders a second that `shard` was asked for, when that is one number.
    pub fn fixed_rate(&self, shard: Shard) -> Option<f64> {
        match self.rate {
            Some(AskedRate::Fixed(rate))
                if self.ramp_up.is_none() && self.burst.is_none() && self.arrival == Arrival::Constant =>
            {
                Some(rate.per_second() / shard.stride() as f64)
            }
            _ => None,
        }
    }

    /// Whether the orders have a schedule.
    pub fn is_paced(&self) -> bool {
        self.rate != Some(AskedRate::Max)
    }

    /// Users and products to be drawn at once: a twentieth of a second's, within reason, so that there are few calls at a
    /// high rate, and fresh rows at a low one.
    pub fn samples_a_batch(&self) -> usize {
        let steps = self.steps.iter().map(|step| step.rate.per_second());
        let fastest = match self.rate {
            Some(AskedRate::Max) => f64::MAX,
            Some(AskedRate::Fixed(rate)) => rate.per_second(),
            None => steps.fold(0.0, f64::max),
        };
        (fastest / 20.0).clamp(500.0, 5_000.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::Command, *};

    fn load(arguments: &[&str]) -> Result<LoadSettings, clap::Error> {
        Command::try_parse_from(["producer"].iter().chain(arguments)).map(|command| command.load)
    }

    fn orders(arguments: &[&str]) -> Option<u64> {
        load(arguments).unwrap().pacer(0).unwrap().expected()
    }

    #[test]
    fn the_number_of_orders_is_exact() {
        assert_eq!(orders(&["--rate", "1000", "--duration", "30s"]), Some(30_000));
        assert_eq!(orders(&["--rate", "0.3", "--duration", "10s"]), Some(3));
        assert_eq!(orders(&["--rate", "7", "--count", "13"]), Some(13));
        assert_eq!(orders(&["--steps", "500:30s,1000:30s,2000:30s"]), Some(105_000));
        assert_eq!(orders(&["--rate", "1000", "--duration", "30s", "--ramp-up", "30s"]), Some(15_000));
        assert_eq!(orders(&["--rate", "10", "--duration", "30s", "--burst", "5000@10s"]), Some(300 + 10_000));
        assert_eq!(orders(&["--rate", "1000", "--duration", "1s", "--warm-up", "5s"]), Some(6_000));
        assert_eq!(orders(&["--rate", "max", "--count", "5"]), Some(5));
        assert_eq!(orders(&["--rate", "7"]), None);
    }

    #[test]
    fn a_wrong_rate_count_or_duration_is_refused_as_wrong_usage() {
        for arguments in [
            &["--rate", "0"][..],
            &["--rate", "-1"],
            &["--rate=-1"],
            &["--rate", "abc"],
            &["--rate", "NaN"],
            &["--rate", "1e12"],
            &["--rate", "1", "--count", "0"],
            &["--rate", "1", "--duration", "0s"],
            &["--rate", "1", "--duration", "soon"],
            &["--rate", "1", "--duration", "1s", "--count", "1"],
            &["--rate", "1", "--steps", "1:1s"],
            &["--steps", "1:1s,2"],
            &["--rate", "1", "--burst", "0@1s"],
            &["--rate", "1", "--skew", "0"],
            &["--rate", "1", "--invalid", "101%"],
            &["--rate", "1", "--catalog", "f", "--snapshot"],
            &["--rate", "1", "--backdate"],
            &["--rate", "1", "--shard", "2/4"],
            &["--rate", "1", "--shard", "5/4", "--run-id", "r", "--start-at", "2026-01-31T09:00:00Z"],
            &["--rate", "1e9"],
            &[],
        ] {
            assert_eq!(load(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert!(load(&["--rate", "max", "--arrival", "poisson"]).unwrap().pacer(0).is_err());
    }
}
