//! What is drawn, and what all panels have in common.

use chrono::{DateTime, Local, TimeZone, Utc};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Widget,
};

use super::theme::Theme;
use crate::view::state::State;

/// A state at a time.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub state: &'a State,
    pub theme: Theme,
    pub now: DateTime<Utc>,
}

impl Picture<'_> {
    /// Draws a rule with a title, and at its end a remark where there is room. Returns the area below.
    pub fn titled(self, title: Vec<Span>, remark: &str, area: Rect, buffer: &mut Buffer) -> Rect {
        let mut line = Line::from([vec![Span::raw(" ")], title, vec![Span::raw(" ")]].concat());
        let room = usize::from(area.width).saturating_sub(line.width());
        let remark = if remark.is_empty() { String::new() } else { format!(" {remark} ") };
        let (rule, remark) = match room.checked_sub(Line::raw(&remark).width() + 2) {
            Some(rule) => (rule + 2, remark),
            None => (room, String::new()),
        };
        line.push_span(Span::styled("─".repeat(rule) + &remark, self.theme.label()));
        let [first, below] = Layout::vertical([Constraint::Max(1), Constraint::Fill(1)]).areas(area);
        line.render(first, buffer);
        below
    }
}

/// Wall clock time of this machine's time zone.
pub fn wall_clock(at: DateTime<Utc>) -> String {
    Local.from_utc_datetime(&at.naive_utc()).format("%H:%M:%S").to_string()
}
