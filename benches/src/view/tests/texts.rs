use ratatui::style::{Color, Modifier};

use super::*;
use crate::view::lines::line;

fn text(state: &State, seconds: f64, width: u16, height: u16) -> String {
    lines(&drawn(state, at(seconds), Theme::Colored, width, height)).join("\n")
}

/// The line with `text` in it.
fn line_with<'a>(screen: &'a str, text: &str) -> &'a str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text:?} in:\n{screen}"))
}

#[test]
fn a_wide_screen_has_every_figure_of_the_last_sample() {
    let screen = text(&state(42), 42.0, 160, 45);
    let has = |line: &str, words: &[&str]| {
        let line = line_with(&screen, line);
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line:?}:\n{screen}");
    };
    has("loadtest", &["chaos", "run 20260102-030405-ab12cd", "q: stop", ":47"]);
    has("(2 of 4)", &["steady", "0:42 of 1:30", "━", "┿", "─", "┼"]);
    has("warm-up", &["steady", "burst", "cool-down"]);
    has(" asked ", &["1,000"]);
    has("stored               800", &["█"]);
    has("acknowledged ·", &["42,000 acknowledged", "41,200 stored", "0 dead letters", "0 duplicates"]);
    has("34 rows a batch", &["7 in flight"]);
    has(" ack   ", &["3.65", "12.3", "31.0", "7.29", "24.7", "62.0"]);
    has(" insert ", &["1.10", "4.40", "9.90", "2.20", "8.80", "19.8"]);
    has("Lag by partition", &["936 records, 0.9 s of orders", "10 of 11 run, down: consumer-2"]);
    has("   8 consumer-3", &["108"]);
    has("postgres ", &["●", "34 %", "1.7 GiB"]);
    has("kill consumer-2  ", &["12 s left", "since"]);
    has("consumer-1: 6 partitions", &[":47"]);
    has("Events", &["runs/20260102-030405-ab12cd/logs"]);
}

#[test]
fn a_process_that_is_down_is_marked_with_the_time_and_so_are_its_partitions() {
    let state = state(42);
    let buffer = drawn(&state, at(45.0), Theme::Colored, 160, 45);
    let lines = lines(&buffer);
    let screen = lines.join("\n");
    assert!(line_with(&screen, "✖ consumer-2").contains("down for 6 s"), "{screen}");
    let y = lines.iter().position(|line| line.contains("   4 consumer-2")).expect(&screen) as u16;
    let bar = (0..80).map(|x| &buffer[(x, y)]).find(|cell| "━╸".contains(cell.symbol())).unwrap();
    assert_eq!(bar.fg, Color::Red, "{screen}");
    let kafka = line_with(&screen, "kafka-2");
    assert!(kafka.contains("● kafka-2") && kafka.contains("612 MiB"), "{kafka}");
}

#[test]
fn a_process_with_a_fault_that_still_runs_is_marked_and_after_the_fault_it_is_not() {
    let mut state = state(42);
    state.observe(Observation::FaultBegan { fault: "pause kafka-2".to_owned(), lasting: None }, at(42.0));
    let screen = text(&state, 42.0, 160, 45);
    assert!(line_with(&screen, "kafka-2   ").contains("! kafka-2"), "{screen}");
    assert!(line_with(&screen, "pause kafka-2  ").contains("no end planned"), "{screen}");
    assert!(line_with(&screen, "Faults in force").contains(": 2"), "{screen}");
    for fault in ["pause kafka-2", "kill consumer-2"] {
        state.observe(Observation::FaultEnded { fault: fault.to_owned(), error: None }, at(43.0));
    }
    let screen = text(&state, 43.0, 160, 45);
    assert!(screen.contains("Faults in force: none") && screen.contains("● kafka-2"), "{screen}");
    assert!(line_with(&screen, "fault undone: pause kafka-2").contains(":48"), "{screen}");
}

