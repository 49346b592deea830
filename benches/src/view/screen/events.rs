//! What happened last, newest first.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};
use tracing::Level;

use super::{
    layout::Height,
    picture::{Picture, wall_clock},
};

pub fn height() -> Height {
    Height { least: 3, wanted: u16::MAX }
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let theme = picture.theme;
    let logs = &picture.state.outline.logs;
    let remark = if logs.as_os_str().is_empty() { String::new() } else { format!("logs: {}", logs.display()) };
    let area = picture.titled(vec![Span::styled("Events", theme.title())], &remark, area, buffer);
    for (event, row) in picture.state.events.iter().zip(area.rows()) {
        let style = match event.level {
            Level::ERROR => theme.bad(),
            Level::WARN => theme.warning(),
            _ => theme.value(),
        };
        let time = Span::styled(format!(" {}  ", wall_clock(event.at)), theme.label());
        let room = usize::from(row.width).saturating_sub(time.width());
        Line::from(vec![time, Span::styled(shortened(&event.text, room), style)]).render(row, buffer);
    }
}

/// One line that has room; `…` ends one that was longer.
fn shortened(text: &str, room: usize) -> String {
    let text: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    if text.chars().count() <= room {
        return text;
    }
    let mut shortened: String = text.chars().take(room.saturating_sub(1)).collect();
    shortened.push('…');
    shortened
}
