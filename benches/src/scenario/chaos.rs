//! The faults of `[chaos]`: drawn at random, and repeated by a seed.
//!
//! The generator is ChaCha8, a specified algorithm, and so is what is made of its numbers: a seed gives the same faults
//! in each version.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    consumers::ConsumerCounts,
    interval::brokers_overlap,
    model::{Chaos, Scenario, TimedFault},
};
use crate::fault::{Fault, FaultKind, Target};

/// Kinds that are drawn from unless the scenario names some: all that need neither root nor a clock of their own.
const DEFAULT_KINDS: [FaultKind; 11] = [
    FaultKind::Kill,
    FaultKind::Stop,
    FaultKind::Pause,
    FaultKind::Restart,
    FaultKind::KillBackend,
    FaultKind::ScaleConsumers,
    FaultKind::SlowLink,
    FaultKind::CutLink,
    FaultKind::ResetLink,
    FaultKind::BlackHoleLink,
    FaultKind::LockTable,
];
/// Duration of a fault in milliseconds.
const LASTING: (u64, u64) = (2_000, 8_000);
/// Times are multiples of it, in milliseconds.
const STEP: u64 = 100;
/// From the end of the last fault to the end of the schedule.
pub const RECOVERY: Duration = Duration::from_secs(5);

/// Faults within the measured phases. None begins while another one, or one of `scenario.faults`, is in force; no two
/// brokers are down at a time.
pub fn draw(chaos: &Chaos, scenario: &Scenario) -> Vec<TimedFault> {
    let mut dice = Dice::new(scenario.load.seed);
    let kinds = if chaos.kinds.is_empty() { &DEFAULT_KINDS[..] } else { &chaos.kinds };
    let consumers = ConsumerCounts::new(scenario.load.consumers, &scenario.faults);
    let last_end = scenario.length().saturating_sub(RECOVERY);
    let (mut faults, mut free_from) = (Vec::new(), scenario.warm_up());
    loop {
        let pause = chaos.every.as_millis() as u64;
        let at = free_from + dice.milliseconds(pause / 2, pause * 3 / 2);
        let lasting = dice.milliseconds(LASTING.0, LASTING.1);
        let kind = *dice.one_of(kinds);
        let fewest = consumers.fewest(at, at + lasting);
        let drawn: Vec<TimedFault> = faults.iter().chain(&scenario.faults).cloned().collect();
        let possible = candidates(kind, scenario, fewest, &mut dice).into_iter().map(|fault| TimedFault {
            at,
            lasting: fault.has_duration().then_some(lasting),
            fault,
        });
        let possible: Vec<TimedFault> =
            possible.filter(|fault| !drawn.iter().any(|other| brokers_overlap(fault, other))).collect();
        let number = dice.number();
        let Some(fault) = pick(&possible, number) else {
            free_from = at;
            if at > last_end {
                return faults;
            }
            continue;
        };
        let blocking = scenario.faults.iter().find(|other| other.at < fault.end() && at < other.end());
        match blocking {
            _ if fault.end() > last_end => return faults,
            Some(other) => free_from = other.end(),
            None => {
                free_from = fault.end();
                faults.push(fault.clone());
            }
        }
    }
}

fn pick<T>(choices: &[T], number: u64) -> Option<&T> {
    let count = choices.len() as u64;
    (count > 0).then(|| &choices[(number % count) as usize])
}

/// Each fault of a kind that is possible while `consumers` run.
fn candidates(kind: FaultKind, scenario: &Scenario, consumers: u16, dice: &mut Dice) -> Vec<Fault> {
    let load = &scenario.load;
    let servers: Vec<Target> = (1..=3).map(Target::Broker).chain([Target::Redis, Target::Postgres]).collect();
    let programs: Vec<Target> = (1..=consumers).map(Target::Consumer).chain([Target::CacheWorker]).collect();
    let processes = || servers.iter().chain(&programs).copied();
    let producers = || (1..=load.producers).map(Target::Producer);
    match kind {
        FaultKind::Kill => processes().map(Fault::Kill).collect(),
        FaultKind::Stop => processes().map(Fault::Stop).collect(),
        FaultKind::Pause => processes().chain(producers()).map(Fault::Pause).collect(),
        FaultKind::Restart => processes().map(Fault::Restart).collect(),
        FaultKind::KillBackend => vec![Fault::KillBackend],
        FaultKind::ScaleConsumers => {
            let numbers = 1..=load.consumers.saturating_mul(2).clamp(2, 64);
            numbers.filter(|number| *number != load.consumers).map(Fault::ScaleConsumers).collect()
        }
        FaultKind::SlowLink => {
            let delay = dice.milliseconds(STEP, 5 * STEP) / 5;
            servers.into_iter().map(|target| Fault::SlowLink { target, delay }).collect()
        }
        FaultKind::CutLink => servers.into_iter().map(Fault::CutLink).collect(),
        FaultKind::ResetLink => servers.into_iter().map(Fault::ResetLink).collect(),
        FaultKind::BlackHoleLink => servers.into_iter().map(Fault::BlackHoleLink).collect(),
        FaultKind::FillDisk => vec![Fault::FillDisk],
        FaultKind::SkewClock => {
            let ahead = dice.milliseconds(1_000, 60_000).as_millis() as i64;
            let offset_ms = *dice.one_of(&[ahead, -ahead]);
            programs.into_iter().chain(producers()).map(|target| Fault::SkewClock { target, offset_ms }).collect()
        }
        FaultKind::LockTable => {
            ["orders", "users", "products"].map(|table| Fault::LockTable { table: table.to_owned() }).into()
        }
    }
}

struct Dice {
    generator: ChaCha8Rng,
}

impl Dice {
    /// The key of 32 bytes is the seed in little-endian order and the word `faults`, filled up with zeros.
    fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..14].copy_from_slice(b"faults");
        Self { generator: ChaCha8Rng::from_seed(key) }
    }

    fn number(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A multiple of [`STEP`] from `least` to `most`.
    fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        let steps = (most - least) / STEP + 1;
        Duration::from_millis(least / STEP * STEP + self.number() % steps * STEP)
    }

    /// `choices` is not empty.
    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let number = self.number();
        &choices[(number % choices.len() as u64) as usize]
    }
}
