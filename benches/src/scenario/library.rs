use std::{fs, path::Path};

use super::error::{ScenarioError, Source, list, similar};

/// A scenario that comes with the program.
pub struct LibraryScenario {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        [$(LibraryScenario { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

/// All scenarios of the library, from the simplest.
pub const LIBRARY: [LibraryScenario; 14] = scenarios![
    "short",
    "steady",
    "steps",
    "black-friday",
    "rolling-restart",
    "database-failover",
    "scaling",
    "lifecycle",
    "cold-cache",
    "poison",
    "slow-database",
    "network-trouble",
    "soak",
    "chaos",
];

/// The text of a file, or of a scenario of the library.
pub fn find(scenario: &str) -> Result<Source, ScenarioError> {
    if let Some(found) = LIBRARY.iter().find(|known| known.name == scenario) {
        return Ok(Source { name: format!("{scenario}.toml"), text: found.text.to_owned() });
    }
    if !Path::new(scenario).exists() && Path::new(scenario).extension().is_none() {
        return Err(ScenarioError::Unreadable(unknown(scenario)));
    }
    match fs::read_to_string(scenario) {
        Ok(text) => Ok(Source { name: scenario.to_owned(), text }),
        Err(error) => Err(ScenarioError::Unreadable(format!("the scenario {scenario} can't be read: {error}"))),
    }
}

fn unknown(scenario: &str) -> String {
    let names = LIBRARY.map(|known| known.name);
    let likely = similar(scenario, names).map_or_else(String::new, |name| format!("did you mean `{name}`? "));
    format!("there is no scenario `{scenario}`: {likely}a scenario is a TOML file, or one of {}", list(&names))
}
