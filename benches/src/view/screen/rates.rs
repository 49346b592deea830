//! Orders per second: asked, sent, acknowledged and stored, now and over the last minutes.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Sparkline, Widget},
};

use super::{layout::Height, picture::Picture};
use crate::view::{figures, state::Moment};

const LABEL: u16 = 14;
const VALUE: u16 = 11;
/// A rate below this share of the rate asked is marked.
const BEHIND: f64 = 0.9;

/// Orders per second of one kind.
type Rate = fn(&Moment) -> Option<f64>;

/// Lines of the panel in which each graph has two.
const LARGE: u16 = 1 + 4 * 2 + 3;

pub fn height(is_large: bool) -> Height {
    Height { least: 5, wanted: if is_large { LARGE } else { 1 + 4 + 3 } }
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let (state, theme) = (picture.state, picture.theme);
    let graph_width = area.width.saturating_sub(LABEL + VALUE + 2);
    let (columns, per_column) = columns(state.history.iter().copied(), graph_width.into());
    let shown = Duration::from_secs((columns.len() * per_column) as u64);
    let remark = match per_column {
        _ if columns.is_empty() => String::new(),
        1 => format!("last {}", figures::clock(shown)),
        seconds => format!("last {}, averages of {seconds} s", figures::clock(shown)),
    };
    let area = picture.titled(vec![Span::styled("Orders per second", theme.title())], &remark, area, buffer);

    let last = state.history.back().copied().unwrap_or_default();
    let series: [(&str, Rate, Style); 4] = [
        ("asked", |moment| Some(moment.asked), theme.label()),
        ("sent", |moment| moment.sent, theme.graph()),
        ("acknowledged", |moment| moment.acknowledged, theme.graph()),
        ("stored", |moment| moment.stored, theme.good()),
    ];
    let top = columns.iter().flat_map(|moment| series.iter().filter_map(|(_, value, _)| value(moment)));
    let top = top.fold(1.0, f64::max);
    let lines = if area.height >= LARGE - 1 { 2 } else { 1 };
    let row = |number: u16| Rect { y: area.y + number * lines, height: lines, ..area }.intersection(area);
    for ((name, value, style), number) in series.iter().zip(0..) {
        let row = row(number);
        let rate = if state.history.is_empty() { None } else { value(&last) };
        let is_behind = rate.is_some_and(|rate| rate < BEHIND * last.asked);
        let value_style = if is_behind { theme.warning() } else { theme.value() };
        let [label_area, value_area, graph] = cells(row);
        Line::styled(format!(" {name}"), theme.label()).render(label_area, buffer);
        Line::styled(figures::rate(rate), value_style).right_aligned().render(value_area, buffer);
        let data = columns.iter().map(|moment| value(moment).map(|rate| steps(rate, top)));
        Sparkline::default().data(data.collect::<Vec<_>>()).max(STEPS).style(*style).render(graph, buffer);
    }
    let y = (area.y + 4 * lines).min(area.bottom());
    let mut rest = Rect { y, height: area.bottom() - y, ..area };
    // Where there is one line, the totals have it: the faults are among the events, too.
    if rest.height > 1 {
        draw_faults(picture, &columns, Rect { height: 1, ..rest }, buffer);
        rest = Rect { y: rest.y + 1, height: rest.height - 1, ..rest };
    }
    draw_totals(picture, rest, buffer);
}

/// Steps of the height of a graph. The highest one stays empty, which separates it from the graph above.
const STEPS: u64 = 16;

/// The height of a bar. A rate above 0 is never nothing.
fn steps(rate: f64, top: f64) -> u64 {
    let full = STEPS as f64 - 2.0;
    (rate / top * full).round().max(if rate > 0.0 { 2.0 } else { 0.0 }) as u64
}

/// Label and value on the lowest line of the row, and its graph.
fn cells(row: Rect) -> [Rect; 3] {
    let lowest = Rect { y: row.bottom().saturating_sub(1).max(row.y), height: row.height.min(1), ..row };
    let label = Rect { width: LABEL.min(row.width), ..lowest };
    let value = Rect { x: label.right(), width: VALUE.min(row.width - label.width), ..lowest };
    let graph = value.right() + 2;
    [label, value, Rect { x: graph, width: row.right().saturating_sub(graph), ..row }]
}

