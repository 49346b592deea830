use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use shared::{ledger::Shard, order_id::Sequence, program::positive_duration};

use super::usage::wrong_usage;
use crate::pace::{Arrival, Arrivals, Burst, End, Pace, Pacer, Phase, Profile, Step, StepRate, TargetRate, TooLong};

/// The number of orders and their schedule.
#[derive(Clone, Debug, Args)]
pub struct LoadSettings {
    /// Orders per second, such as 0.5, 1000, 10k or 2.5M, or `max` for as fast as the brokers acknowledge.
    #[arg(long, value_name = "ORDERS_PER_SECOND", required_unless_present = "steps")]
    pub rate: Option<TargetRate>,
    /// Length of the schedule, such as 30s or 5m. Without --duration and --count, the run ends at Ctrl-C.
    #[arg(long, value_parser = positive_duration, conflicts_with = "count")]
    pub duration: Option<Duration>,
    /// Number of orders.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=Sequence::LIMIT))]
    pub count: Option<u64>,
    /// Several rates in sequence, such as 500:30s,1k:30s,2k:30s; instead of --rate and --duration. 0-1k:20s is a linear
    /// ramp, 0:5s a pause. The suffix :poisson or :constant is the distribution of a step, without it that of
    /// --arrival. The suffix :warm-up makes the first steps the warm-up.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "RATE:DURATION",
        conflicts_with_all = ["rate", "duration", "count", "ramp_up"]
    )]
    pub steps: Vec<Step>,
    /// Increase the rate linearly from 0 in this time.
    #[arg(long, value_parser = positive_duration, value_name = "DURATION")]
    pub ramp_up: Option<Duration>,
    /// Extra orders in bursts: 5000@10s is 5,000 orders at once every 10 s.
    #[arg(long, value_name = "ORDERS@DURATION")]
    pub burst: Option<Burst>,
    /// Distribution of the due times.
    #[arg(long, value_enum, default_value_t)]
    pub arrival: Arrival,
    /// Send for this time before --count, --duration and --steps start, at the rate at which the first step starts. The
    /// ledger has these orders, the figures of the run do not.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub warm_up: Duration,
    /// After a stall, send orders that are up to this time overdue. Older ones are skipped, which makes the run
    /// invalid.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub catch_up: Duration,
    /// Maximum p99 of the lateness (sent − due) of a valid run.
    #[arg(long, default_value = "250ms", value_parser = positive_duration, value_name = "DURATION")]
    pub lateness_bound: Duration,
    /// Due time of the first order, such as 2026-01-31T09:00:00Z. Without it, the run starts at once.
    #[arg(long, value_name = "TIME")]
    pub start_at: Option<DateTime<Utc>>,
    /// Send now, with the due times of a run that started at --start-at, to repeat an earlier run. The retention of the
    /// topic applies to these times.
    #[arg(long, requires = "start_at")]
    pub backdate: bool,
    /// Timeout of the outstanding acknowledgements at the end.
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "DURATION")]
    pub flush_timeout: Duration,
}

impl LoadSettings {
    /// The configured schedule.
    ///
    /// # Errors
    /// Wrong usage, when the settings contradict each other.
    pub fn pacer(&self, seed: u64) -> Result<Pacer, clap::Error> {
        let profile = match (self.rate, self.ramp_up) {
            (None, _) => self.profile_of_steps()?,
            (Some(TargetRate::Fixed(rate)), None) => Profile::constant(rate),
            (Some(TargetRate::Fixed(rate)), Some(ramp)) => {
                Profile::ramp(self.warm_up, ramp, rate).map_err(|TooLong| {
                    wrong_usage("--ramp-up is too long for this rate: choose a shorter one or a lower rate")
                })?
            }
            (Some(TargetRate::Max), ramp) => {
                let scheduled = ramp.is_some() || self.burst.is_some() || self.arrival != Arrival::default();
                if scheduled {
                    return Err(wrong_usage("--rate max has no schedule: remove --ramp-up, --burst and --arrival"));
                }
                return Ok(Pacer::new(Pace::Unpaced, self.end(), self.warm_up, self.catch_up));
            }
        };
        let arrivals = Arrivals::new(profile, self.arrival, self.burst, seed);
        let pacer = Pacer::new(Pace::Scheduled(Box::new(arrivals)), self.end(), self.warm_up(), self.catch_up);
        if pacer.is_empty() {
            return Err(wrong_usage("no order is due after the warm-up: choose a higher rate or a longer schedule"));
        }
        Ok(pacer)
    }

    fn profile_of_steps(&self) -> Result<Profile, clap::Error> {
        let of_warm_up = self.steps_of_warm_up().count();
        if self.steps[of_warm_up..].iter().any(|step| step.phase == Phase::WarmUp) {
            return Err(wrong_usage("--steps: only the first steps can be the warm-up"));
        }
        if of_warm_up == self.steps.len() {
            return Err(wrong_usage(
                "--steps: all steps are the warm-up, so that nothing is measured: add one without",
            ));
        }
        if !self.warm_up.is_zero() && of_warm_up > 0 {
            return Err(wrong_usage("--warm-up can't be used with steps that are the warm-up: remove one of them"));
        }
        if !self.warm_up.is_zero() && self.steps[0].from == StepRate::ZERO {
            return Err(wrong_usage(
                "--warm-up sends at the rate at which the first step starts, which is 0: choose another rate, or add a \
                 first step with the suffix :warm-up",
            ));
        }
        Profile::steps(self.warm_up, &self.steps).map_err(|TooLong| {
            wrong_usage("--steps: too long, or a ramp is too long for its rate: choose shorter steps or a lower rate")
        })
    }

    fn steps_of_warm_up(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().take_while(|step| step.phase == Phase::WarmUp)
    }

    /// Length of the warm-up: `--warm-up`, or the steps that are the warm-up.
    pub fn warm_up(&self) -> Duration {
        self.warm_up + self.steps_of_warm_up().map(|step| step.length).sum::<Duration>()
    }

    fn end(&self) -> End {
        let steps_length = (!self.steps.is_empty()).then(|| self.steps.iter().map(|step| step.length).sum());
        match (self.count, self.duration.or(steps_length)) {
            (Some(count), _) => End::Orders(count),
            (None, Some(length)) => End::At(u64::try_from((self.warm_up + length).as_nanos()).unwrap_or(u64::MAX)),
            (None, None) => End::AtStop,
        }
    }

    /// The rate of `shard` in orders per second, if it is constant.
    pub fn fixed_rate(&self, shard: Shard) -> Option<f64> {
        match self.rate {
            Some(TargetRate::Fixed(rate))
                if self.ramp_up.is_none() && self.burst.is_none() && self.arrival == Arrival::Constant =>
            {
                Some(rate.per_second() / shard.stride() as f64)
            }
            _ => None,
        }
    }

    pub fn is_paced(&self) -> bool {
        self.rate != Some(TargetRate::Max)
    }

    /// Users and products to fetch from Redis at once: those of 50 ms, between 500 and 5,000. A larger batch means
    /// fewer requests at a high rate, a smaller one fresher rows at a low rate.
    pub fn sample_batch_size(&self) -> usize {
        let steps = self.steps.iter().flat_map(|step| [step.from, step.to]).map(StepRate::per_second);
        let fastest = match self.rate {
            Some(TargetRate::Max) => f64::MAX,
            Some(TargetRate::Fixed(rate)) => rate.per_second(),
            None => steps.fold(0.0, f64::max),
        };
        (fastest / 20.0).clamp(500.0, 5_000.0) as usize
    }
}
