//! Latencies by stage, of the last second and of the last 10.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, text::Span, widgets::Widget};

use super::{layout::Height, picture::Picture};
use crate::{
    measure::LatencyPoint,
    view::{figures, state::State},
};

/// The stages that come first, as requirements name them.
const FIRST: [&str; 3] = ["sent", "ack", "stored"];
const STAGE: usize = 12;

pub fn height(state: &State) -> Height {
    Height { least: 5, wanted: (stages(state).len().clamp(FIRST.len(), 12) + 2) as u16 }
}

pub fn draw(picture: Picture, area: Rect, buffer: &mut Buffer) {
    let theme = picture.theme;
    let remark = "sent, ack and stored: since due";
    let area = picture.titled(vec![Span::styled("Latency in ms", theme.title())], remark, area, buffer);
    let stage_width = STAGE.min(usize::from(area.width).saturating_sub(6 * 7 + 1));
    let column = (usize::from(area.width).saturating_sub(stage_width) / 6).clamp(7, 11);
    let mut rows = area.rows();
    let Some(head) = rows.next() else { return };
    let heads = ["1s p50", "p99", "max", "10s p50", "p99", "max"];
    let heads: String = heads.iter().map(|head| format!("{head:>column$}")).collect();
    Line::styled(format!("{:stage_width$}{heads}", ""), theme.label()).render(head, buffer);
    let Some(sample) = &picture.state.sample else { return };
    for (stage, row) in stages(picture.state).into_iter().zip(rows) {
        let mut spans = vec![Span::styled(cut(&format!(" {stage}"), stage_width), theme.label())];
        for points in [&sample.latencies, &sample.recent_latencies] {
            let point = points.iter().find(|point| point.stage == stage && point.count > 0);
            let figures = values(point).map(|value| Span::raw(format!("{value:>column$}")));
            spans.extend(figures);
        }
        Line::from(spans).render(row, buffer);
    }
}

fn values(point: Option<&LatencyPoint>) -> [String; 3] {
    point.map_or_else(
        || ["–", "–", "–"].map(str::to_owned),
        |point| [point.p50, point.p99, point.max].map(figures::milliseconds),
    )
}

fn cut(text: &str, width: usize) -> String {
    let cut: String = text.chars().take(width).collect();
    format!("{cut:width$}")
}

/// `sent`, `ack` and `stored`, then those of the consumers as the sample has them.
fn stages(state: &State) -> Vec<String> {
    let mut stages: Vec<String> = FIRST.map(str::to_owned).into();
    let points = state.sample.iter().flat_map(|sample| sample.recent_latencies.iter().chain(&sample.latencies));
    for point in points {
        if !stages.contains(&point.stage) {
            stages.push(point.stage.clone());
        }
    }
    stages
}