#[test]
fn a_fault_whose_time_is_over_is_being_undone_and_one_that_failed_tells_why() {
    let mut state = state(42);
    let screen = text(&state, 60.0, 120, 40);
    assert!(line_with(&screen, "kill consumer-2  ").contains("being undone"), "{screen}");
    let error = Some("consumer-2 does not start".to_owned());
    state.observe(Observation::FaultEnded { fault: "kill consumer-2".to_owned(), error }, at(61.0));
    let screen = text(&state, 61.0, 120, 40);
    assert!(screen.contains("fault kill consumer-2: consumer-2 does not start"), "{screen}");
}

#[test]
fn a_terminal_of_24_lines_has_each_panel_and_one_of_20_has_the_titles() {
    for (width, height) in [(80, 24), (60, 20)] {
        let screen = text(&state(42), 42.0, width, height);
        let needed = [
            "(2 of 4)",
            "0:42 of 1:30",
            "acknowledged ",
            "stored ",
            "38.2",
            "Lag by partition: 936 records",
            "Processes: 10 of 11 run, down: consumer-2",
            "kill consumer-2 ",
            "12 s left",
            "consumer-1: 6 partitions assigned",
        ];
        for text in needed {
            assert!(screen.contains(text), "{text:?} on {width} x {height}:\n{screen}");
        }
    }
}

#[test]
fn a_terminal_too_small_for_panels_has_the_line_of_the_log() {
    let screen = text(&state(42), 42.0, 40, 10).replace('\n', " ");
    assert!(screen.contains("0:42 of 1:30") && screen.contains("kill consumer-2 (12 s left)"), "{screen}");
}

#[test]
fn without_colours_no_cell_has_one_and_what_is_down_is_reversed() {
    let buffer = drawn(&state(42), at(42.0), Theme::Plain, 160, 45);
    assert!(buffer.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
    let marked = buffer.content.iter().find(|cell| cell.symbol() == "✖").unwrap();
    assert!(marked.modifier.contains(Modifier::REVERSED));
    let colored = drawn(&state(42), at(42.0), Theme::Colored, 160, 45);
    assert!(colored.content.iter().any(|cell| cell.fg == Color::Red));
}

#[test]
fn a_run_without_samples_tells_its_step_and_one_whose_samples_stop_tells_so() {
    let mut starting = State::default();
    starting.observe(Observation::Step("starting the programs".to_owned()), at(0.0));
    assert!(text(&starting, 0.0, 80, 24).contains("starting the programs"));
    let screen = text(&state(42), 52.0, 120, 40);
    assert!(screen.contains("no sample for 10 s"), "{screen}");
}

#[test]
fn the_stop_is_shown_at_the_top() {
    let mut state = state(42);
    state.is_stopping = true;
    let screen = text(&state, 42.0, 80, 24);
    assert!(screen.lines().next().unwrap().contains("stopping; q: exit at once"), "{screen}");
}

#[test]
fn a_count_that_falls_is_no_rate() {
    let mut state = state(42);
    let mut sample = sample(43);
    sample.stored = 5;
    state.observe(Observation::Sample(Arc::new(sample)), at(43.0));
    let moment = state.history.back().unwrap();
    assert_eq!((moment.acknowledged, moment.stored), (Some(1_000.0), None));
}

#[test]
fn the_line_has_the_rates_of_its_interval_and_what_is_wrong() {
    assert_eq!(line(&State::default(), at(0.0)), None);
    let mut state = state(42);
    assert_eq!(
        line(&state, at(42.0)).unwrap(),
        "0:42 of 1:30 steady · orders/s asked 1,000, acknowledged 1,000, stored 840 · lag 936 · 10 s p99 ack 24.7 ms, \
         stored 76.5 ms · down: consumer-2 · faults in force: kill consumer-2 (12 s left)"
    );
    let unknown = Sample { lag: Vec::new(), ..sample(42) };
    state.observe(Observation::Sample(Arc::new(unknown)), at(42.5));
    assert!(line(&state, at(42.5)).unwrap().contains(" · lag – · "), "no leader answers");
    state.observe(Observation::Step("waiting for the consumers".to_owned()), at(91.0));
    state.observe(Observation::Sample(Arc::new(Sample { asked_rate: 0.0, ..sample(91) })), at(91.0));
    let line = line(&state, at(91.0)).unwrap();
    assert!(line.starts_with("1:31 of 1:30 waiting for the consumers · "), "{line}");
}
