//! What `loadtest run --check` and `loadtest list` print.

use std::time::Duration;

use comfy_table::Table;
use humantime::format_duration;
use serde_json::{Value, json};
use shared::{
    program::{Outcome, OutputFormat},
    report::{align_right, table},
};

use super::{
    format::Overrides,
    library::LIBRARY,
    model::{Arrival, Lifecycle, Scenario},
    read::load,
};

/// A scenario in tables, at most 80 columns wide.
pub fn text(scenario: &Scenario) -> String {
    let load = &scenario.load;
    let invalid =
        if load.invalid > 0.0 { format!(", {} % of them invalid", load.invalid * 100.0) } else { String::new() };
    let lifecycle = load.lifecycle.as_ref().map(|Lifecycle { file, longest }| {
        let file = file.as_ref().map(|file| format!(", by {}", file.display())).unwrap_or_default();
        format!("\nThe orders change their status up to {} later{file}.", format_duration(*longest))
    });
    let lifecycle = lifecycle.unwrap_or_default();
    let mut text = format!(
        "{}: {}\n\n{} orders in {}{invalid}; {} measured. {}, {}; users and products of {}; seed {}.{lifecycle}\n\n{}\n",
        scenario.name,
        scenario.description,
        scenario.expected_orders(),
        format_duration(scenario.length()),
        scenario.measured_orders(),
        number_of(load.producers, "producer"),
        number_of(load.consumers, "consumer"),
        load.source,
        load.seed,
        phases(scenario),
    );
    if !scenario.faults.is_empty() {
        text += &format!("{}\n", faults(scenario));
    }
    match scenario.requirements.is_empty() {
        true if scenario.faults.is_empty() => {
            text + "No requirement: the run is valid when the rate is met and no order is lost."
        }
        true => text + "No requirement: the run is valid when no order is lost.",
        false => {
            let lines = scenario.requirements.iter().map(|requirement| format!("  {requirement}"));
            format!("{text}Required:\n{}", lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

fn number_of(count: u16, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn phases(scenario: &Scenario) -> Table {
    let mut table = table(["phase", "from", "to", "rate", "arrival", "orders", "measured"]);
    for (begin, phase) in scenario.schedule() {
        let rate = match phase.from == phase.to {
            true => format!("{}/s", phase.to),
            false => format!("{} to {}/s", phase.from, phase.to),
        };
        table.add_row([
            phase.name.clone(),
            time(begin),
            time(begin + phase.duration),
            rate,
            arrival(phase.arrival).to_owned(),
            format!("{:.0}", phase.orders()),
            if phase.measured { "yes" } else { "no" }.to_owned(),
        ]);
    }
    align_right(&mut table, 1..4);
    align_right(&mut table, 5..6);
    table
}

fn faults(scenario: &Scenario) -> Table {
    let mut table = table(["fault", "at", "until"]);
    for fault in &scenario.faults {
        let until = fault.lasting.map_or_else(String::new, |lasting| time(fault.at + lasting));
        table.add_row([fault.fault.to_string(), time(fault.at), until]);
    }
    align_right(&mut table, 1..3);
    table
}

fn arrival(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Constant => "constant",
        Arrival::Poisson => "Poisson",
    }
}

fn time(time: Duration) -> String {
    format_duration(time).to_string()
}

/// A scenario as one JSON object.
pub fn json(scenario: &Scenario) -> Value {
    let phases = scenario.schedule().map(|(begin, phase)| {
        json!({
            "name": phase.name,
            "start_seconds": begin.as_secs_f64(),
            "end_seconds": (begin + phase.duration).as_secs_f64(),
            "from": phase.from,
            "to": phase.to,
            "arrival": phase.arrival,
            "orders": phase.orders(),
            "measured": phase.measured,
        })
    });
    let faults = scenario.faults.iter().map(|fault| {
        json!({
            "fault": fault.fault.to_string(),
            "at_seconds": fault.at.as_secs_f64(),
            "lasting_seconds": fault.lasting.map(|lasting| lasting.as_secs_f64()),
        })
    });
    json!({
        "name": scenario.name,
        "description": scenario.description,
        "producers": scenario.load.producers,
        "consumers": scenario.load.consumers,
        "source": scenario.load.source,
        "invalid": scenario.load.invalid,
        "lifecycle": match &scenario.load.lifecycle {
            None => json!(false),
            Some(Lifecycle { file: None, .. }) => json!(true),
            Some(Lifecycle { file: Some(file), .. }) => json!(file),
        },
        "seed": scenario.load.seed,
        "length_seconds": scenario.length().as_secs_f64(),
        "orders": scenario.expected_orders(),
        "measured_orders": scenario.measured_orders(),
        "phases": phases.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
        "requirements": scenario.requirements.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The scenarios of the library.
///
/// # Errors
/// When one of them is wrong, which a test excludes.
pub fn library() -> anyhow::Result<Vec<Scenario>> {
    let read = |name| load(name, &Overrides::default()).map_err(|error| anyhow::anyhow!("{error}"));
    LIBRARY.iter().map(|known| read(known.name)).collect()
}

/// Prints a scenario: what `loadtest run` would run.
///
/// # Errors
/// When it can't be written as JSON.
pub fn print_scenario(scenario: &Scenario, output: OutputFormat) -> anyhow::Result<Outcome> {
    match output {
        OutputFormat::Text => println!("{}", text(scenario)),
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&json(scenario))?),
    }
    Ok(Outcome::Valid)
}

/// Prints the library.
///
/// # Errors
/// When a scenario of it is wrong, which a test excludes.
pub fn print_library(output: OutputFormat) -> anyhow::Result<Outcome> {
    let scenarios = library()?;
    match output {
        OutputFormat::Text => {
            println!("{}\n", list(&scenarios));
            println!("loadtest run NAME runs one; with --check it prints the phases and faults instead.");
        }
        OutputFormat::Json => {
            let entries = scenarios.iter().map(|scenario| {
                json!({
                    "name": scenario.name,
                    "description": scenario.description,
                    "length_seconds": scenario.length().as_secs_f64(),
                })
            });
            let scenarios = json!({ "scenarios": entries.collect::<Vec<_>>() });
            println!("{}", serde_json::to_string_pretty(&scenarios)?);
        }
    }
    Ok(Outcome::Valid)
}

/// The library in a table.
pub fn list(scenarios: &[Scenario]) -> Table {
    let mut table = table(["scenario", "length", "what it shows"]);
    for scenario in scenarios {
        table.add_row([scenario.name.clone(), time(scenario.length()), scenario.description.clone()]);
    }
    align_right(&mut table, 1..2);
    table
}
