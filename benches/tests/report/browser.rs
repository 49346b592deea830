//! The pages in headless Chromium.

use std::{fs, path::PathBuf};

use benches::report::{
    self,
    model::{Chart, RunReport},
};
use tempfile::TempDir;

use crate::{
    command::compare,
    sample::sample,
    tab::{Mouse, Tab, Window},
};

/// The folder of a run, its report and its page.
struct Drawn {
    _folder: TempDir,
    report: RunReport,
    page: PathBuf,
}

fn draw(report: RunReport) -> Drawn {
    let folder = tempfile::tempdir().unwrap();
    report::write(&report, folder.path()).unwrap();
    let page = folder.path().join(report::PAGE);
    Drawn { _folder: folder, report, page }
}

fn drawn() -> Drawn {
    draw(sample("20261125-093000-a1b2c3", 120, 1))
}

/// The number in a text such as `4,182 ms`.
fn number(text: &str) -> f64 {
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || ".-".contains(*c)).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// Whether a figure of the page has the first three digits of `value`.
fn is_shown_as(text: &str, value: f64) -> bool {
    (number(text) - value).abs() <= (value.abs() * 0.005).max(0.000_501)
}

#[test]
fn a_page_from_a_file_requests_and_logs_nothing() {
    let drawn = drawn();
    for window in [Window::DESKTOP, Window::DARK, Window::PHONE] {
        let tab = Tab::open(&drawn.page, window);
        tab.mouse("rate", 0.5, Mouse::Moved);
        assert_eq!(tab.close(), Vec::<String>::new());
    }
    let (_folder, page) = compare(&["20261125-093000-a1b2c3", "20261125-101500-d4e5f6", "20261125-110000-0a1b2c"]);
    let tab = Tab::open(&page, Window::DESKTOP);
    tab.mouse("stored-p99", 0.5, Mouse::Moved);
    assert_eq!(tab.close(), Vec::<String>::new());
}

#[test]
fn a_page_with_an_error_or_a_request_is_found() {
    let drawn = drawn();
    let html = fs::read_to_string(&drawn.page).unwrap();
    let script = "<script>fetch('http://127.0.0.1:9/').catch(() => 0); undefined.property;</script></body>";
    fs::write(&drawn.page, html.replace("</body>", script)).unwrap();
    let tab = Tab::open(&drawn.page, Window::DESKTOP);
    let messages = tab.close().join("\n");
    assert!(messages.contains("127.0.0.1:9") && messages.contains("exception"), "{messages}");
}

#[test]
fn the_tables_have_the_figures_of_the_report() {
    let Drawn { report, page, .. } = &drawn();
    let tab = Tab::open(page, Window::DESKTOP);
    assert_eq!(tab.texts("#verdict .sentence").concat(), report.verdict.sentence);
    assert_eq!(tab.texts("#verdict .state"), ["Not valid"]);
    let results = tab.texts("#requirements td:nth-child(3)");
    let measured = tab.texts("#requirements td:nth-child(2)");
    for (place, requirement) in report.requirements.iter().enumerate() {
        assert_eq!(results[place].contains("not met"), !requirement.met);
        assert!(
            is_shown_as(&measured[place], requirement.measured.unwrap()),
            "{} {measured:?}",
            requirement.requirement
        );
    }
    for (place, stage) in report.latencies.iter().enumerate() {
        let row = tab.texts(&format!("#latencies tbody tr:nth-child({}) td", place + 1));
        let summary = &stage.summary;
        let figures = [summary.p50, summary.p90, summary.p99, summary.p999, summary.max, summary.count as f64];
        assert_eq!(row[0], stage.stage);
        let shown = row[1..].iter().zip(figures);
        assert!(shown.clone().all(|(text, figure)| is_shown_as(text, figure)), "{row:?} {figures:?}");
    }
    let audit = report.audit.as_ref().unwrap();
    let rows = tab.texts("#audit td:nth-child(1)").into_iter().zip(tab.texts("#audit td:nth-child(2)"));
    let counts: Vec<(String, f64)> = rows.map(|(name, orders)| (name, number(&orders))).collect();
    for (name, orders) in [("acknowledged", audit.acknowledged), ("stored", audit.stored), ("missing", audit.missing)] {
        assert!(counts.contains(&(name.to_owned(), orders as f64)), "{name} {orders}: {counts:?}");
    }
    let began = tab.texts("#faults td:nth-child(4)");
    assert_eq!(began, ["0:24.2", "0:48.2", "1:18.2", "1:31.4"]);
    let recovered = tab.texts("#faults td:nth-child(7)");
    assert_eq!(recovered, ["+2.1 s", "+6.2 s", "+0 s", "–"]);
}

