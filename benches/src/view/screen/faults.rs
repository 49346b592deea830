//! The faults in force, with the time that is left.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    layout::Height,
    picture::{Picture, wall_clock},
};
use crate::view::{
    figures,
    state::{FaultInForce, State},
};

/// A longer name of a fault is cut.
const NAME: usize = 48;

pub fn height(state: &State) -> Height {
    let faults = state.faults.len() as u16;
    Height { least: 1 + faults.min(1), wanted: 1 + faults }
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let (theme, faults) = (picture.theme, &picture.state.faults);
    let title = Span::styled("Faults in force", theme.title());
    let number = match faults.len() {
        0 => Span::raw("none"),
        faults => Span::styled(faults.to_string(), theme.bad()),
    };
    let area = picture.titled(vec![title, Span::raw(": "), number], "", area, buffer);
    // The newest are shown where not all have room.
    let longest = faults.iter().map(|fault| fault.fault.chars().count()).max().unwrap_or(0).min(NAME);
    for (fault, row) in faults.iter().rev().zip(area.rows()) {
        line(picture, fault, longest).render(row, buffer);
    }
}

fn line(picture: Picture, fault: &FaultInForce, width: usize) -> Line<'static> {
    let name: String = fault.fault.chars().take(width).collect();
    let left = match fault.until.map(|until| (until - picture.now).to_std()) {
        Some(Ok(left)) => format!("{} left", figures::short(left)),
        Some(Err(_)) => "being undone".to_owned(),
        None => "no end planned".to_owned(),
    };
    Line::from(vec![
        Span::styled(format!(" {name:<width$}   "), picture.theme.bad()),
        Span::raw(format!("{left:<16}")),
        Span::styled(format!("since {}", wall_clock(fault.since)), picture.theme.label()),
    ])
}
