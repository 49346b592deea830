//! The pages: tables from Askama templates, and charts, whose data is in the page as JSON.

mod chart_data;
mod comparison;
mod comparison_figures;
mod figures;
mod run;
mod run_tables;
mod table;

pub use comparison::comparison_page;
pub use run::report_page;

/// The scripts of a page, in the order in which they run.
const SCRIPT: &str = concat!(
    include_str!("../assets/uPlot.iife.min.js"),
    "\n",
    include_str!("../assets/format.js"),
    include_str!("../assets/colors.js"),
    include_str!("../assets/marks.js"),
    include_str!("../assets/legend.js"),
    include_str!("../assets/charts.js"),
    include_str!("../assets/page.js"),
);

/// The styles of a page.
const STYLE: &str = concat!(include_str!("../assets/uPlot.min.css"), "\n", include_str!("../assets/report.css"));
