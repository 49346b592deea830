//! Scenarios as a user writes them: what is read, what is refused and how, and what chaos draws.

mod chaos;
mod errors;
mod library;
mod overrides;
mod page;
mod schedule;

use super::{Overrides, Scenario, ScenarioError, Source, TimedFault, parse as parse_source};

fn parse_with(text: &str, set: &[&str]) -> Result<Scenario, ScenarioError> {
    let file = Source { name: "test.toml".to_owned(), text: text.to_owned() };
    let set = set.iter().map(|text| (*text).to_owned()).collect();
    parse_source("test", file, &Overrides { set, seed: None })
}

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    parse_with(text, &[])
}

/// A fault with its times, such as `8s kill consumer-2 for 3s`.
fn shown(fault: &TimedFault) -> String {
    let lasting = fault.lasting.map_or_else(String::new, |lasting| format!(" for {lasting:?}"));
    format!("{:?} {}{lasting}", fault.at, fault.fault)
}
