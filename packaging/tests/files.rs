//! What the Debian package has for each program.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{collections::BTreeSet, fs, path::Path};

const MANIFEST: &str = include_str!("../Cargo.toml");

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn each_program_and_subcommand_has_a_manual_page_and_each_program_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    packaging::write_files(folder.path()).unwrap();
    let [man, bash, fish, zsh] = ["man", "bash", "fish", "zsh"].map(|name| names(&folder.path().join(name)));
    for program in packaging::programs() {
        let name = program.get_name();
        assert!(man.contains(&format!("{name}.1")), "{man:?}");
        assert!(bash.contains(&format!("{name}.bash")), "{bash:?}");
        assert!(fish.contains(&format!("{name}.fish")), "{fish:?}");
        assert!(zsh.contains(&format!("_{name}")), "{zsh:?}");
    }
    assert_eq!((bash.len(), fish.len(), zsh.len()), (5, 5, 5));
    let page = |name: &str| fs::read_to_string(folder.path().join("man").join(name)).unwrap();
    let replay = page("orderflow-consumer-dlq-replay.1");
    assert!(replay.contains("orderflow\\-consumer dlq replay"), "the synopsis has the name of the package: {replay}");
    assert!(page("orderflow-producer.1").contains("KAFKA_BROKERS"), "a manual page has the variables");
}

#[test]
fn the_package_has_each_program_and_a_link_to_it() {
    for program in packaging::programs() {
        let link = program.get_name();
        let binary = link.strip_prefix("orderflow-").unwrap();
        let asset = format!(r#"["target/release/{binary}", "usr/lib/orderflow/", "755"]"#);
        let link = format!(r#"{{ dest = "usr/bin/{link}", link_name = "../lib/orderflow/{binary}" }}"#);
        assert!(MANIFEST.contains(&asset) && MANIFEST.contains(&link), "{asset} {link}");
    }
}
