use super::parse;
use crate::{fault::FaultKind, scenario::library::LIBRARY};

const PAGE: &str = include_str!("../../../../docs/loadtest.md");

#[test]
fn the_scenario_of_the_page_is_right() {
    let example = PAGE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let scenario = parse(example).unwrap_or_else(|error| panic!("{error}"));
    assert!(scenario.faults.len() == 2 && scenario.phases.len() == 3);
}

#[test]
fn the_page_has_each_action_and_each_scenario_of_the_library() {
    let actions = FaultKind::ALL.into_iter().map(FaultKind::name);
    for name in actions.chain(LIBRARY.iter().map(|known| known.name)) {
        assert_eq!(PAGE.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
    }
}
