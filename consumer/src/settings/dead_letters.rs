use std::{fmt, str::FromStr};

use clap::Args;

/// The maximum number of dead letters of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeadLetterLimit {
    /// In 10 s: more than a share of all records, and more than 100; or more than a number.
    At {
        /// 0 to 1.
        share: f64,
        dead_letters: u64,
    },
    Unlimited,
}

impl Default for DeadLetterLimit {
    fn default() -> Self {
        Self::At { share: 0.05, dead_letters: 1_000 }
    }
}

impl fmt::Display for DeadLetterLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { share, dead_letters } => write!(f, "{}%,{dead_letters}", share * 100.0),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

impl FromStr for DeadLetterLimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const USAGE: &str = "a limit is SHARE%,NUMBER, such as 5%,1000, or none";
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let (share, number) = text.split_once(',').ok_or(USAGE)?;
        let percent: f64 = share.trim().strip_suffix('%').and_then(|share| share.parse().ok()).ok_or(USAGE)?;
        let dead_letters = number.trim().parse().map_err(|_| USAGE)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(USAGE);
        }
        Ok(Self::At { share: percent / 100.0, dead_letters })
    }
}

/// The limit at which dead-lettering stops.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Dead letters")]
pub struct DeadLetterSettings {
    /// Maximum dead letters of one kind in 10 s: a share of the records (at least 100 dead letters), or a number. Above
    /// it, dead-lettering stops until the signal USR1 accepts the kind. `none`: no limit.
    #[arg(long, default_value_t, value_name = "SHARE%,NUMBER")]
    pub dead_letter_limit: DeadLetterLimit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_share_and_a_number() {
        assert_eq!("5%,1000".parse(), Ok(DeadLetterLimit::default()));
        assert_eq!(DeadLetterLimit::default().to_string().parse(), Ok(DeadLetterLimit::default()));
        assert_eq!("none".parse(), Ok(DeadLetterLimit::Unlimited));
        for wrong in ["", "5", "5%", "101%,1", "-1%,1", "5%,-1", "5,1000"] {
            assert!(wrong.parse::<DeadLetterLimit>().is_err(), "{wrong}");
        }
    }
}
