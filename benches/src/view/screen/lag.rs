//! The lag of each partition, and the consumer that has it.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{layout::Height, picture::Picture};
use crate::{
    measure::PartitionLag,
    view::{figures, state::State},
};

/// The least width of a partition.
const LEAST_WIDTH: u16 = 38;
const COUNT: usize = 10;
const PARTITION: usize = 4;
/// A longer name of a consumer is cut.
const CONSUMER: usize = 12;
pub fn height(state: &State) -> Height {
    let partitions = state.sample.as_ref().map_or(0, |sample| sample.lag.len());
    Height { least: 1, wanted: 1 + partitions.max(1) as u16 }
}

fn columns(width: u16) -> usize {
    usize::from(width / LEAST_WIDTH).max(1)
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let state = picture.state;
    let title = vec![Span::styled("Lag by partition", picture.theme.title()), Span::raw(total(state))];
    let area = picture.titled(title, "a full bar: one second of orders, or the most", area, buffer);
    let Some(sample) = &state.sample else { return };
    let columns = if usize::from(area.height) < sample.lag.len() { columns(area.width) } else { 1 };
    let (shown, left_out) = shown(&sample.lag, columns * usize::from(area.height));
    let full = shown.iter().map(|partition| partition.records as f64).fold(sample.asked_rate.max(1.0), f64::max);
    let width = area.width / columns as u16;
    let places = area.rows().flat_map(|row| {
        (0..columns as u16).map(move |column| Rect { x: row.x + column * width, width: width.saturating_sub(1), ..row })
    });
    let mut places = places.into_iter();
    for (partition, place) in shown.iter().zip(&mut places) {
        draw_partition(picture, partition, full, place, buffer);
    }
    if let (Some(place), true) = (places.next(), left_out > 0) {
        Line::styled(format!(" … {left_out} more, with less"), picture.theme.label()).render(place, buffer);
    }
}

/// The total, and how long its orders took to become due at the present rate.
fn total(state: &State) -> String {
    let Some(sample) = &state.sample else { return String::new() };
    let Some(lag) = state.lag() else { return ": unknown, no broker answers".to_owned() };
    let records = figures::count(lag);
    match sample.asked_rate {
        rate if rate >= 1.0 && lag > 0 => format!(": {records} records, {:.1} s of orders", lag as f64 / rate),
        _ => format!(": {records} records"),
    }
}

/// All partitions, or those with the most records where not all have room (one of several places is for the number
/// of the others).
fn shown(lag: &[PartitionLag], places: usize) -> (Vec<PartitionLag>, usize) {
    let mut shown = lag.to_vec();
    if lag.len() > places {
        shown.sort_by_key(|partition| std::cmp::Reverse(partition.records));
        shown.truncate(if places == 1 { 1 } else { places.saturating_sub(1) });
    }
    shown.sort_by_key(|partition| partition.partition);
    let left_out = lag.len() - shown.len();
    (shown, left_out)
}

fn draw_partition(picture: Picture, partition: &PartitionLag, full: f64, place: Rect, buffer: &mut Buffer) {
    let theme = picture.theme;
    let bar_width = usize::from(place.width).saturating_sub(PARTITION + CONSUMER + COUNT + 2);
    let halves = (partition.records as f64 / full * bar_width as f64 * 2.0).ceil() as usize;
    let halves = halves.min(bar_width * 2);
    let bar = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
    let (consumer, style) = match partition.consumer.as_str() {
        "" => ("no consumer", theme.warning()),
        consumer => (consumer, theme.label()),
    };
    let consumer: String = consumer.chars().take(CONSUMER).collect();
    let bar_style = if picture.state.down.contains_key(&partition.consumer) { theme.bad() } else { theme.graph() };
    Line::from(vec![
        Span::raw(format!("{:>PARTITION$} ", partition.partition)),
        Span::styled(format!("{consumer:<CONSUMER$} "), style),
        Span::styled(format!("{bar:<bar_width$}"), bar_style),
        Span::raw(format!("{:>COUNT$}", figures::count(partition.records))),
    ])
    .render(place, buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_with_the_most_records_are_shown_in_their_order() {
        let lag: Vec<PartitionLag> = [5, 0, 9, 7]
            .into_iter()
            .zip(0..)
            .map(|(records, partition)| PartitionLag { partition, records, consumer: String::new() })
            .collect();
        let numbers = |places| {
            let (shown, left_out) = shown(&lag, places);
            (shown.iter().map(|partition| partition.partition).collect::<Vec<_>>(), left_out)
        };
        assert_eq!(numbers(4), (vec![0, 1, 2, 3], 0));
        assert_eq!(numbers(3), (vec![2, 3], 2));
        assert_eq!(numbers(1), (vec![2], 3));
        assert_eq!(numbers(0), (vec![], 4));
    }
}
