//! Whether the memory or the open files of a program grow without an end.

use std::{fmt, sync::Arc};

use super::model::{ProcessKind, ProcessSample, Sample};

/// Shorter runs are not judged: caches and pools fill in the first minutes.
pub const MIN_LENGTH_SECONDS: f64 = 600.0;
/// Points of a series that are compared, each the median of a part of the time. Neighbouring seconds depend on each
/// other, which the test for a trend does not expect.
const POINTS: usize = 60;
/// Quantile of the normal distribution for a trend that is by chance in one of 2,000 series.
const SIGNIFICANT: f64 = 3.29;
/// The same for the last third of a series that has a trend: by chance in one of 40.
const SIGNIFICANT_AT_THE_END: f64 = 1.96;
/// Growth of memory that is too small to matter, in bytes per minute.
const MIN_BYTES_PER_MINUTE: f64 = 1024.0 * 1024.0;
/// Growth of open files that is too small to matter, per minute.
const MIN_FILES_PER_MINUTE: f64 = 1.0;
/// Growth that is too small to matter, as a part of the value at the begin.
const MIN_SHARE: f64 = 0.1;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Memory,
    OpenFiles,
}

/// A figure of a program that grew until the end of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    pub process: String,
    pub resource: Resource,
    /// Bytes or files.
    pub per_minute: f64,
    /// Over the time that was judged, as a part of the value at its begin.
    pub share: f64,
}

impl fmt::Display for Growth {
    /// A sentence for the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, resource, per_minute, share } = self;
        let (what, rate) = match resource {
            Resource::Memory => ("memory", format!("{:.1} MiB", per_minute / MIN_BYTES_PER_MINUTE)),
            Resource::OpenFiles => ("number of open files", format!("{per_minute:.1}")),
        };
        write!(
            f,
            "the {what} of {process} grows by {rate} a minute, {:.0} % in the second half of the run",
            share * 100.0
        )
    }
}

/// The programs whose memory or open files grew until the end, judged by the second half of the samples. Programs that
/// were started within it are not judged, and servers are not: their caches are bounded by their own settings. Empty
/// for a run of less than ten minutes.
pub fn growth(samples: &[Arc<Sample>]) -> Vec<Growth> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let middle = f64::midpoint(first.seconds, last.seconds);
    if last.seconds - first.seconds < MIN_LENGTH_SECONDS {
        return Vec::new();
    }
    let judged = &samples[samples.partition_point(|sample| sample.seconds < middle)..];
    let names = last.processes.iter().filter(|process| is_judged(process)).map(|process| process.name.as_str());
    let resources = |name| [Resource::Memory, Resource::OpenFiles].map(|resource| growth_of(judged, name, resource));
    names.flat_map(resources).flatten().collect()
}

fn is_judged(process: &ProcessSample) -> bool {
    match process.kind {
        ProcessKind::Producer | ProcessKind::Consumer | ProcessKind::CacheWorker | ProcessKind::Loadtest => true,
        ProcessKind::Broker | ProcessKind::Redis | ProcessKind::Postgres => false,
    }
}

fn growth_of(samples: &[Arc<Sample>], name: &str, resource: Resource) -> Option<Growth> {
    let value = |sample: &Arc<Sample>| {
        let process = sample.processes.iter().find(|process| process.name == name && process.is_running)?;
        let value = match resource {
            Resource::Memory => process.memory_bytes as f64,
            Resource::OpenFiles => process.open_files? as f64,
        };
        Some((sample.seconds / 60.0, value))
    };
    // One gap means that the program was started again.
    let series: Vec<(f64, f64)> = samples.iter().map(value).collect::<Option<_>>()?;
    let min_per_minute = match resource {
        Resource::Memory => MIN_BYTES_PER_MINUTE,
        Resource::OpenFiles => MIN_FILES_PER_MINUTE,
    };
    let (per_minute, share) = lasting_growth(&series, min_per_minute)?;
    Some(Growth { process: name.to_owned(), resource, per_minute, share })
}

/// The slope of a series and its growth as a part of its first value, when it grows significantly, by more than a
/// little, and still does in its last third: a series that reached a plateau does not.
fn lasting_growth(series: &[(f64, f64)], min_slope: f64) -> Option<(f64, f64)> {
    let points = medians(series);
    let grows = |points: &[(f64, f64)], significant: f64| {
        let slope = theil_sen_slope(points)?;
        (slope >= min_slope && mann_kendall(points) > significant).then_some(slope)
    };
    let slope = grows(&points, SIGNIFICANT)?;
    grows(&points[points.len() * 2 / 3..], SIGNIFICANT_AT_THE_END)?;
    let (first, last) = (points.first()?, points.last()?);
    let share = slope * (last.0 - first.0) / first.1.max(1.0);
    (share >= MIN_SHARE).then_some((slope, share))
}

/// The medians of at most [`POINTS`] parts of a series.
fn medians(series: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let parts = series.chunks(series.len().div_ceil(POINTS).max(1));
    let of = |part: &[(f64, f64)], value: fn(&(f64, f64)) -> f64| median(part.iter().map(value).collect());
    parts.filter_map(|part| Some((of(part, |point| point.0)?, of(part, |point| point.1)?))).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// The median of the slopes between all pairs of points.
fn theil_sen_slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs =
        points.iter().enumerate().flat_map(|(n, first)| points[n + 1..].iter().map(move |second| (first, second)));
    median(pairs.map(|(first, second)| (second.1 - first.1) / (second.0 - first.0)).collect())
}

