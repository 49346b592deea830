//! The report of a load test: `report.json`, and `report.html`, the page that draws it.
//!
//! A run is written as both [files]. `loadtest report` [draws](draw) the page again from `report.json`, or one page
//! that compares several runs. A [page] is an HTML file without references: styles, scripts and data are in it.

mod draw;
mod files;
pub mod model;
pub mod page;

pub use draw::draw_reports;
pub use files::{JSON, PAGE, write, write_file};
