//! The pages: tables from Askama templates, and charts, whose data is in the page as JSON.

mod assets;
mod chart_data;
mod comparison;
mod comparison_figures;
mod figures;
mod run;
mod run_tables;
mod table;

pub use comparison::comparison_page;
pub use run::report_page;