/// The statistic of the Mann-Kendall test, which is normally distributed with deviation 1 in a series without a trend,
/// and positive in one that grows. Equal values are accounted for.
fn mann_kendall(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let pairs =
        points.iter().enumerate().flat_map(|(at, first)| points[at + 1..].iter().map(move |second| (first, second)));
    let score: f64 =
        pairs.map(|(first, second)| if second.1 == first.1 { 0.0 } else { (second.1 - first.1).signum() }).sum();
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties: f64 = values.chunk_by(|one, other| one == other).map(|equal| term(equal.len() as f64)).sum();
    let variance = (term(n) - ties) / 18.0;
    if variance > 0.0 { (score - score.signum()) / variance.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;

    /// A sample a second with this memory of a program, by minute.
    fn run(minutes: f64, kind: ProcessKind, memory: impl Fn(f64) -> f64) -> Vec<Arc<Sample>> {
        let sample = |second: u32| {
            let minute = f64::from(second) / 60.0;
            let process = ProcessSample {
                name: "it".to_owned(),
                kind,
                is_running: true,
                cpu_cores: 0.1,
                memory_bytes: memory(minute) as u64,
                open_files: Some(30),
            };
            Arc::new(Sample { seconds: f64::from(second), processes: vec![process], ..Sample::default() })
        };
        (0..=(minutes * 60.0) as u32).map(sample).collect()
    }

    fn of_consumer(minutes: f64, memory: impl Fn(f64) -> f64) -> Vec<Growth> {
        growth(&run(minutes, ProcessKind::Consumer, memory))
    }

    #[test]
    fn a_series_that_grows_until_the_end_is_found() {
        let leak = |minute: f64| 50.0 * MIB + 3.0 * MIB * minute;
        let found = of_consumer(20.0, leak);
        let [grown] = &found[..] else { panic!("{found:?}") };
        assert!((grown.per_minute / MIB - 3.0).abs() < 0.01 && (0.3..0.4).contains(&grown.share), "{grown:?}");
        let text = "the memory of it grows by 3.0 MiB a minute, 37 % in the second half of the run";
        assert_eq!(grown.to_string(), text);
        let mut random = StdRng::seed_from_u64(1);
        let noise: Vec<f64> = (0..1_201).map(|_| random.random_range(-4.0..4.0) * MIB).collect();
        let noisy = of_consumer(20.0, |minute| leak(minute) + noise[(minute * 60.0).round() as usize]);
        assert_eq!(noisy.len(), 1, "{noisy:?}");
    }

    #[test]
    fn a_flat_a_noisy_or_a_stepwise_series_does_not_grow() {
        assert_eq!(of_consumer(20.0, |_| 50.0 * MIB), []);
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let noise: Vec<f64> = (0..1_201).map(|_| random.random_range(-20.0..20.0) * MIB).collect();
            let found = of_consumer(20.0, |minute| 60.0 * MIB + noise[(minute * 60.0).round() as usize]);
            assert_eq!(found, [], "seed {seed}");
        }
        // A buffer that doubles, at any time of the second half.
        for step in [11.0, 13.0, 15.0, 17.0, 19.0] {
            let found = of_consumer(20.0, |minute| if minute < step { 50.0 * MIB } else { 90.0 * MIB });
            assert_eq!(found, [], "a step after {step} minutes");
        }
        let filling = of_consumer(60.0, |minute| 50.0 * MIB + 40.0 * MIB * (minute / 40.0).min(1.0));
        assert_eq!(filling, [], "a cache that is full after 40 of 60 minutes");
    }

    #[test]
    fn slow_growth_short_runs_and_servers_are_not_judged() {
        assert_eq!(of_consumer(20.0, |minute| 50.0 * MIB + 0.5 * MIB * minute), [], "half a MiB a minute");
        assert_eq!(of_consumer(20.0, |minute| 900.0 * MIB + 3.0 * MIB * minute), [], "3 %");
        assert_eq!(of_consumer(9.9, |minute| 50.0 * MIB + 30.0 * MIB * minute), []);
        assert_eq!(growth(&run(20.0, ProcessKind::Broker, |minute| 500.0 * MIB * minute)), []);
    }

    #[test]
    fn growing_numbers_of_open_files_are_found_and_a_program_that_was_restarted_is_not_judged() {
        let mut samples = run(20.0, ProcessKind::Producer, |_| 50.0 * MIB);
        for (second, sample) in samples.iter_mut().enumerate() {
            Arc::make_mut(sample).processes[0].open_files = Some(30 + second as u64 / 20);
        }
        let found = growth(&samples);
        assert!(found.len() == 1 && found[0].resource == Resource::OpenFiles, "{found:?}");
        assert!(
            found[0].to_string().starts_with("the number of open files of it grows by 3.0 a minute"),
            "{}",
            found[0]
        );
        Arc::make_mut(&mut samples[1_000]).processes[0].is_running = false;
        assert_eq!(growth(&samples), []);
    }
}
