//! Values of a scenario, each with its range. An error says what is expected.

use std::time::Duration;

use producer::pace::Rate;
use shared::program::positive_duration;

use super::tree::{Node, Value};
use crate::scenario::error::{Problem, list, similar};

/// The longest duration of a phase, a fault or a time: a week.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3_600);

pub fn wrong(node: &Node, name: &str, expected: &str) -> Problem {
    let found = match &node.value {
        Value::String(text) => format!("\"{text}\""),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        other => other.type_name().to_owned(),
    };
    Problem::new(&node.span, format!("`{name}` can't be {found}"), format!("expected {expected}"))
}

pub fn text<'a>(node: &'a Node, name: &str) -> Result<&'a str, Problem> {
    match &node.value {
        Value::String(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(wrong(node, name, "a text")),
    }
}

pub fn boolean(node: &Node, name: &str) -> Result<bool, Problem> {
    match node.value {
        Value::Bool(boolean) => Ok(boolean),
        _ => Err(wrong(node, name, "true or false")),
    }
}

/// A whole number from 1 to `max`.
pub fn count(node: &Node, name: &str, max: u16) -> Result<u16, Problem> {
    let parsed = match node.value {
        Value::Integer(number) => u16::try_from(number).ok(),
        _ => None,
    };
    let in_range = parsed.filter(|number| (1..=max).contains(number));
    in_range.ok_or_else(|| wrong(node, name, &format!("a whole number from 1 to {max}")))
}

pub fn seed(node: &Node) -> Result<u64, Problem> {
    let parsed = match node.value {
        Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    };
    parsed.ok_or_else(|| wrong(node, "seed", "a whole number from 0"))
}

/// Orders per second from 0 to ten millions: a number, or a text such as "2.5k".
pub fn rate(node: &Node, name: &str) -> Result<f64, Problem> {
    let parsed = match &node.value {
        Value::Integer(0) => return Ok(0.0),
        Value::Float(number) if *number == 0.0 => return Ok(0.0),
        Value::Integer(number) => number.to_string().parse::<Rate>().ok(),
        Value::Float(number) => number.to_string().parse::<Rate>().ok(),
        Value::String(text) => text.parse::<Rate>().ok(),
        _ => None,
    };
    let expected = "orders per second from 0 to 10000000, such as 1000 or \"2.5k\"";
    parsed.map(Rate::per_second).ok_or_else(|| wrong(node, name, expected))
}

/// A share from 0 to 1: a number, or a text such as "0.1%".
pub fn share(node: &Node, name: &str) -> Result<f64, Problem> {
    let parsed = match &node.value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::String(text) => {
            let percent = text.trim().strip_suffix('%');
            percent.and_then(|number| number.trim().parse::<f64>().ok()).map(|percent| percent / 100.0)
        }
        _ => None,
    };
    let in_range = parsed.filter(|share| (0.0..=1.0).contains(share));
    in_range.ok_or_else(|| wrong(node, name, "a share from \"0%\" to \"100%\", or from 0 to 1"))
}

/// A duration above 0.
pub fn duration(node: &Node, name: &str) -> Result<Duration, Problem> {
    let expected = "a duration with its unit, such as \"30s\", \"1m30s\" or \"500ms\"";
    let text = match &node.value {
        Value::String(text) => text,
        Value::Integer(number) => {
            return Err(wrong(node, name, expected).help(format!("did you mean \"{number}s\"?")));
        }
        _ => return Err(wrong(node, name, expected)),
    };
    match positive_duration(text) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) => Err(wrong(node, name, "at most \"7d\"")),
        Err(_) if is_zero(text) => Err(wrong(node, name, "a duration above 0")),
        Err(_) => Err(wrong(node, name, expected)),
    }
}

/// A time after the beginning of the schedule, from "0s".
pub fn time(node: &Node, name: &str) -> Result<Duration, Problem> {
    match &node.value {
        Value::String(text) if is_zero(text) => Ok(Duration::ZERO),
        _ => duration(node, name),
    }
}

/// A time with a sign in milliseconds, such as "+5s" or "-1h".
pub fn offset(node: &Node, name: &str) -> Result<i64, Problem> {
    let parsed = match &node.value {
        Value::String(text) => {
            let (sign, amount) = text.strip_prefix('-').map_or((1, text.trim_start_matches('+')), |text| (-1, text));
            let amount = positive_duration(amount).ok().filter(|amount| *amount <= MAX_DURATION);
            amount.map(|amount| sign * amount.as_millis() as i64)
        }
        _ => None,
    };
    parsed.ok_or_else(|| wrong(node, name, "an offset of the clock, such as \"+5s\" or \"-10m\""))
}

/// One of the names of `choices`.
pub fn choice<T: Copy>(node: &Node, name: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of {}", list(&names));
    let Value::String(text) = &node.value else { return Err(wrong(node, name, &expected)) };
    let chosen = choices.iter().find(|(name, _)| name == text).map(|(_, chosen)| *chosen);
    chosen.ok_or_else(|| {
        let problem = wrong(node, name, &expected);
        match similar(text, names) {
            Some(similar) => problem.help(format!("did you mean \"{similar}\"?")),
            None => problem,
        }
    })
}

pub fn elements<'a>(node: &'a Node, name: &str, expected: &str) -> Result<&'a [Node], Problem> {
    match &node.value {
        Value::Array(nodes) => Ok(nodes),
        _ => Err(wrong(node, name, expected)),
    }
}

fn is_zero(text: &str) -> bool {
    humantime::parse_duration(text).is_ok_and(|duration| duration.is_zero())
}
