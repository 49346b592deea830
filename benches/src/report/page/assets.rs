//! The scripts and styles that a page has in it, since it loads nothing.

/// The scripts of a page, in the order in which they run.
pub const SCRIPT: &str = concat!(
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
pub const STYLE: &str = concat!(include_str!("../assets/uPlot.min.css"), "\n", include_str!("../assets/report.css"));
