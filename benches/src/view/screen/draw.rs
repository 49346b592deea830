//! Draws the header and each panel that has room.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Paragraph, Widget, Wrap},
};

use super::{
    events, faults, header, lag, latency,
    layout::{self, Height, Panel},
    picture::Picture,
    processes, rates,
};
use crate::view::lines::line;

/// The smallest size for panels. Below it, the header is followed by the line that is logged off a terminal.
const SMALLEST: (u16, u16) = (50, 14);

pub fn draw(picture: Picture, buffer: &mut Buffer) {
    let area = buffer.area;
    let header = Rect { height: header::height(area).min(area.height), ..area };
    header::draw(picture, header, buffer);
    let rest = Rect { y: area.y + header.height, height: area.height - header.height, ..area };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = line(picture.state, picture.now).unwrap_or_default();
        // `Wrap` may put a character of two columns where one column is left.
        let text_area = Rect { width: rest.width.saturating_sub(1), ..rest };
        return Paragraph::new(text).wrap(Wrap { trim: true }).render(text_area, buffer);
    }
    for (panel, area) in layout::divide(rest, |panel, width| height(picture, panel, area, width)) {
        draw_panel(picture, panel, area, buffer);
    }
}

/// The height of a panel of this width in an area.
fn height(picture: Picture, panel: Panel, area: Rect, width: u16) -> Height {
    match panel {
        Panel::Rates => rates::height(layout::is_large(area)),
        Panel::Latency => latency::height(picture.state),
        Panel::Lag => lag::height(picture.state),
        Panel::Processes => processes::height(picture.state, width),
        Panel::Faults => faults::height(picture.state),
        Panel::Events => events::height(),
    }
}

fn draw_panel(picture: Picture, panel: Panel, area: Rect, buffer: &mut Buffer) {
    match panel {
        Panel::Rates => rates::draw(picture, area, buffer),
        Panel::Latency => latency::draw(picture, area, buffer),
        Panel::Lag => lag::draw(picture, area, buffer),
        Panel::Processes => processes::draw(picture, area, buffer),
        Panel::Faults => faults::draw(picture, area, buffer),
        Panel::Events => events::draw(picture, area, buffer),
    }
}
