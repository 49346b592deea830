//! The pages: tables from Askama templates, and charts, whose data is in the page as JSON.

pub mod assets;
mod chart_data;
mod comparison;
mod comparison_figures;
pub mod figures;
mod run;
mod run_tables;
pub mod table;

pub use comparison::comparison_page;
pub use run::report_page;