/// The element of each chart of the timeline, and by what its values are multiplied.
const CHARTS: [(Chart, &str, f64); 11] = [
    (Chart::Rate, "#rate", 1.0),
    (Chart::ChangeRate, "#change-rate", 1.0),
    (Chart::Latency, "#latency, #change-latency, #stages", 1.0),
    (Chart::PartitionLag, "#partition-lag", 1.0),
    (Chart::ConsumerLag, "#consumer-lag", 1.0),
    (Chart::Assignment, "#assignment", 1.0),
    (Chart::BatchRows, "#batch-rows", 1.0),
    (Chart::HitRate, "#hit-rate", 100.0),
    (Chart::Cpu, "#cpu", 1.0),
    (Chart::Memory, "#memory", 1.0 / 1_048_576.0),
    (Chart::OpenFiles, "#open-files", 1.0),
];

#[test]
fn the_cursor_shows_the_figures_of_one_time_in_all_charts() {
    let Drawn { report, page, .. } = &drawn();
    let tab = Tab::open(page, Window::DESKTOP);
    for at in [0.25, 0.6, 0.9] {
        tab.mouse("cpu", at, Mouse::Moved);
        let times = tab.texts("section .chart:not(#distribution) .at");
        let (minutes, seconds) = times[0].split(" · ").next().unwrap().split_once(':').unwrap();
        let second = (number(minutes) * 60.0 + number(seconds)) as usize;
        assert!(second.abs_diff((at * 119.0) as usize) <= 1, "{times:?}");
        assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
        for (chart, elements, factor) in CHARTS {
            let legend = |part: &str| {
                elements.split(", ").map(|id| format!("{id} .legend {part}")).collect::<Vec<_>>().join(", ")
            };
            let shown: Vec<(String, String)> =
                tab.texts(&legend("span")).into_iter().zip(tab.texts(&legend("b"))).collect();
            for series in report.timeline.series.iter().filter(|series| series.chart == chart) {
                let (_, text) = shown.iter().find(|(name, _)| *name == series.name).unwrap();
                match series.values[second] {
                    None => assert_eq!(text, "–", "{chart:?} {}", series.name),
                    Some(value) => {
                        assert!(is_shown_as(text, value * factor), "{chart:?} {}: {text}, {value}", series.name);
                    }
                }
            }
        }
    }
    assert_eq!(tab.close(), Vec::<String>::new());
}

#[test]
fn a_drag_zooms_all_charts_and_a_double_click_resets_them() {
    let Drawn { page, .. } = &drawn();
    let tab = Tab::open(page, Window::DESKTOP);
    let time_of = |chart: &str, at: f64| {
        tab.mouse(chart, at, Mouse::Moved);
        let time = tab.texts(&format!("#{chart} .at")).remove(0);
        let (minutes, seconds) = time.split(" · ").next().unwrap().split_once(':').unwrap();
        number(minutes) * 60.0 + number(seconds)
    };
    tab.mouse("rate", 0.5, Mouse::Moved);
    tab.mouse("rate", 0.5, Mouse::Pressed);
    tab.mouse("rate", 0.75, Mouse::Moved);
    tab.mouse("rate", 0.75, Mouse::Released);
    for chart in ["rate", "cpu"] {
        let (first, last) = (time_of(chart, 0.01), time_of(chart, 0.99));
        assert!((58.0..=62.0).contains(&first) && (87.0..=91.0).contains(&last), "{chart}: {first} to {last}");
    }
    let reset = "document.querySelector('#cpu .u-over').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))";
    tab.evaluate::<bool>(reset);
    for chart in ["rate", "cpu"] {
        let (first, last) = (time_of(chart, 0.01), time_of(chart, 0.99));
        assert!(first <= 2.0 && last >= 117.0, "{chart}: {first} to {last}");
    }
    assert_eq!(tab.close(), Vec::<String>::new());
}

