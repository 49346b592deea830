//! The file of a lifecycle: TOML, in which every key is known and every value has a range.

use std::ops::Range;

use shared::lifecycle::{MAX_REASON_CHARS, OrderStatus};
use toml_edit::{Document, Item, TableLike};

use super::{
    delay,
    entry::{check_keys, list, number, required, span, written},
    model::{Branch, Change, Lifecycle, MAX_HISTORY},
    problem::{LifecycleError, Problem},
};
use crate::share::parse_share;

/// The branch by which an order stays as it is.
const END: &str = "end";
/// A larger weight has no use, and the sum of the weights must be finite.
const MAX_WEIGHT: f64 = 1e9;

/// The lifecycle of `--lifecycle` without a file, as `producer lifecycle` prints it.
pub fn default_text() -> &'static str {
    include_str!("default.toml")
}

/// Reads a lifecycle from `text`, the content of `file`.
///
/// # Errors
/// With the first thing that is wrong in it.
pub fn read(file: &str, text: &str) -> Result<Lifecycle, LifecycleError> {
    lifecycle(text).map_err(|problem| LifecycleError { file: file.to_owned(), text: text.to_owned(), problem })
}

fn lifecycle(text: &str) -> Result<Lifecycle, Problem> {
    let document = Document::parse(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        Problem::new(error.span().unwrap_or(0..0), "not valid TOML", message, "`producer lifecycle` prints an example")
    })?;
    let root = document.as_table();
    let mut lifecycle = Lifecycle::new(root.get("share").map_or(Ok(1.0), |item| share(item, span(root, "share")))?);
    for (key, item) in root.iter().filter(|(key, _)| *key != "share") {
        let place = span(root, key);
        let Ok(status) = key.parse::<OrderStatus>() else {
            let statuses = list(&OrderStatus::ALL);
            let help = format!("the keys of the file are `share` and the statuses: {statuses}");
            return Err(Problem::new(place, format!("unknown status `{key}`"), "no status of an order", help));
        };
        lifecycle.set_branches(status, branches(status, item, place)?);
    }
    check_length(&lifecycle, root)?;
    Ok(lifecycle)
}

fn share(item: &Item, place: Range<usize>) -> Result<f64, Problem> {
    let text = match (item.as_str(), number(item)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) => number.to_string(),
        (None, None) => item.type_name().to_owned(),
    };
    parse_share(&text).map_err(|expected| {
        let place = item.span().unwrap_or(place);
        Problem::new(place, format!("`share` can't be {}", written(item)), expected, "it is the share that goes on")
    })
}

fn branches(status: OrderStatus, item: &Item, place: Range<usize>) -> Result<Vec<Branch>, Problem> {
    let Some(table) = item.as_table_like() else {
        let label = format!("expected a table, found {}", written(item));
        return Err(Problem::new(place, format!("`{status}` must be a table"), label, format!("write [{status}]")));
    };
    let branches: Result<Vec<Branch>, Problem> =
        table.iter().map(|(key, item)| branch(status, key, item, span(table, key))).collect();
    let branches = branches?;
    if branches.iter().all(|branch| branch.weight == 0.0) {
        let help = format!("give one a weight, or remove the table: then the order stays {status}");
        return Err(Problem::new(place, format!("no branch of [{status}] has a weight above 0"), "all are 0", help));
    }
    Ok(branches)
}

fn branch(status: OrderStatus, key: &str, item: &Item, place: Range<usize>) -> Result<Branch, Problem> {
    let next = if key == END { None } else { Some(next(status, key, &place)?) };
    let known: &[&str] = if next.is_some() { &["weight", "delay", "reason"] } else { &["weight"] };
    let table = item.as_table_like().ok_or_else(|| {
        let label = format!("expected a table, found {}", written(item));
        let help = match next {
            Some(next) => format!("{next} = {{ weight = 1, delay = \"5s\" }}"),
            None => format!("{END} = {{ weight = 1 }}"),
        };
        Problem::new(place.clone(), format!("`{key}` of [{status}] must be a table"), label, help)
    })?;
    check_keys(table, &format!("`{key}` of [{status}]"), known)?;
    let weight = weight(required(table, "weight", key, &place)?, &place)?;
    let Some(next) = next else { return Ok(Branch { weight, change: None }) };
    let delay = delay::read(required(table, "delay", key, &place)?, span(table, "delay"))?;
    let reason = table.get("reason").map_or(Ok(String::new()), |item| reason(item, span(table, "reason")))?;
    Ok(Branch { weight, change: Some(Change { status: next, delay, reason }) })
}

/// A status that may follow `status`.
fn next(status: OrderStatus, key: &str, place: &Range<usize>) -> Result<OrderStatus, Problem> {
    let help = match status.next() {
        [] => format!("`{status}` is the end of an order: the only branch is `{END}`"),
        allowed => format!("after `{status}` come: {}, or `{END}`", list(allowed)),
    };
    let Ok(next) = key.parse::<OrderStatus>() else {
        let message = format!("unknown status `{key}` in [{status}]");
        return Err(Problem::new(place.clone(), message, "no status of an order", help));
    };
    if status.next().contains(&next) {
        return Ok(next);
    }
    let message = format!("an order that is `{status}` can't become `{next}`");
    Err(Problem::new(place.clone(), message, "not a transition", help))
}

fn weight(item: &Item, place: &Range<usize>) -> Result<f64, Problem> {
    number(item).filter(|weight| (0.0..=MAX_WEIGHT).contains(weight)).ok_or_else(|| {
        let place = item.span().unwrap_or_else(|| place.clone());
        let help = "weights are compared with each other: they need no certain sum";
        Problem::new(place, format!("`weight` can't be {}", written(item)), "expected a number from 0 to 1e9", help)
    })
}

fn reason(item: &Item, place: Range<usize>) -> Result<String, Problem> {
    let is_usable = |text: &&str| text.chars().count() <= MAX_REASON_CHARS && !text.contains('\0');
    item.as_str().filter(is_usable).map(str::to_owned).ok_or_else(|| {
        let label = format!("expected a text of at most {MAX_REASON_CHARS} characters, without NUL");
        let place = item.span().unwrap_or(place);
        Problem::new(place, "the reason can't be stored", label, "shorten it; the column of the table has this length")
    })
}

fn check_length(lifecycle: &Lifecycle, root: &dyn TableLike) -> Result<(), Problem> {
    let (longest, way) = lifecycle.longest();
    if longest <= MAX_HISTORY {
        return Ok(());
    }
    let [time, limit] = [longest, MAX_HISTORY].map(humantime::format_duration);
    let way = way.iter().map(|status| status.as_str()).collect::<Vec<_>>();
    let first = way.first().map_or(0..0, |status| span(root, status));
    let message = format!("a history may last {time}, more than {limit}");
    Err(Problem::new(first, message, way.join(" → "), "make the delays on this way shorter"))
}
