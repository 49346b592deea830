//! The environment variables of the programs of one pipeline.

use crate::settings::PipelineSettings;

/// The same variables for all programs of the pipeline. Folders are arguments of the programs that use them.
pub fn environment(settings: &PipelineSettings) -> Vec<(String, String)> {
    let mut environment = settings.services.environment();
    environment.push(("CONSUMER_GROUP".to_owned(), settings.group.clone()));
    environment
}