#[test]
fn a_name_in_a_legend_hides_its_line() {
    let Drawn { page, .. } = &drawn();
    let tab = Tab::open(page, Window::DESKTOP);
    let pixels = "document.querySelector('#batch-rows canvas').toDataURL()";
    let click = "document.querySelector('#batch-rows .legend button').click() ?? true";
    let frame = "new Promise((drawn) => requestAnimationFrame(() => setTimeout(() => drawn(true))))";
    let before: String = tab.evaluate(pixels);
    let mut images = Vec::new();
    for _ in 0..2 {
        tab.evaluate::<bool>(click);
        tab.evaluate::<bool>(frame);
        images.push(tab.evaluate::<String>(pixels));
    }
    assert!(images[0] != before && images[1] == before);
    assert_eq!(tab.close(), Vec::<String>::new());
}

#[test]
fn the_theme_is_that_of_the_system_until_the_reader_chooses() {
    let Drawn { page, .. } = &drawn();
    let background = "getComputedStyle(document.body).backgroundColor";
    let lightness = |color: &str| number(color.split(['(', ',', ' ']).nth(1).unwrap());
    for window in [Window::DESKTOP, Window::DARK] {
        let tab = Tab::open(page, window);
        let before: String = tab.evaluate(background);
        tab.evaluate::<bool>("document.getElementById('theme').click() ?? true");
        let after: String = tab.evaluate(background);
        assert_eq!((lightness(&before) < 128.0, lightness(&after) < 128.0), (window.dark, !window.dark));
        assert_eq!(tab.close(), Vec::<String>::new());
    }
}

#[test]
fn a_phone_scrolls_no_page_sideways() {
    let drawn = drawn();
    let (_folder, comparison) = compare(&["20261125-093000-a1b2c3", "20261125-101500-d4e5f6"]);
    for page in [&drawn.page, &comparison] {
        let tab = Tab::open(page, Window::PHONE);
        let (content, window): (f64, f64) = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert_eq!((content, window), (390.0, 390.0));
        assert_eq!(tab.close(), Vec::<String>::new());
    }
}

#[test]
fn the_text_of_a_scenario_is_not_run() {
    let mut report = sample("20261125-093000-a1b2c3", 20, 1);
    let text =
        "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"> & <b>bold</b>";
    report.scenario.description = text.to_owned();
    report.scenario.text = text.to_owned();
    report.verdict.reasons.push(text.to_owned());
    report.phases[1].name = text.to_owned();
    report.faults[0].fault = text.to_owned();
    report.events[0].text = text.to_owned();
    report.timeline.series[0].name = text.to_owned();
    report.latencies[0].stage = text.to_owned();
    report.processes[0].name = text.to_owned();
    let drawn = draw(report);
    let tab = Tab::open(&drawn.page, Window::DESKTOP);
    tab.mouse("rate", 0.5, Mouse::Moved);
    assert_eq!(tab.evaluate::<String>("document.title"), "rolling-faults · 20261125-093000-a1b2c3");
    assert_eq!(tab.texts(".lead"), [text]);
    assert_eq!(tab.texts("pre"), [text]);
    assert!(tab.texts("#partition-lag .legend span, #latencies td").iter().filter(|shown| *shown == text).count() >= 2);
    assert_eq!(tab.close(), Vec::<String>::new());
}

#[test]
fn an_hour_of_seconds_is_drawn_within_three_seconds() {
    let drawn = draw(sample("20261125-093000-a1b2c3", 3_600, 1));
    let tab = Tab::open(&drawn.page, Window::DESKTOP);
    let redraw = "(() => { const begin = performance.now(); drawCharts(); return performance.now() - begin; })()";
    let fastest = tab.evaluate::<f64>(redraw).min(tab.evaluate::<f64>(redraw));
    assert!(fastest < 3_000.0, "{fastest} ms");
    assert_eq!(tab.close(), Vec::<String>::new());
}