/// Marks the seconds in which a fault was in force.
fn draw_faults(picture: Picture, columns: &[Moment], row: Rect, buffer: &mut Buffer) {
    let [label, _, graph] = cells(row);
    let marks: String = columns.iter().map(|moment| if moment.has_fault { '▀' } else { ' ' }).collect();
    if marks.contains('▀') {
        Line::styled(" fault in force", picture.theme.label()).render(Rect { width: LABEL + VALUE, ..label }, buffer);
        Line::styled(marks, picture.theme.bad()).render(graph, buffer);
    }
}

/// As many as have room, the first ones first.
fn draw_totals(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let Some(sample) = &picture.state.sample else { return };
    let mut totals = vec![
        format!("{} acknowledged", figures::count(sample.acknowledged)),
        format!("{} stored", figures::count(sample.stored)),
        format!("{} dead letters", figures::count(sample.dead_lettered)),
        format!("{} duplicates", figures::count(sample.duplicates)),
        format!("{} in flight", figures::count(sample.in_flight)),
    ];
    totals.extend(sample.rows_per_batch.map(|rows| format!("{rows:.0} rows a batch")));
    totals.extend(sample.cache_age_seconds.map(|age| format!("cache {age:.0} s old")));
    let mut totals = totals.into_iter().peekable();
    for row in area.rows() {
        let mut text = format!(" {}", totals.next().unwrap_or_default());
        while let Some(total) = totals.next_if(|total| text.len() + 3 + total.len() <= usize::from(row.width)) {
            text = format!("{text} · {total}");
        }
        Line::styled(text, picture.theme.label()).render(row, buffer);
    }
}

/// The last seconds as at most `width` columns, and the seconds in one of them. A column with more than one second has
/// their average. Columns begin at multiples of their length, so that one second changes only the last of them.
fn columns(history: impl ExactSizeIterator<Item = Moment>, width: usize) -> (Vec<Moment>, usize) {
    let per_column = history.len().div_ceil(width.max(1)).max(1);
    let mut columns: Vec<(i64, Vec<Moment>)> = Vec::new();
    for moment in history {
        let column = (moment.seconds / per_column as f64).floor() as i64;
        match columns.last_mut() {
            Some((last, moments)) if *last == column && per_column > 1 => moments.push(moment),
            _ => columns.push((column, vec![moment])),
        }
    }
    let first = columns.len().saturating_sub(width);
    (columns[first..].iter().map(|(_, moments)| average(moments)).collect(), per_column)
}

fn average(moments: &[Moment]) -> Moment {
    let of = |value: fn(&Moment) -> Option<f64>| {
        let known: Vec<f64> = moments.iter().filter_map(value).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Moment {
        seconds: moments[0].seconds,
        asked: of(|moment| Some(moment.asked)).unwrap_or_default(),
        sent: of(|moment| moment.sent),
        acknowledged: of(|moment| moment.acknowledged),
        stored: of(|moment| moment.stored),
        has_fault: moments.iter().any(|moment| moment.has_fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_seconds_than_columns_are_averaged_and_only_the_last_column_changes() {
        let moments = |count: u32| {
            (0..count).map(|second| Moment {
                seconds: second.into(),
                stored: (second != 3).then_some(f64::from(second)),
                has_fault: second == 4,
                ..Moment::default()
            })
        };
        let stored = |moments: &[Moment]| moments.iter().map(|moment| moment.stored).collect::<Vec<_>>();
        let (one_each, per_column) = columns(moments(4).collect::<Vec<_>>().into_iter(), 4);
        assert_eq!((stored(&one_each), per_column), (vec![Some(0.0), Some(1.0), Some(2.0), None], 1));
        let (averages, per_column) = columns(moments(6).collect::<Vec<_>>().into_iter(), 4);
        assert_eq!((stored(&averages), per_column), (vec![Some(0.5), Some(2.0), Some(4.5)], 2));
        assert_eq!(averages.iter().map(|moment| moment.has_fault).collect::<Vec<_>>(), [false, false, true]);
        let (longer, _) = columns(moments(7).collect::<Vec<_>>().into_iter(), 4);
        assert_eq!(longer[..3], averages);
    }

    #[test]
    fn a_small_rate_is_drawn_and_no_rate_is_not() {
        assert_eq!([0.0, 0.1, 500.0, 1_000.0].map(|rate| steps(rate, 1_000.0)), [0, 2, 7, 14]);
    }
}
