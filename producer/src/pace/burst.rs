//! Extra orders at one time, as written on the command line.

use std::{str::FromStr, time::Duration};

/// Extra orders at one time, repeated: `5000@10s` is 5,000 orders every 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    pub orders: u64,
    /// Time between two bursts, and before the first one.
    pub every: Duration,
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (orders, every) = text.split_once('@').ok_or("a burst is ORDERS@DURATION, such as 5000@10s")?;
        let orders = orders.parse().ok().filter(|orders| *orders > 0).ok_or("a burst has at least one order")?;
        Ok(Self { orders, every: shared::program::positive_duration(every)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_has_orders_and_an_interval() {
        assert_eq!("3@1s".parse(), Ok(Burst { orders: 3, every: Duration::from_secs(1) }));
        for wrong in ["3", "0@1s", "3@0s", "-3@1s", "@"] {
            assert!(wrong.parse::<Burst>().is_err(), "{wrong}");
        }
    }
}
