//! The imports of each crate form no circle, and the modules of the consumer import in the direction of the data only.

mod imports;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use imports::Imports;
use petgraph::{
    algo::{astar, tarjan_scc},
    graphmap::DiGraphMap,
};

/// Folders of the consumer that must not import from one another: (importing, imported).
const FORBIDDEN: [(&str, &str); 6] = [
    ("pipeline", "source"),
    ("sink", "source"),
    ("sink", "pipeline"),
    ("dlq", "source"),
    ("dlq", "pipeline"),
    ("dlq", "sink"),
];

#[test]
fn no_crate_has_an_import_circle() {
    let circles: Vec<String> = crates()
        .into_iter()
        .flat_map(|folder| {
            let name = name_of(&folder);
            circles(&imports::read(&name, &sources(&folder))).into_iter().map(move |circle| format!("{name}: {circle}"))
        })
        .collect();
    assert!(circles.is_empty(), "{} import circles:\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn the_modules_of_the_consumer_import_in_the_direction_of_the_data() {
    let folder = crates().into_iter().find(|folder| name_of(folder) == "consumer").unwrap();
    let backward = backward(&imports::read("consumer", &sources(&folder)));
    assert!(backward.is_empty(), "imports against the direction of the data:\n{}", backward.join("\n"));
}

/// Folders of the crates of the workspace.
fn crates() -> Vec<PathBuf> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the folder of the workspace");
    let mut crates: Vec<PathBuf> = entries(workspace).filter(|folder| folder.join("Cargo.toml").exists()).collect();
    crates.sort();
    crates
}

fn name_of(folder: &Path) -> String {
    folder.file_name().expect("the folder has a name").to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    entries.map(|entry| entry.expect("the folder can be read").path())
}

/// Path below `src/` and content of each source file of a crate.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let root = folder.join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("the file is in src/");
                let source = fs::read_to_string(&path).expect("the file can be read");
                sources.push((name.to_string_lossy().into_owned(), source));
            }
        }
    }
    sources
}

/// For each import that is part of a circle, the shortest circle with it: the files as `a → b → a`, then the names that
/// each imports.
fn circles(imports: &Imports) -> Vec<String> {
    let graph: DiGraphMap<&str, ()> = imports.keys().map(|(from, to)| (from.as_str(), to.as_str(), ())).collect();
    let mut circles = BTreeSet::new();
    for component in tarjan_scc(&graph).iter().filter(|component| component.len() > 1) {
        for (from, to, ()) in
            graph.all_edges().filter(|(from, to, ())| component.contains(from) && component.contains(to))
        {
            let (_, mut files) = astar(&graph, to, |file| file == from, |_| 1, |_| 0)
                .expect("a strongly connected component has a path back");
            let first = files.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(first, _)| first);
            files.rotate_left(first);
            circles.insert(files);
        }
    }
    let describe = |mut files: Vec<&str>| {
        files.push(files[0]);
        let names = files.windows(2).map(|pair| format!("\n    {}", describe_import(imports, pair[0], pair[1])));
        format!("{}{}", files.join(" → "), names.collect::<String>())
    };
    circles.into_iter().map(describe).collect()
}

fn backward(imports: &Imports) -> Vec<String> {
    let module = |file: &str| file.split_once('/').map(|(module, _)| module.to_owned()).unwrap_or_default();
    let is_forbidden = |from: &str, to: &str| FORBIDDEN.contains(&(module(from).as_str(), module(to).as_str()));
    let forbidden = imports.keys().filter(|(from, to)| is_forbidden(from, to));
    forbidden.map(|(from, to)| describe_import(imports, from, to)).collect()
}

fn describe_import(imports: &Imports, from: &str, to: &str) -> String {
    let names: Vec<&str> = imports[&(from.to_owned(), to.to_owned())].iter().map(String::as_str).collect();
    format!("{from} imports from {to}: {}", names.join(", "))
}

fn read(sources: &[(&str, &str)]) -> Imports {
    let sources: Vec<_> = sources.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned())).collect();
    imports::read("made-up", &sources)
}

#[test]
fn a_circle_is_found_however_the_import_is_written() {
    for import in [
        "use crate::b::B;",
        "use super::{a::X, b::{self, B}};",
        "pub use crate::b::*;",
        "fn f() -> crate::b::B { todo!() }",
        "fn f() { println!(\"{}\", super::b::B) }",
        "use crate::c; fn f() { c::nested::g() }",
        "#[arg(value_parser = crate::b::parse)] struct S;",
        "mod inline { use super::super::b::B; }",
    ] {
        let found = circles(&read(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", import),
            ("b.rs", "use made_up::a::A;"),
            ("c/mod.rs", "pub mod nested;"),
            ("c/nested.rs", "pub use crate::b::g;"),
        ]));
        assert_eq!(found.len(), 1, "{import}: {found:?}");
        assert!(found[0].contains("a.rs → ") && found[0].contains(" → a.rs\n"), "{import}: {found:?}");
    }
    let [circle] = &circles(&read(&[
        ("sink/mod.rs", "mod insert; pub use insert::insert; pub struct Row; pub struct Other;"),
        ("sink/insert.rs", "use super::{Other, Row};"),
    ]))[..] else {
        panic!("a mod.rs that re-exports a child, which imports from it, is a circle")
    };
    assert_eq!(
        circle,
        "sink/insert.rs → sink/mod.rs → sink/insert.rs\n    sink/insert.rs imports from sink/mod.rs: Other, Row\n    \
         sink/mod.rs imports from sink/insert.rs: insert"
    );
}

#[test]
fn a_tree_has_no_circle() {
    let found = circles(&read(&[
        ("lib.rs", "pub mod a; mod b; mod sink; pub use a::A;"),
        ("main.rs", "use made_up::{a::A, sink}; fn main() { sink::insert() }"),
        ("a.rs", "use crate::b::B; use std::fmt; pub(super) struct A; impl fmt::Display for A {}"),
        ("b.rs", "pub(in crate::a) struct B; #[cfg(test)] mod tests { use super::*; use crate::a::A; }"),
        ("sink/mod.rs", "mod insert; mod model; #[cfg(test)] mod testing; fn f(model: u8) -> u8 { model }"),
        ("sink/insert.rs", "use super::{f, model::Row}; use crate::b; #[cfg(test)] use crate::a::A;"),
        ("sink/model.rs", "use super::f; pub struct Row(crate::a::A);"),
        ("sink/testing.rs", "use crate::sink::insert;"),
    ]));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_import_against_the_direction_of_the_data_is_found() {
    let found = backward(&read(&[
        ("model.rs", ""),
        ("source/reader.rs", "use crate::{model::Record, pipeline::worker::Worker};"),
        ("pipeline/worker.rs", "use crate::{dlq::writer::Writer, sink::insert::insert};"),
        ("sink/insert.rs", "use crate::pipeline::worker::Batch;"),
        ("dlq/writer.rs", "use crate::model::Record;"),
    ]));
    assert_eq!(found, ["sink/insert.rs imports from pipeline/worker.rs: Batch"]);
}
