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
    lifecycle(text).map_err(|problem| LifecycleError {
        file: file.to_owned(),
        text: text.to_owned(),
        problem: Box::new(problem),
    })
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
    if OrderStatus::ALL.iter().all(|status| lifecycle.branches(*status).is_empty()) {
        let help = "write [paid] with a branch; `producer lifecycle` prints an example";
        return Err(Problem::new(0..0, "no status has a table, so that no order goes on", "no table follows", help));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lifecycle::model::Delay;

    #[test]
    fn the_forms_of_shares_weights_and_delays_are_read() {
        let text = "share = 0.5\n[paid]\nprocessing = { weight = 1.5, delay = '5s', reason = '재고' }\n\
                    cancelled = { weight = 0, delay = { from = '0s', to = '1500ms' } }\nend = { weight = 2 }\n\
                    [paid.refunded]\nweight = 1\ndelay = { mean = '3s', max = '20s' }";
        let lifecycle = read("f", text).unwrap();
        assert_eq!(lifecycle.share, 0.5);
        let change = |status, delay, reason: &str| Some(Change { status, delay, reason: reason.to_owned() });
        let expected = [
            (1.5, change(OrderStatus::Processing, Delay::Constant(5_000_000), "재고")),
            (0.0, change(OrderStatus::Cancelled, Delay::Uniform { from: 0, to: 1_500_000 }, "")),
            (2.0, None),
            (1.0, change(OrderStatus::Refunded, Delay::Exponential { mean: 3_000_000, max: 20_000_000 }, "")),
        ];
        let expected = expected.map(|(weight, change)| Branch { weight, change });
        assert_eq!(lifecycle.branches(OrderStatus::Paid), expected);
        assert_eq!(lifecycle.longest(), (Duration::from_secs(20), vec![OrderStatus::Paid, OrderStatus::Refunded]));
        for (text, share) in [("", 1.0), ("share = '25%'", 0.25), ("share = 1", 1.0), ("share = 0", 0.0)] {
            let text = format!("{text}\n[paid]\nend = {{ weight = 1 }}");
            assert_eq!(read("f", &text).unwrap().share, share, "{text}");
        }
    }

    /// The message, and the place: line and column.
    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
        let paid = |rest: &str| format!("[paid]\n{rest}");
        let delay = |delay: &str| paid(&format!("processing = {{ weight = 1, delay = {delay} }}"));
        let weight = |weight: &str| paid(&format!("processing = {{ weight = {weight}, delay = '5s' }}"));
        let reason = |reason: &str| paid(&format!("processing = {{ weight = 1, delay = '5s', reason = {reason} }}"));
        for (text, expected) in [
            ("[payed]".to_owned(), ["unknown status `payed`", "f:1:2", "`payment_pending`"]),
            (paid("sent = { weight = 1 }"), ["unknown status `sent` in [paid]", "f:2:1", "`processing`, `cancelled`"]),
            (
                paid("delivered = { weight = 1, delay = '1s' }"),
                ["an order that is `paid` can't become `delivered`", "f:2:1", "`refunded`, or `end`"],
            ),
            (
                "[cancelled]\npaid = { weight = 1, delay = '1s' }".to_owned(),
                ["`cancelled` can't become `paid`", "f:2:1", "the only branch is `end`"],
            ),
            (paid("processing = 3"), ["must be a table", "f:2:1", "found 3"]),
            ("paid = 3".to_owned(), ["`paid` must be a table", "f:1:1", "write [paid]"]),
            ("[[paid]]\nend = { weight = 1 }".to_owned(), ["`paid` must be a table", "f:1:3", "an array of tables"]),
            (paid("[[paid.end]]\nweight = 1"), ["`end` of [paid] must be a table", "f:2:8", "an array of tables"]),
            (String::new(), ["no status has a table", "f:1:1", "`producer lifecycle`"]),
            ("\n# nothing\nshare = 1".to_owned(), ["no status has a table", "f:1:1", "write [paid]"]),
            (weight("-1"), ["`weight` can't be -1", "f:2:25", "a number from 0"]),
            (weight("inf"), ["`weight` can't be inf", "f:2:25", "a number from 0"]),
            (weight("nan"), ["`weight` can't be nan", "f:2:25", "a number from 0"]),
            (weight("'1'"), ["`weight` can't be \"1\"", "f:2:25", "a number from 0"]),
            (weight("0"), ["no branch of [paid] has a weight above 0", "f:1:2", "the order stays paid"]),
            ("[paid]".to_owned(), ["no branch of [paid] has a weight above 0", "f:1:2", "remove the table"]),
            (paid("end = { weight = 1, delay = '1s' }"), ["unknown key `delay` in `end`", "f:2:21", "`weight`"]),
            (paid("cancelled = { delay = '1s' }"), ["`cancelled` has no `weight`", "f:2:1", "weight = 1"]),
            (paid("cancelled = { weight = 1 }"), ["`cancelled` has no `delay`", "f:2:1", "delay = \"5s\""]),
            (weight("1, wait = '1s'"), ["unknown key `wait`", "f:2:28", "`weight`, `delay`, `reason`"]),
            (delay("{ from = '5s', to = '1s' }"), ["`from` is above `to`", "f:2:45", "exchange them"]),
            (delay("{ mean = '5s', max = '1s' }"), ["`mean` is above `max`", "f:2:45", "make it larger"]),
            (delay("{ mean = '5s' }"), ["has not the keys of one distribution", "f:2:36", "`mean` and `max`"]),
            (delay("{ from = '5s', max = '9s' }"), ["has not the keys of one", "f:2:36", "`from` and `to`"]),
            (delay("{ from = '1s', until = '9s' }"), ["unknown key `until` in `delay`", "f:2:51", "`mean`"]),
            (delay("5"), ["`delay` can't be 5", "f:2:36", "a duration with its unit"]),
            (delay("'-5s'"), ["`delay` can't be \"-5s\"", "f:2:36", "a duration with its unit"]),
            (delay("'61m'"), ["`delay` can't be \"61m\"", "f:2:36", "at most 1h"]),
            (reason(&format!("'{}'", "가".repeat(101))), ["the reason can't be stored", "f:2:51", "100 characters"]),
            (reason("\"a\\u0000b\""), ["the reason can't be stored", "f:2:51", "without NUL"]),
            (reason("7"), ["the reason can't be stored", "f:2:51", "a text"]),
            ("share = 1.5".to_owned(), ["`share` can't be 1.5", "f:1:9", "0% to 100%"]),
            ("share = 'all'".to_owned(), ["`share` can't be \"all\"", "f:1:9", "0% to 100%"]),
            ("share = []".to_owned(), ["`share` can't be []", "f:1:9", "0% to 100%"]),
            ("[paid]\n[paid]".to_owned(), ["not valid TOML", "f:2:", "duplicate key"]),
            (paid("end = { weight = 1 }\nend = { weight = 2 }"), ["not valid TOML", "f:3:1", "duplicate key"]),
            ("[paid".to_owned(), ["not valid TOML", "f:1:", "`producer lifecycle`"]),
            (
                "[paid]\nprocessing = { weight = 1, delay = '40m' }\n[processing]\n\
                 shipped = { weight = 1, delay = '21m' }"
                    .to_owned(),
                ["a history may last 1h 1m, more than 1h", "f:1:2", "paid → processing → shipped"],
            ),
        ] {
            let error = read("f", &text).expect_err(&text).to_string();
            assert!(expected.iter().all(|expected| error.contains(expected)), "{text}: {expected:?}\n{error}");
        }
    }

    #[test]
    fn a_branch_that_is_never_taken_does_not_make_a_history_longer() {
        let text = "[paid]\nprocessing = { weight = 1, delay = '40m' }\n[processing]\nend = { weight = 1 }\n\
                    shipped = { weight = 0, delay = '21m' }";
        assert_eq!(read("f", text).unwrap().longest().0, Duration::from_secs(40 * 60));
    }
}
