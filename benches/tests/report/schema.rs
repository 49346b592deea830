use benches::report::model::RunReport;
use schemars::generate::SchemaSettings;

use crate::sample::sample;

#[test]
fn the_published_schema_is_that_of_the_code_and_accepts_a_report() {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = serde_json::to_value(generator.into_root_schema_for::<RunReport>()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/schema/load-report.v1.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let published: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(published == schema, "run with UPDATE_SCHEMA=1 to publish the change in {path}");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = serde_json::to_value(sample("20261125-093000-a1b2c3", 20, 1)).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let mut incomplete = report.clone();
    incomplete["counts"].as_object_mut().unwrap().remove("missing");
    assert!(!validator.is_valid(&incomplete));
}

#[test]
fn a_report_is_the_same_after_it_was_written_and_read() {
    let written = serde_json::to_value(sample("20261125-093000-a1b2c3", 20, 1)).unwrap();
    let read: RunReport = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), written);
}
