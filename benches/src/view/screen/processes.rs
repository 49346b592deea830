//! Servers and programs: which of them run, their CPU and their memory.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{layout::Height, picture::Picture};
use crate::{
    measure::ProcessSample,
    view::{figures, state::State},
};

/// Columns of a process, with a gap.
const WIDTH: u16 = 37;
const NAME: usize = 14;

pub fn height(state: &State, width: u16) -> Height {
    let processes = state.sample.as_ref().map_or(0, |sample| sample.processes.len());
    Height { least: 1, wanted: 1 + processes.div_ceil(columns(width)).max(1) as u16 }
}

fn columns(width: u16) -> usize {
    usize::from(width / WIDTH).max(1)
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let (state, theme) = (picture.state, picture.theme);
    let mut title = vec![Span::styled("Processes", theme.title())];
    title.extend(summary(picture));
    let area = picture.titled(title, "CPU: 100 % is a core", area, buffer);
    let Some(sample) = &state.sample else { return };
    let columns = columns(area.width);
    let lines = usize::from(area.height);
    let (shown, left_out) = shown(state, &sample.processes, columns * lines);
    let needed = (shown.len() + usize::from(left_out > 0)).div_ceil(columns).max(1);
    let place = |number: usize| Rect {
        x: area.x + (number / needed) as u16 * (area.width / columns as u16),
        y: area.y + (number % needed) as u16,
        width: area.width / columns as u16,
        height: 1,
    };
    for (number, process) in shown.iter().enumerate() {
        line(picture, process).render(place(number).intersection(area), buffer);
    }
    if left_out > 0 && lines > 0 {
        let text = format!("  … {left_out} more run");
        Line::styled(text, theme.label()).render(place(shown.len()).intersection(area), buffer);
    }
}

/// How many run, and the names of those that do not.
fn summary<'a>(picture: Picture<'a>) -> Vec<Span<'a>> {
    let Some(sample) = &picture.state.sample else { return Vec::new() };
    let running = sample.processes.iter().filter(|process| process.is_running).count();
    if running == sample.processes.len() {
        return vec![Span::raw(format!(": all {running} run"))];
    }
    let down: Vec<&str> = picture.state.down.keys().map(String::as_str).collect();
    let counts = format!(": {running} of {} run, ", sample.processes.len());
    vec![Span::raw(counts), Span::styled(format!("down: {}", down.join(", ")), picture.theme.bad())]
}

/// All processes, or where not all have room those that are down or have a fault first (one place is for the number of
/// the others). Within each group the order of the sample is kept.
fn shown<'a>(state: &State, processes: &'a [ProcessSample], places: usize) -> (Vec<&'a ProcessSample>, usize) {
    let mut shown: Vec<&ProcessSample> = processes.iter().collect();
    if processes.len() > places {
        shown.sort_by_key(|process| (process.is_running, !state.has_fault(&process.name)));
        shown.truncate(places.saturating_sub(1));
    }
    let left_out = processes.len() - shown.len();
    (shown, left_out)
}

fn line<'a>(picture: Picture<'a>, process: &'a ProcessSample) -> Line<'a> {
    let theme = picture.theme;
    let name: String = process.name.chars().take(NAME).collect();
    if !process.is_running {
        let since = picture.state.down.get(&process.name).copied().unwrap_or(picture.now);
        let time = figures::short((picture.now - since).to_std().unwrap_or_default());
        return Line::styled(format!(" ✖ {name:<NAME$} down for {time}"), theme.bad());
    }
    let (mark, style) = match picture.state.has_fault(&process.name) {
        true => (" ! ", theme.warning()),
        false => (" ● ", theme.good()),
    };
    let cpu = format!("{:.0} %", process.cpu_cores * 100.0);
    Line::from(vec![
        Span::styled(mark, style),
        Span::styled(format!("{name:<NAME$}"), theme.label()),
        Span::raw(format!("{cpu:>7}{:>10}", figures::memory(process.memory_bytes))),
    ])
}
