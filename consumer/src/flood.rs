//! A flood of dead letters of one kind is no matter of bad orders: the database is the wrong one, or not seeded, or the
//! producers have a version that nobody here knows. Nothing more is dead-lettered then until a person says so.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Dead letters are counted in windows of this length.
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer dead letters than this in a window are no flood, whatever their share is.
const FEWEST: u64 = 100;

/// How many dead letters of one kind are a flood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// More than a share (0 to 1) of all records, and a hundred at least, or more than a number, in 10 s.
    At {
        /// Of the records that were read.
        share: f64,
        /// Dead letters.
        letters: u64,
    },
    /// As many as there are.
    Unlimited,
}

impl Default for Limit {
    fn default() -> Self {
        Self::At { share: 0.05, letters: 1_000 }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At { share, letters } => write!(f, "{}%,{letters}", share * 100.0),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "a limit is SHARE%,NUMBER, such as 5%,1000, or none";
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let (share, letters) = text.split_once(',').ok_or(HOW)?;
        let percent: f64 = share.trim().strip_suffix('%').and_then(|share| share.parse().ok()).ok_or(HOW)?;
        let letters = letters.trim().parse().map_err(|_| HOW)?;
        if (0.0..=100.0).contains(&percent) { Ok(Self::At { share: percent / 100.0, letters }) } else { Err(HOW) }
    }
}

/// Counts, and lets dead letters through while they are no flood.
pub struct FloodGate {
    limit: Limit,
    window: Mutex<Window>,
}

struct Window {
    began: Instant,
    records: u64,
    letters: HashMap<&'static str, u64>,
    held: HashSet<&'static str>,
    /// The kinds that a person said are to be dead-lettered, however many there are.
    accepted: HashSet<&'static str>,
}

/// Whether a dead letter may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Pass,
    /// It is one of a flood: so many of its kind came in this window.
    Hold {
        /// Those that went, and this one.
        letters: u64,
    },
}

impl FloodGate {
    /// Nothing counted yet.
    pub fn new(limit: Limit) -> Self {
        let window = Window {
            began: Instant::now(),
            records: 0,
            letters: HashMap::new(),
            held: HashSet::new(),
            accepted: HashSet::new(),
        };
        Self { limit, window: Mutex::new(window) }
    }

    fn window(&self, now: Instant) -> MutexGuard<'_, Window> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        // A flood is not over because time passes.
        if now.duration_since(window.began) > WINDOW && window.held.is_empty() {
            (window.began, window.records) = (now, 0);
            window.letters.clear();
        }
        window
    }

    /// Records were read and decided about, those that are dead letters among them.
    pub fn records(&self, count: u64, now: Instant) {
        self.window(now).records += count;
    }

    /// One of `kind` is to go.
    pub fn try_pass(&self, kind: &'static str, now: Instant) -> Verdict {
        let mut window = self.window(now);
        if window.accepted.contains(kind) {
            return Verdict::Pass;
        }
        let letters = window.letters.get(kind).copied().unwrap_or_default() + 1;
        let flood = match self.limit {
            Limit::Unlimited => false,
            _ if window.held.contains(kind) => true,
            Limit::At { share, letters: most } => {
                letters > most || (letters > FEWEST && letters as f64 > share * window.records as f64)
            }
        };
        if flood {
            window.held.insert(kind);
            return Verdict::Hold { letters };
        }
        window.letters.insert(kind, letters);
        Verdict::Pass
    }

    /// A person accepts that what is held is dead-lettered, and all of its kinds from now on. Gives the kinds.
    pub fn accept(&self) -> Vec<&'static str> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds: Vec<&'static str> = std::mem::take(&mut window.held).into_iter().collect();
        window.accepted.extend(&kinds);
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::At { share: 0.05, letters: 1_000 };

    fn passed(gate: &FloodGate, kind: &'static str, letters: u64, now: Instant) -> u64 {
        (0..letters).filter(|_| gate.try_pass(kind, now) == Verdict::Pass).count() as u64
    }

    #[test]
    fn a_few_are_no_flood_whatever_their_share_is() {
        let (gate, now) = (FloodGate::new(LIMIT), Instant::now());
        gate.records(100, now);
        assert_eq!(passed(&gate, "unknown_user", 100, now), 100);
        assert_eq!(gate.try_pass("unknown_user", now), Verdict::Hold { letters: 101 });
        assert_eq!(gate.try_pass("malformed", now), Verdict::Pass, "another kind is another matter");
    }

    #[test]
    fn a_share_or_a_number_of_one_kind_in_a_window_is_a_flood() {
        let now = Instant::now();
        let by_share = FloodGate::new(LIMIT);
        by_share.records(10_000, now);
        assert_eq!(passed(&by_share, "malformed", 600, now), 500);
        let by_number = FloodGate::new(LIMIT);
        by_number.records(1_000_000, now);
        assert_eq!(passed(&by_number, "malformed", 2_000, now), 1_000);
        assert_eq!(passed(&FloodGate::new(Limit::Unlimited), "malformed", 5_000, now), 5_000);
    }

    #[test]
    fn a_flood_does_not_pass_by_itself_but_what_was_none_is_forgotten() {
        let (gate, now) = (FloodGate::new(LIMIT), Instant::now());
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(passed(&gate, "malformed", 100, now), 100);
        assert_eq!(passed(&gate, "malformed", 100, later), 100);
        assert_eq!(passed(&gate, "malformed", 1, later), 0);
        assert_eq!(passed(&gate, "malformed", 1, later + WINDOW * 2), 0);
        assert_eq!(gate.accept(), ["malformed"]);
        assert_eq!(passed(&gate, "malformed", 5_000, later + WINDOW * 2), 5_000);
        assert_eq!(gate.accept(), Vec::<&str>::new());
    }

    #[test]
    fn a_limit_is_a_share_and_a_number() {
        assert_eq!("5%,1000".parse(), Ok(Limit::default()));
        assert_eq!(Limit::default().to_string().parse(), Ok(Limit::default()));
        assert_eq!("none".parse(), Ok(Limit::Unlimited));
        for wrong in ["", "5", "5%", "101%,1", "-1%,1", "5%,-1", "5,1000"] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }
}
