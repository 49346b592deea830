//! The settings: flags, environment variables and their checks.

mod command;
mod load;
mod orders;
mod run;
mod source;
mod usage;

pub use command::{Command, RunPlan};
pub use load::LoadSettings;
pub use orders::OrderSettings;
pub use run::RunSettings;
pub use source::SourceSettings;
