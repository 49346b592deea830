//! The settings: flags, environment variables and their checks.

mod catalog;
mod command;
mod lifecycle;
mod load;
mod orders;
mod run;
mod source;
mod traces;
mod usage;

pub use catalog::{CatalogFormat, CatalogSettings};
pub use command::{Action, Command, RunPlan};
pub use lifecycle::{ChosenLifecycle, LifecycleSettings};
pub use load::LoadSettings;
pub use orders::OrderSettings;
pub use run::RunSettings;
pub use source::SourceSettings;
pub use traces::TraceSettings;
