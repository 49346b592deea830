use std::time::Duration;

use humantime::format_duration;

use super::model::{Arrival, Phase, Scenario};

impl Phase {
    /// Orders per second at `elapsed` after its beginning.
    pub fn rate_at(&self, elapsed: Duration) -> f64 {
        let share = (elapsed.as_secs_f64() / self.duration.as_secs_f64()).clamp(0.0, 1.0);
        self.from + (self.to - self.from) * share
    }

    /// Its orders, on average with Poisson arrivals.
    pub fn orders(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.duration.as_secs_f64()
    }

    /// As `producer --steps` takes it.
    fn step(&self) -> String {
        let rates = if self.from == self.to { self.to.to_string() } else { format!("{}-{}", self.from, self.to) };
        // `--steps` has no spaces in a duration.
        let duration = format_duration(self.duration).to_string().replace(' ', "");
        let arrival = match self.arrival {
            Arrival::Constant => "",
            Arrival::Poisson => ":poisson",
        };
        format!("{rates}:{duration}{arrival}{}", if self.measured { "" } else { ":warm-up" })
    }
}

impl Scenario {
    /// From the first due time to the end of the last phase.
    pub fn length(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }

    /// The end of the first phases, which are not measured.
    pub fn warm_up(&self) -> Duration {
        self.phases.iter().take_while(|phase| !phase.measured).map(|phase| phase.duration).sum()
    }

    /// The phases with their beginnings.
    pub fn schedule(&self) -> impl Iterator<Item = (Duration, &Phase)> {
        self.phases.iter().scan(Duration::ZERO, |begin, phase| {
            let start = *begin;
            *begin += phase.duration;
            Some((start, phase))
        })
    }

    /// Orders per second of all producers that are due `seconds` after the first due time; 0 outside of the schedule.
    pub fn asked_rate(&self, seconds: f64) -> f64 {
        let Ok(time) = Duration::try_from_secs_f64(seconds) else { return 0.0 };
        let current = self.schedule().find(|(begin, phase)| (*begin..*begin + phase.duration).contains(&time));
        current.map_or(0.0, |(begin, phase)| phase.rate_at(time - begin))
    }

    /// Orders of all phases, the warm-up included; on average with Poisson arrivals.
    pub fn expected_orders(&self) -> u64 {
        self.phases.iter().map(Phase::orders).sum::<f64>().round() as u64
    }

    /// Orders of the measured phases.
    pub fn measured_orders(&self) -> u64 {
        self.phases.iter().filter(|phase| phase.measured).map(Phase::orders).sum::<f64>().round() as u64
    }

    /// The value of `producer --steps`.
    pub fn steps(&self) -> String {
        self.phases.iter().map(Phase::step).collect::<Vec<_>>().join(",")
    }
}
