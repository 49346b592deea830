//! What runs, since when, and how much of the schedule is over.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::picture::{Picture, wall_clock};
use crate::view::{figures, schedule, schedule::Position};

/// From this height of the terminal on, the phases are named below the schedule.
const WITH_NAMES: u16 = 28;

/// Lines of the header in a terminal of this size.
pub fn height(terminal: Rect) -> u16 {
    if terminal.height >= WITH_NAMES { 3 } else { 2 }
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let mut rows = area.rows();
    let Some(first) = rows.next() else { return };
    draw_title(picture, first, buffer);
    let Some(second) = rows.next() else { return };
    let schedule = draw_schedule(picture, second, buffer);
    if let (Some(third), Some(schedule)) = (rows.next(), schedule) {
        draw_names(picture, Rect { y: third.y, ..schedule }, buffer);
    }
}

fn draw_title(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let (state, theme) = (picture.state, picture.theme);
    let hint = match state.is_stopping {
        true => Span::styled("stopping; q: exit at once", theme.warning()),
        false => Span::styled("q: stop", theme.label()),
    };
    let right = Line::from(vec![Span::raw(" "), hint, Span::raw(format!("  {} ", wall_clock(picture.now)))]);
    let (left_area, right_area) = split(area, (right.width() as u16).min(area.width));
    right.render(right_area, buffer);
    let mut left = Line::from(Span::styled(format!(" loadtest {}", state.outline.title), theme.title()));
    let run = Span::styled(format!("  run {}", state.outline.run_id), theme.label());
    if !state.outline.run_id.is_empty() && left.width() + run.width() <= usize::from(left_area.width) {
        left.push_span(run);
    }
    left.render(left_area, buffer);
}

/// Splits off the last columns.
fn split(area: Rect, right: u16) -> (Rect, Rect) {
    let left = Rect { width: area.width - right, ..area };
    (left, Rect { x: area.x + left.width, width: right, ..area })
}

/// Returns the area of the bar.
fn draw_schedule(picture: Picture, area: Rect, buffer: &mut Buffer) -> Option<Rect> {
    let (state, theme) = (picture.state, picture.theme);
    let position = state.position(picture.now);
    let stale = state.stale_for(picture.now);
    let label = label(picture, position.as_ref());
    let longest = state.outline.phases.iter().map(|phase| phase.name.chars().count() + 10).max().unwrap_or(0);
    let label_width = (longest.max(label.chars().count()) as u16 + 2).min(area.width / 2);
    let times = match (&position, stale) {
        (_, Some(age)) => Span::styled(format!(" no sample for {} ", figures::short(age)), theme.warning()),
        (Some(position), None) if position.seconds < 0.0 => {
            Span::raw(format!(" first order in {:.0} s ", -position.seconds))
        }
        (Some(position), None) => {
            let (elapsed, length) = (figures::clock(position.elapsed()), figures::clock(position.length));
            Span::raw(format!(" {elapsed} of {length} "))
        }
        (None, None) => Span::raw(""),
    };
    let (label_area, rest) = split(area, area.width - label_width);
    Line::styled(format!(" {label}"), theme.title()).render(label_area, buffer);
    let (bar_area, times_area) = split(rest, (times.width() as u16).min(rest.width));
    times.render(times_area, buffer);
    let position = position?;
    bar(picture, &position, bar_area.width).render(bar_area, buffer);
    Some(bar_area)
}

/// The phase, and where there is none what the run does.
fn label(picture: Picture, position: Option<&Position>) -> String {
    match position.and_then(|position| position.phase) {
        Some(current) if picture.state.outline.phases.len() > 1 => {
            format!("{} ({} of {})", current.phase.name, current.number, picture.state.outline.phases.len())
        }
        Some(current) => current.phase.name.clone(),
        None => picture.state.step.clone(),
    }
}

/// A line whose first part is over, with a tick where a phase begins.
fn bar(picture: Picture, position: &Position, width: u16) -> Line<'static> {
    let over = (position.progress() * f64::from(width)).round() as u16;
    let ticks: Vec<u16> =
        schedule::beginnings(&picture.state.outline.phases).skip(1).map(|(begin, _)| column(begin, width)).collect();
    let cells = |from: u16, to: u16, line: char, tick: char| -> String {
        (from..to).map(|column| if ticks.contains(&column) { tick } else { line }).collect()
    };
    Line::from(vec![
        Span::styled(cells(0, over, '━', '┿'), picture.theme.graph()),
        Span::styled(cells(over, width, '─', '┼'), picture.theme.label()),
    ])
}

fn column(part: f64, width: u16) -> u16 {
    (part * f64::from(width)).round() as u16
}

/// The name of each phase where it begins, as long as it has room.
fn draw_names(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let phases = &picture.state.outline.phases;
    let begins: Vec<u16> = schedule::beginnings(phases).map(|(begin, _)| column(begin, area.width)).collect();
    for (number, phase) in phases.iter().enumerate() {
        let end = begins.get(number + 1).copied().unwrap_or(area.width);
        let width = end.saturating_sub(begins[number]).min(area.width.saturating_sub(begins[number]));
        if phase.name.chars().count() < usize::from(width) {
            let place = Rect { x: area.x + begins[number], width, ..area };
            Line::styled(&phase.name, picture.theme.label()).render(place, buffer);
        }
    }
}
