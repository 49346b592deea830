//! Which status an order may get next.

use anyhow::{anyhow, bail};
use shared::lifecycle::OrderStatus;

/// The status `wanted` of order `id`, if it may follow `current`.
///
/// # Errors
/// When it may not; the message has what is allowed.
pub fn next_status(id: &str, current: &str, wanted: OrderStatus) -> anyhow::Result<OrderStatus> {
    let current: OrderStatus = current.parse().map_err(|unknown| anyhow!("order {id} can't be changed: {unknown}"))?;
    let allowed: Vec<&str> = current.next().iter().map(|next| next.as_str()).collect();
    match allowed.split_last() {
        _ if current.next().contains(&wanted) => Ok(wanted),
        None => bail!("order {id} is {current}: no status follows, so that it can't become {wanted}"),
        Some((only, [])) => bail!("order {id} is {current}: it can become {only}, not {wanted}"),
        Some((last, others)) => {
            bail!("order {id} is {current}: it can become {} or {last}, not {wanted}", others.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_can_not_follow_is_refused_with_those_that_can() {
        let refused = |current: &str, wanted| next_status("a", current, wanted).unwrap_err().to_string();
        assert_eq!(next_status("a", "paid", OrderStatus::Processing).unwrap(), OrderStatus::Processing);
        for (current, wanted, expected) in [
            (
                "paid",
                OrderStatus::Shipped,
                "order a is paid: it can become processing, cancelled or refunded, not shipped",
            ),
            ("paid", OrderStatus::Paid, "order a is paid: it can become processing, cancelled or refunded, not paid"),
            ("delivered", OrderStatus::Paid, "order a is delivered: it can become refunded, not paid"),
            ("cancelled", OrderStatus::Paid, "order a is cancelled: no status follows, so that it can't become paid"),
        ] {
            assert_eq!(refused(current, wanted), expected);
        }
        let foreign = refused("lost", OrderStatus::Paid);
        assert!(foreign.starts_with("order a can't be changed: \"lost\" is no status of an order"), "{foreign}");
    }
}
