//! A chart over the rate, as coordinates for the template.

use super::axis::{Axis, Scale};

/// Margins of the axes, in CSS pixels.
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 26.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 14.0;
/// Room for the label of a tick.
const LABEL_WIDTH: f64 = 40.0;
const LABEL_HEIGHT: f64 = 18.0;

/// The sizes in which a chart is drawn, in CSS pixels; the style sheet shows the one that fits. A drawing that is scaled
/// down has text that is too small.
const SIZES: [(&str, f64, f64); 2] = [("wide", 960.0, 340.0), ("narrow", 380.0, 280.0)];

/// What a chart shows.
pub struct Plot {
    pub title: &'static str,
    pub unit: &'static str,
    pub scale: Scale,
    pub series: Vec<Series>,
    /// Horizontal lines.
    pub limits: Vec<Limit>,
}

pub struct Series {
    /// In the legend. Several series may have one name, and then one color.
    pub name: &'static str,
    /// A color of the style sheet.
    pub color: &'static str,
    /// By rate, ascending.
    pub points: Vec<Point>,
}

pub struct Point {
    pub rate: f64,
    pub value: f64,
    pub held: bool,
    /// Of what it is, such as a process.
    pub label: String,
}

pub struct Limit {
    pub value: f64,
    pub label: String,
}

pub struct Chart {
    pub title: &'static str,
    pub unit: &'static str,
    /// Names and colors.
    pub legend: Vec<(&'static str, &'static str)>,
    pub drawings: Vec<Drawing>,
}

pub struct Drawing {
    pub class: &'static str,
    pub width: f64,
    pub height: f64,
    /// Where the axes cross, and their ends.
    pub left: f64,
    pub bottom: f64,
    pub right: f64,
    pub top: f64,
    pub rates: Vec<Tick>,
    pub values: Vec<Tick>,
    pub limits: Vec<Tick>,
    pub lines: Vec<Line>,
}

pub struct Tick {
    pub at: String,
    pub label: String,
}

pub struct Line {
    pub color: &'static str,
    /// Points of a polyline: the mean of the probes of each rate.
    pub path: String,
    pub marks: Vec<Mark>,
}

/// One probe.
pub struct Mark {
    pub x: String,
    pub y: String,
    pub held: bool,
    /// Shown when the pointer is over it.
    pub label: String,
}

pub fn draw(plot: &Plot) -> Chart {
    let mut legend: Vec<_> = plot.series.iter().map(|series| (series.name, series.color)).collect();
    legend.dedup();
    let drawings = SIZES.map(|(class, width, height)| drawing(plot, class, width, height));
    Chart { title: plot.title, unit: plot.unit, legend, drawings: drawings.into() }
}

fn drawing(plot: &Plot, class: &'static str, width: f64, height: f64) -> Drawing {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let limits = plot.limits.iter().map(|limit| limit.value);
    let rate_axis = Axis::over(Scale::Logarithmic, points().map(|point| point.rate));
    let value_axis = Axis::over(plot.scale, points().map(|point| point.value).chain(limits));
    let (right, bottom) = (width - RIGHT, height - BOTTOM);
    let (across, up) = (right - LEFT, bottom - TOP);
    let x = |rate: f64| format!("{:.1}", LEFT + rate_axis.place(rate) * across);
    let y = |value: f64| format!("{:.1}", bottom - value_axis.place(value) * up);
    let line = |series: &Series| Line {
        color: series.color,
        path: means(&series.points).iter().map(|(rate, value)| format!("{},{} ", x(*rate), y(*value))).collect(),
        marks: series.points.iter().map(|point| mark(plot.unit, point, x(point.rate), y(point.value))).collect(),
    };
    let (rates, values) = (rate_axis.ticks(LABEL_WIDTH / across), value_axis.ticks(LABEL_HEIGHT / up));
    Drawing {
        class,
        width,
        height,
        left: LEFT,
        bottom,
        right,
        top: TOP,
        rates: rates.into_iter().map(|rate| Tick { at: x(rate), label: short(rate) }).collect(),
        values: values.into_iter().map(|value| Tick { at: y(value), label: short(value) }).collect(),
        limits: plot.limits.iter().map(|it| Tick { at: y(it.value), label: it.label.clone() }).collect(),
        lines: plot.series.iter().map(line).collect(),
    }
}

fn mark(unit: &str, point: &Point, x: String, y: String) -> Mark {
    let Point { rate, value, held, label } = point;
    let verdict = if *held { "held" } else { "broke" };
    Mark { x, y, held: *held, label: format!("{label}: {value:.2} {unit} at {rate}/s ({verdict})") }
}

/// One point for each rate: the mean of its probes.
fn means(points: &[Point]) -> Vec<(f64, f64)> {
    let of_rate = |points: &[Point]| {
        let values = points.iter().map(|point| point.value);
        (points[0].rate, values.sum::<f64>() / points.len() as f64)
    };
    points.chunk_by(|a, b| a.rate == b.rate).map(of_rate).collect()
}

/// `2k` for 2,000.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_has_a_mark_inside_each_drawing_and_every_rate_one_point_of_the_line() {
        let point = |rate, value, held| Point { rate, value, held, label: "p99".to_owned() };
        let points = vec![point(500.0, 9.0, true), point(1_000.0, 10.0, true), point(1_000.0, 400.0, false)];
        let series = ["--line-0", "--line-0", "--line-1"];
        let series = series.map(|color| Series { name: color, color, points: Vec::new() });
        let [first, second, third] = series;
        let series = vec![Series { points, ..first }, second, third];
        let limits = vec![Limit { value: 2_000.0, label: "limit".to_owned() }];
        let chart = draw(&Plot { title: "t", unit: "ms", scale: Scale::Logarithmic, series, limits });
        assert_eq!(chart.legend.len(), 2);
        for drawing in &chart.drawings {
            let line = &drawing.lines[0];
            assert_eq!((line.marks.len(), line.path.split_whitespace().count()), (3, 2));
            let at = |text: &str| text.parse::<f64>().unwrap();
            for mark in &line.marks {
                assert!((drawing.left..=drawing.right).contains(&at(&mark.x)), "{}", mark.x);
                assert!((drawing.top..=drawing.bottom).contains(&at(&mark.y)), "{}", mark.y);
            }
            assert!((drawing.top..at(&line.marks[2].y)).contains(&at(&drawing.limits[0].at)), "above all marks");
            assert!(at(&line.marks[0].y) > at(&line.marks[2].y));
            assert_eq!(line.marks[2].label, "p99: 400.00 ms at 1000/s (broke)");
        }
        assert_eq!((short(2_000.0), short(0.05), short(1.5e6)), ("2k".into(), "0.05".into(), "1.5M".into()));
    }
}
