//! Runs a scenario: [`programs`] are started and watched with what [`setup`] tells; each change is a [`program_event`].

pub mod program_event;
pub mod programs;
mod registry;
pub mod setup;

pub use self::{
    program_event::{ProgramChange, ProgramEvent},
    programs::Programs,
    registry::ProgramState,
    setup::{ProducerSetup, ProgramSetup},
};
