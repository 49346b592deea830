use std::path::Path;

use super::{
    chaos,
    error::{Problem, ScenarioError, Source},
    format::{self, Overrides},
    library,
    model::Scenario,
};

/// Reads the scenario of a file, or of the library when `scenario` is the name of one, with values of the command line.
///
/// # Errors
/// When there is none, or with everything that is wrong in it.
pub fn load(scenario: &str, overrides: &Overrides) -> Result<Scenario, ScenarioError> {
    let file = library::find(scenario)?;
    let stem = Path::new(&file.name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    parse(&stem.unwrap_or_default(), file, overrides)
}

/// The scenario `name` of the text of a file.
///
/// # Errors
/// Everything that is wrong in it.
pub fn parse(name: &str, file: Source, overrides: &Overrides) -> Result<Scenario, ScenarioError> {
    let sources: Vec<Source> = std::iter::once(file).chain(overrides.sources()).collect();
    read(name, &sources).map_err(|problems| ScenarioError::Wrong { sources, problems })
}

fn read(name: &str, sources: &[Source]) -> Result<Scenario, Vec<Problem>> {
    let written = format::read(sources)?;
    let mut scenario = Scenario {
        name: name.to_owned(),
        description: written.description,
        load: written.load,
        phases: written.phases,
        faults: written.faults,
        requirements: written.requirements,
        several_brokers_down: written.several_brokers_down,
        text: written.text,
    };
    if let Some((chaos, span)) = written.chaos {
        let drawn = chaos::draw(&chaos, &scenario);
        if drawn.is_empty() {
            let label = "the measured phases are too short for one";
            let help = "make a phase longer, or `every` shorter";
            return Err(vec![Problem::new(&span, "`[chaos]` has no fault", label).help(help)]);
        }
        scenario.faults.extend(drawn);
        scenario.faults.sort_by_key(|fault| fault.at);
    }
    Ok(scenario)
}
