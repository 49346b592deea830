//! A share of the orders on the command line.

/// Parses a share, from 0 to 1.
///
/// # Errors
/// A message with the forms of a share.
pub fn parse_share(text: &str) -> Result<f64, &'static str> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 0.01));
    let share = number.trim().parse::<f64>().map(|number| number * unit);
    let valid = share.ok().filter(|share| (0.0..=1.0).contains(share));
    valid.ok_or("a share is 0% to 100%, such as 0.1%, or 0 to 1, such as 0.001")
}
