//! The report of a load test: `report.json`, and the page that draws it.

pub mod model;
