use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use crate::scenario::{Overrides, TimedFault, library::LIBRARY, load, overview};

#[test]
fn every_scenario_of_the_library_is_right_and_says_what_it_shows() {
    let scenarios = overview::library().unwrap();
    let list = overview::list(&scenarios).to_string();
    for (scenario, known) in scenarios.iter().zip(&LIBRARY) {
        let name = known.name;
        assert_eq!(scenario.name, name);
        assert!(known.text.starts_with("# ") && known.text.contains("It shows"), "{name} has no comment");
        let missing = scenario.requirements.iter().filter(|requirement| requirement.to_string() == "missing = 0");
        assert_eq!(missing.count(), 1, "{name} does not require that no order is missing");
        assert!(scenario.warm_up() > Duration::ZERO, "{name} measures cold brokers");
        let until = scenario.faults.iter().map(TimedFault::end).max().unwrap_or_default();
        assert!(until + Duration::from_secs(5) <= scenario.length(), "{name} has no time to recover");
        assert!(list.contains(name), "{list}");
        let shown = overview::text(scenario);
        let names = scenario.phases.iter().map(|phase| phase.name.clone());
        let faults = scenario.faults.iter().map(|fault| fault.fault.to_string());
        names.chain(faults).for_each(|part| assert!(shown.contains(&part), "{part} is missing:\n{shown}"));
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    }
}

#[test]
fn every_file_of_the_library_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = LIBRARY.iter().map(|known| known.name.to_owned()).collect();
    assert_eq!(names, listed);
}

#[test]
fn a_name_is_a_scenario_of_the_library_and_a_path_a_file() {
    let none = Overrides::default();
    assert_eq!(load("steady", &none).unwrap().name, "steady");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, "description = 'x'\n[phases.a]\nrate = 1\nduration = '1s'").unwrap();
    assert_eq!(load(path.to_str().unwrap(), &none).unwrap().name, "mine");
    for (scenario, expected) in [
        ("stedy", "there is no scenario `stedy`: did you mean `steady`?"),
        ("nowhere.toml", "the scenario nowhere.toml can't be read: No such file"),
    ] {
        let error = load(scenario, &none).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
