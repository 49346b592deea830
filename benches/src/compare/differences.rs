//! What differs between two sides besides their figures, so that a difference of the machine is not mistaken for one of
//! the programs.

use std::collections::BTreeSet;

use super::figures::RunFigures;

/// A sentence for each difference, and one when the runs were not made in turns.
pub fn warnings(a: &[RunFigures], b: &[RunFigures]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut compare = |what: &str, value: &dyn Fn(&RunFigures) -> String| {
        let values = |side: &[RunFigures]| side.iter().map(value).collect::<BTreeSet<_>>();
        let (of_a, of_b) = (values(a), values(b));
        if of_a != of_b || of_a.len() > 1 {
            let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(" and ");
            warnings.push(format!("{what} differs: A has {}, B has {}", list(of_a), list(of_b)));
        }
    };
    compare("the CPU", &|run| run.machine.cpu.clone());
    compare("the number of cores", &|run| run.machine.cores.to_string());
    // Kernels reserve some memory, so it is compared in whole GiB.
    compare("the memory", &|run| format!("{} GiB", (run.machine.memory_bytes + (1 << 29)) >> 30));
    compare("the system", &|run| run.machine.system.clone());
    let names: BTreeSet<&String> = a.iter().chain(b).flat_map(|run| run.versions.keys()).collect();
    for name in names {
        compare(&format!("the version of {name}"), &|run| {
            run.versions.get(name).cloned().unwrap_or_else(|| "none".to_owned())
        });
    }
    warnings.extend(scenario(a, b));
    warnings.extend(turns(a, b));
    warnings
}

/// The first line in which the scenario of a run differs from that of the first run.
fn scenario(a: &[RunFigures], b: &[RunFigures]) -> Option<String> {
    let first = a.first()?;
    let other = a.iter().chain(b).find(|run| run.scenario != first.scenario)?;
    let lines = first.scenario.lines().map(Some).chain(std::iter::repeat(None));
    let others = other.scenario.lines().map(Some).chain(std::iter::repeat(None));
    // The texts differ, so that a line differs or one text has fewer lines; at the end of both there is no difference.
    let longest = first.scenario.lines().count().max(other.scenario.lines().count());
    let line = lines.zip(others).take(longest).find(|(line, other)| line != other);
    let text = |line: Option<&str>| line.map_or_else(|| "nothing".to_owned(), |line| format!("'{}'", line.trim()));
    let where_ = line.map_or_else(
        || "in its white space".to_owned(),
        |(line, other_line)| {
            format!("run {} has {}, run {} has {}", first.run_id, text(line), other.run_id, text(other_line))
        },
    );
    Some(format!("the scenario differs: {where_}"))
}

/// Runs of one side before all of the other: what changed on the machine meanwhile looks like a change of the programs.
fn turns(a: &[RunFigures], b: &[RunFigures]) -> Option<String> {
    let times = |side: &[RunFigures]| {
        let times = || side.iter().map(|run| run.started_at);
        Some((times().min()?, times().max()?))
    };
    let ((first_a, last_a), (first_b, last_b)) = (times(a)?, times(b)?);
    (last_a < first_b || last_b < first_a).then(|| {
        "all runs of one side are earlier than those of the other: what else changed meanwhile, such as other load on \
         the machine, is in the shift too"
            .to_owned()
    })
}
