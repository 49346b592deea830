//! Runs a scenario.
//!
//! [`command`] [joins](join) the stack, and [`scenario_run`] does the steps in order: it [`prepare`]s the services,
//! starts the [`programs`] with their [`setup`], sends the [`load`] by the [`producers`], [waits](waits) until
//! everything is stored, and [`conclude`]s: the [`figures`] of the run get a [`verdict`], and a [`summary`] is printed.
//! Everything that the run leaves is in its [`folder`]; what happens is in its [`chronicle`], and what was broken in its
//! [`fault_log`].

pub mod chronicle;
pub mod command;
mod conclude;
mod fault_log;
mod figures;
mod folder;
mod join;
mod load;
mod prepare;
mod producers;
pub mod program_event;
mod program_start;
pub mod programs;
pub mod registry;
pub mod scenario_run;
pub mod setup;
mod stored_twice;
pub mod summary;
mod verdict;
mod waits;

pub use self::{
    command::run_command,
    join::{chosen_stack, join},
    prepare::prepare,
    program_event::{ProgramChange, ProgramEvent},
    programs::Programs,
    registry::ProgramState,
    scenario_run::run_scenario,
    setup::{ProducerSetup, ProgramSetup},
    waits::{Drained, drain, wait_for_assignment},
};
