//! Divides the screen: two columns of panels where it is wide, else one.

use ratatui::layout::Rect;

/// From this width on, panels stand side by side.
const TWO_COLUMNS: u16 = 120;
/// Columns between them.
const GAP: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    Rates,
    Latency,
    Lag,
    Processes,
    Faults,
    Events,
}

/// Lines of a panel, its title included. Below `least` it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Height {
    pub least: u16,
    pub wanted: u16,
}

/// From top to bottom.
const NARROW: [&[Panel]; 6] =
    [&[Panel::Rates], &[Panel::Latency], &[Panel::Lag], &[Panel::Processes], &[Panel::Faults], &[Panel::Events]];
const WIDE: [&[Panel]; 4] =
    [&[Panel::Rates, Panel::Latency], &[Panel::Lag, Panel::Processes], &[Panel::Faults], &[Panel::Events]];

/// Whether each panel has all its lines, and there are lines left.
pub fn is_large(area: Rect) -> bool {
    area.height >= if area.width >= TWO_COLUMNS { 44 } else { 52 }
}

/// Returns the panels that have room, and where. `height` returns the height of a panel at a width.
pub fn divide(area: Rect, height: impl Fn(Panel, u16) -> Height) -> Vec<(Panel, Rect)> {
    let rows: &[&[Panel]] = if area.width >= TWO_COLUMNS { &WIDE } else { &NARROW };
    let width_of = |row: &[Panel]| (area.width - GAP * (row.len() as u16 - 1)) / row.len() as u16;
    let heights: Vec<Height> = rows
        .iter()
        .map(|row| {
            let of_row = || row.iter().map(|panel| height(*panel, width_of(row)));
            let least = of_row().map(|height| height.least).max().unwrap_or(0);
            Height { least, wanted: of_row().map(|height| height.wanted).max().unwrap_or(0) }
        })
        .collect();
    let mut panels = Vec::new();
    let mut y = area.y;
    for (row, height) in rows.iter().zip(share(area.height, &heights)) {
        let width = width_of(row);
        for (panel, column) in row.iter().zip(0..) {
            if height > 0 {
                panels.push((*panel, Rect { x: area.x + column * (width + GAP), y, width, height }));
            }
        }
        y += height;
    }
    panels
}

/// Gives each its least height as long as there is room, and then a line at a time to those that want more.
fn share(available: u16, heights: &[Height]) -> Vec<u16> {
    let mut left = available;
    let mut shares: Vec<u16> = heights
        .iter()
        .map(|height| {
            let share = if height.least <= left { height.least } else { 0 };
            left -= share;
            share
        })
        .collect();
    let mut given = true;
    while given && left > 0 {
        given = false;
        for (share, height) in shares.iter_mut().zip(heights) {
            if left > 0 && *share > 0 && *share < height.wanted {
                (*share, left, given) = (*share + 1, left - 1, true);
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shared_and_what_has_no_room_is_left_out() {
        let heights = [(5, 7), (3, 3), (2, 100)].map(|(least, wanted)| Height { least, wanted });
        assert_eq!(share(20, &heights), [7, 3, 10]);
        assert_eq!(share(12, &heights), [6, 3, 3]);
        assert_eq!(share(9, &heights), [6, 3, 0]);
        assert_eq!(share(4, &heights), [0, 3, 0]);
        assert_eq!(share(0, &heights), [0, 0, 0]);
    }

    #[test]
    fn panels_do_not_overlap_and_stay_inside() {
        for (width, height) in [(50, 14), (80, 24), (119, 40), (120, 30), (250, 70)] {
            let area = Rect { x: 0, y: 2, width, height };
            let panels = divide(area, |_, _| Height { least: 2, wanted: 9 });
            assert!(panels.len() == 6, "{width} x {height}: {panels:?}");
            for (number, (_, one)) in panels.iter().enumerate() {
                assert_eq!(one.intersection(area), *one);
                assert!(panels[number + 1..].iter().all(|(_, other)| !one.intersects(*other)), "{panels:?}");
            }
        }
    }
}
