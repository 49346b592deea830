use std::{collections::BTreeMap, time::Duration};

use clap::{Parser, Subcommand};
use shared::{
    cache::CacheSettings,
    completions::CompletionSettings,
    kafka::{KafkaSettings, TopicSettings},
    program::{OutputFormat, ProgramArgs},
    requirement::{Metric, Requirement},
    telemetry::{LogSettings, ProgramInfo, TelemetrySettings},
};

use super::{
    catalog::CatalogSettings,
    lifecycle::{ChosenLifecycle, LifecycleSettings},
    load::LoadSettings,
    orders::OrderSettings,
    run::RunSettings,
    source::SourceSettings,
    traces::TraceSettings,
    usage::wrong_usage,
};
use crate::{
    pace::Pacer,
    sample::Source,
    send::client::{LINGER_SETTINGS, default_linger},
};

/// Emits synthetic orders to Kafka at an exact rate, counts what the brokers acknowledge, and writes a ledger with
/// which `orderdb audit` proves that no order was lost.
///
/// The schedule is open loop: order n is due at start + n/rate, independently of the orders before it. Lateness is
/// measured from the due time.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        producer --rate 1000 --duration 30s\n  \
        producer --rate 50 --count 10000 --output json\n  \
        producer --steps 500:30s,1k:30s,2k:30s --skew 1.1\n  \
        producer --steps 500:10s:warm-up,0-1k:20s,1k:60s:poisson,5k:5s,1k-0:10s\n  \
        producer --rate max --count 1000000\n  \
        producer --rate 1k --duration 30s --require 'ack p99 < 50ms' --require 'stall < 2s'\n  \
        producer --rate 1k --source builtin --brokers host:9092 --replication 1\n  \
        producer --rate 1k --duration 30s --lifecycle\n  \
        producer --rate 1k --trace-sample 0.1% --otlp-endpoint http://127.0.0.1:4318\n  \
        producer catalog --output sql | psql\n\n\
        Exit codes: 0 valid, 1 failed, 2 wrong usage, 3 finished but not valid (rate missed, orders lost, or a\n\
        requirement not met)."
)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Command {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub load: LoadSettings,
    #[command(flatten)]
    pub orders: OrderSettings,
    #[command(flatten)]
    pub lifecycle: LifecycleSettings,
    #[command(flatten)]
    pub source: SourceSettings,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    #[command(flatten)]
    pub topic: TopicSettings,
    #[command(flatten)]
    pub run: RunSettings,
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
    #[command(flatten)]
    pub log: LogSettings,
    #[command(flatten)]
    pub traces: TraceSettings,
    /// Exit with 3 unless this holds at the end, such as 'ack p99 < 50ms' or 'stall < 2s'; may be repeated. Metrics:
    /// sent, ack, round_trip (each with a percentile, such as p99 or max), stall, tail, rate, rate_error, skipped,
    /// failed, unknown, queue_full.
    #[arg(long, value_name = "REQUIREMENT", value_parser = Requirement::of_producer)]
    pub require: Vec<Requirement>,
    /// Format of the summary.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What to do instead of a run.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print the users and products of --source builtin, to seed a database with them.
    Catalog(CatalogSettings),
    /// Print the completions for a shell: `source <(producer completions bash)`.
    Completions(CompletionSettings),
    /// Print the lifecycle of --lifecycle without a file, to edit it: `producer lifecycle > lifecycle.toml`.
    Lifecycle,
}

/// What a run does, derived from all settings.
pub struct RunPlan {
    /// `--seed`, or a number that follows from `--run-id`, or a random one.
    pub seed: u64,
    pub pacer: Pacer,
    pub source: Source,
    /// `None`: orders do not go on.
    pub lifecycle: Option<ChosenLifecycle>,
}

impl ProgramArgs for Command {
    const PROGRAM: ProgramInfo = ProgramInfo { program: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

    fn log_settings(&self) -> LogSettings {
        self.log
    }
}

impl Command {
    /// Checks the settings for contradictions and derives from them what the run does.
    ///
    /// # Errors
    /// Wrong usage, with the name of the setting.
    pub fn plan(&self) -> Result<RunPlan, clap::Error> {
        self.check_guarantees()?;
        self.check_linger()?;
        self.check_requirements()?;
        self.traces.check()?;
        let source = self.source.source()?;
        self.check_resume(&source)?;
        if self.run.shard.is_some() && matches!(source, Source::RedisSnapshot { .. }) {
            return Err(wrong_usage(
                "--shard with --snapshot or --skew needs --source builtin or catalog: each shard would take its own \
                 snapshot of Redis",
            ));
        }
        let seed = self.orders.seed.unwrap_or_else(|| self.run.seed());
        let pacer = self.load.pacer(seed)?.of_shard(self.run.shard());
        Ok(RunPlan { seed, pacer, source, lifecycle: self.lifecycle.read()? })
    }

    /// Refuses to resume a run whose due times or orders can't be repeated.
    fn check_resume(&self, source: &Source) -> Result<(), clap::Error> {
        if !self.run.resume {
            return Ok(());
        }
        if !self.load.is_paced() {
            return Err(wrong_usage("--rate max has no schedule: --resume can't tell which orders were not due yet"));
        }
        if self.load.backdate {
            return Err(wrong_usage("--resume can't be used with --backdate: remove one of them"));
        }
        if matches!(source, Source::RedisSnapshot { .. }) {
            return Err(wrong_usage(
                "--resume with --snapshot or --skew needs --source builtin or catalog: it would take another snapshot \
                 of Redis",
            ));
        }
        Ok(())
    }

    /// Refuses requirements on what the run does not have.
    fn check_requirements(&self) -> Result<(), clap::Error> {
        let needs_schedule = |requirement: &&Requirement| {
            matches!(requirement.metric(), Metric::RateError | Metric::Tail) && !self.load.is_paced()
        };
        match self.require.iter().find(needs_schedule) {
            Some(requirement) => {
                Err(wrong_usage(&format!("--rate max has no schedule: --require '{requirement}' can't be checked")))
            }
            None => Ok(()),
        }
    }

    /// Refuses client settings under which an acknowledged order may be lost or repeated, or is not counted.
    fn check_guarantees(&self) -> Result<(), clap::Error> {
        for (key, value) in self.kafka.extra_settings() {
            let weakens = match key.as_str() {
                "acks" | "request.required.acks" => !["all", "-1"].contains(&value.as_str()),
                "enable.idempotence" => value != "true",
                "delivery.report.only.error" => value != "false",
                _ => false,
            };
            if weakens {
                return Err(wrong_usage(&format!(
                    "--kafka-config {key}={value} is not allowed: the producer requires acks=all, \
                     enable.idempotence=true and each delivery report, so that an acknowledged order is not lost or \
                     duplicated"
                )));
            }
        }
        Ok(())
    }

    /// Refuses two values of one setting.
    fn check_linger(&self) -> Result<(), clap::Error> {
        let mut set = self.kafka.extra_settings().filter(|(key, _)| LINGER_SETTINGS.contains(&key.as_str()));
        match (self.orders.linger, set.next()) {
            (Some(_), Some((key, _))) => {
                Err(wrong_usage(&format!("--linger and --kafka-config {key} are the same setting: remove one of them")))
            }
            _ => Ok(()),
        }
    }

    /// How long a batch gets orders, unless `--kafka-config` has another time.
    pub fn linger(&self) -> Duration {
        self.orders.linger.unwrap_or(default_linger(self.load.is_paced()))
    }

    /// The settings as the ledger stores them, without secrets.
    pub fn for_record(
        &self,
        seed: u64,
        source: &Source,
        lifecycle: Option<&ChosenLifecycle>,
    ) -> BTreeMap<String, String> {
        let mut record = BTreeMap::from([
            ("load".to_owned(), format!("{:?}", self.load)),
            ("orders".to_owned(), format!("{:?}", self.orders)),
            ("source".to_owned(), format!("{source:?}")),
            ("seed".to_owned(), seed.to_string()),
            ("brokers".to_owned(), self.kafka.brokers.clone()),
            ("topic".to_owned(), self.topic.topic.clone()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if source.uses_redis() {
            record.insert("redis".to_owned(), self.cache.address());
        }
        if let Some(ChosenLifecycle { text, .. }) = lifecycle {
            record.insert("lifecycle".to_owned(), text.clone());
        }
        if !self.require.is_empty() {
            let requirements: Vec<String> = self.require.iter().map(ToString::to_string).collect();
            record.insert("require".to_owned(), requirements.join(", "));
        }
        for (key, value) in &self.kafka.extra {
            record.insert(format!("kafka.{key}"), value.clone());
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use shared::catalog::Locale;

    use super::{super::catalog::CatalogFormat, *};
    use crate::send::partitioner::Partitioner;

    fn load(arguments: &[&str]) -> Result<LoadSettings, clap::Error> {
        Command::try_parse_from(["producer"].iter().chain(arguments)).map(|command| command.load)
    }

    fn orders(arguments: &[&str]) -> Option<u64> {
        load(arguments).unwrap().pacer(0).unwrap().expected()
    }

    #[test]
    fn the_number_of_orders_is_exact() {
        assert_eq!(orders(&["--rate", "1000", "--duration", "30s"]), Some(30_000));
        assert_eq!(orders(&["--rate", "0.3", "--duration", "10s"]), Some(3));
        assert_eq!(orders(&["--rate", "7", "--count", "13"]), Some(13));
        assert_eq!(orders(&["--steps", "500:30s,1000:30s,2000:30s"]), Some(105_000));
        assert_eq!(orders(&["--steps", "0.5k:30s,1k:30s,2k:30s"]), Some(105_000));
        let shapes = "0-1000:20s,1000:60s:poisson,0:5s,5000:5s,1000-0:10s";
        assert_eq!(orders(&["--steps", shapes]), Some(10_000 + 60_000 + 25_000 + 5_000));
        assert_eq!(orders(&["--steps", "500:10s:warm-up,0-1000:20s"]), Some(5_000 + 10_000));
        assert_eq!(orders(&["--steps", "200-400:10s", "--warm-up", "5s"]), Some(1_000 + 3_000));
        assert_eq!(orders(&["--steps", "0:10s", "--burst", "7@3s"]), Some(3 * 7));
        assert_eq!(orders(&["--rate", "2.5M", "--duration", "2s"]), Some(5_000_000));
        assert_eq!(orders(&["--rate", "1000", "--duration", "30s", "--ramp-up", "30s"]), Some(15_000));
        assert_eq!(orders(&["--rate", "10", "--duration", "30s", "--burst", "5000@10s"]), Some(300 + 10_000));
        assert_eq!(orders(&["--rate", "1000", "--duration", "1s", "--warm-up", "5s"]), Some(6_000));
        assert_eq!(orders(&["--rate", "max", "--count", "5"]), Some(5));
        assert_eq!(orders(&["--rate", "7"]), None);
    }

    #[test]
    fn an_invalid_rate_count_or_duration_is_wrong_usage() {
        for arguments in [
            &["--rate", "0"][..],
            &["--rate", "-1"],
            &["--rate=-1"],
            &["--rate", "abc"],
            &["--rate", "NaN"],
            &["--rate", "1e12"],
            &["--rate", "1", "--count", "0"],
            &["--rate", "1", "--duration", "0s"],
            &["--rate", "1", "--duration", "soon"],
            &["--rate", "1", "--duration", "1s", "--count", "1"],
            &["--rate", "1", "--steps", "1:1s"],
            &["--steps", "1:1s,2"],
            &["--rate", "1", "--burst", "0@1s"],
            &["--rate", "1", "--skew", "0"],
            &["--rate", "1", "--invalid", "101%"],
            &["--rate", "1", "--catalog", "f", "--snapshot"],
            &["--rate", "1", "--backdate"],
            &["--rate", "1", "--shard", "2/4"],
            &["--rate", "1", "--shard", "5/4", "--run-id", "r", "--start-at", "2026-01-31T09:00:00Z"],
            &["--rate", "1e9"],
            &["--rate", "1K"],
            &["--steps", "20M:1s"],
            &[],
        ] {
            assert_eq!(load(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert!(load(&["--rate", "max", "--arrival", "poisson"]).unwrap().pacer(0).is_err());
    }

    #[test]
    fn the_first_steps_can_be_the_warm_up() {
        let load = load(&["--steps", "0-500:2s:warm-up,500:10s:warm-up:poisson,1000:30s,0:5s"]).unwrap();
        let pacer = load.pacer(0).unwrap();
        assert_eq!((load.warm_up(), pacer.end()), (Duration::from_secs(12), Some(Duration::from_secs(47))));
    }

    #[test]
    fn steps_that_contradict_each_other_or_have_no_order_are_wrong_usage() {
        for (arguments, expected) in [
            (&["--steps", "500:10s,1000:10s:warm-up"][..], "only the first steps can be the warm-up"),
            (&["--steps", "500:10s:warm-up,500:10s,1:1s:warm-up"], "only the first steps can be the warm-up"),
            (&["--steps", "500:10s:warm-up"], "nothing is measured"),
            (&["--steps", "500:10s:warm-up,500:10s", "--warm-up", "1s"], "--warm-up can't be used with steps"),
            (&["--steps", "0-500:10s", "--warm-up", "1s"], "the rate at which the first step starts, which is 0"),
            (&["--steps", "0-10M:2h"], "a ramp is too long for its rate"),
            (&["--steps", "1:500years,1:500years"], "too long"),
            (&["--steps", "0:10s"], "no order is due"),
            (&["--steps", "0:10s:poisson"], "no order is due"),
            (&["--steps", "100:1s:warm-up,0:10s"], "no order is due"),
            (&["--steps", "0:10s", "--burst", "7@10s"], "no order is due"),
            (&["--steps", "0.05:10s:warm-up,0.01:10s"], "no order is due"),
            (&["--rate", "0.05", "--warm-up", "1s", "--duration", "10s"], "no order is due"),
        ] {
            let error = load(arguments).unwrap().pacer(0).expect_err(&format!("{arguments:?}"));
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(expected), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_catalog_subcommand_has_options_of_its_own() {
        let parse = |arguments: &[&str]| Command::try_parse_from(["producer"].iter().chain(arguments));
        let settings = |arguments: &[&str]| match parse(arguments).unwrap().action {
            Some(Action::Catalog(settings)) => settings,
            other => panic!("{arguments:?} is {other:?}"),
        };
        let defaults = CatalogSettings {
            output: CatalogFormat::Sql,
            users: 10_000,
            products: 2_000,
            catalog_seed: 42,
            locale: Locale::KoKr,
        };
        assert_eq!(settings(&["catalog", "--output", "sql"]), defaults);
        let numbers = ["--users", "1", "--products", "2", "--catalog-seed", "3", "--locale", "it-it"];
        let chosen = CatalogSettings {
            output: CatalogFormat::Jsonl,
            users: 1,
            products: 2,
            catalog_seed: 3,
            locale: Locale::ItIt,
        };
        assert_eq!(settings(&[&["catalog", "--output", "jsonl"], &numbers[..]].concat()), chosen);
        for wrong in [
            &["catalog"][..],
            &["catalog", "--output", "text"],
            &["catalog", "--output", "sql", "--rate", "1"],
            &["--rate", "1", "catalog", "--output", "sql"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert!(parse(&["--rate", "1"]).unwrap().action.is_none());
    }

    #[test]
    fn shards_need_a_source_that_is_the_same_for_all() {
        let source = |arguments: &[&str]| {
            let shard = ["producer", "--rate", "1", "--shard", "2/4", "--run-id", "r", "--start-at"];
            let start_at = ["2026-01-31T09:00:00Z", "--skew", "1.1"];
            Command::try_parse_from(shard.iter().chain(&start_at).chain(arguments))
                .unwrap()
                .plan()
                .map(|plan| plan.source)
        };
        assert!(source(&[]).unwrap_err().to_string().contains("--source builtin or catalog"));
        assert!(!source(&["--source", "builtin"]).unwrap().uses_redis());
        assert!(!source(&["--catalog", "f"]).unwrap().uses_redis());
    }

    #[test]
    fn only_a_run_that_can_be_repeated_is_resumed() {
        let plan = |arguments: &[&str]| {
            let resume = ["producer", "--run-id", "r", "--resume"];
            Command::try_parse_from(resume.iter().chain(arguments)).unwrap().plan().map(|plan| plan.seed)
        };
        assert!(plan(&["--rate", "1"]).is_ok());
        for (arguments, expected) in [
            (&["--rate", "max"][..], "--rate max has no schedule"),
            (&["--rate", "1", "--start-at", "2026-01-31T09:00:00Z", "--backdate"], "with --backdate"),
            (&["--rate", "1", "--snapshot"], "--resume with --snapshot or --skew"),
            (&["--rate", "1", "--skew", "1.1"], "--resume with --snapshot or --skew"),
        ] {
            let error = plan(arguments).unwrap_err();
            assert!(error.to_string().contains(expected), "{arguments:?}: {error}");
        }
        let without_name = Command::try_parse_from(["producer", "--rate", "1", "--resume"]);
        assert!(without_name.unwrap_err().to_string().contains("--run-id"));
    }

    #[test]
    fn the_ledger_records_the_source_and_the_address_of_redis_only_if_it_is_used() {
        let recorded = |arguments: &[&str]| {
            let common = ["producer", "--rate", "1", "--redis-url", "redis://me@host:1"];
            let command = Command::try_parse_from(common.iter().chain(arguments)).unwrap();
            let plan = command.plan().unwrap();
            command.for_record(7, &plan.source, plan.lifecycle.as_ref())
        };
        let builtin = recorded(&["--source", "builtin", "--builtin-users", "5", "--catalog-seed", "9"]);
        assert!(builtin["source"].contains("users: 5, products: 2000, seed: 9"), "{builtin:?}");
        assert!(!builtin.contains_key("redis"), "{builtin:?}");
        let redis = recorded(&[]);
        assert_eq!((redis["source"].as_str(), redis["redis"].as_str()), ("Redis", "host:1"));
        assert!(!format!("{redis:?}").contains("me@"), "{redis:?}");
    }

    #[test]
    fn a_shard_has_the_name_of_earlier_versions_as_a_hidden_alias() {
        let arguments = ["producer", "--rate", "1", "--instance", "2/4", "--run-id", "r", "--start-at"];
        let command = Command::try_parse_from(arguments.iter().chain(&["2026-01-31T09:00:00Z"])).unwrap();
        assert_eq!(command.run.shard().to_string(), "2/4");
    }

    #[test]
    fn the_partitioner_has_the_names_of_earlier_versions_as_hidden_aliases() {
        let partitioner = |arguments: &[&str]| {
            let arguments = ["producer", "--rate", "1"].iter().chain(arguments);
            Command::try_parse_from(arguments).unwrap().orders.partitioner
        };
        assert_eq!(partitioner(&[]), Partitioner::Sticky);
        assert_eq!(partitioner(&["--partitioner", "sticky"]), Partitioner::Sticky);
        assert_eq!(partitioner(&["--partitioning", "turns"]), Partitioner::Sticky);
        assert_eq!(partitioner(&["--partitioning", "key"]), Partitioner::Key);
        let help = <Command as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(help.contains("--partitioner") && !help.contains("partitioning") && !help.contains("turns"), "{help}");
    }

    #[test]
    fn the_linger_has_a_default_by_rate_and_is_set_once() {
        let linger = |arguments: &[&str]| {
            let command = Command::try_parse_from(["producer"].iter().chain(arguments)).unwrap();
            command.plan().map(|_| command.linger())
        };
        let builtin = ["--source", "builtin", "--rate"];
        let paced = [&builtin[..], &["1k"]].concat();
        assert_eq!(linger(&paced).unwrap(), Duration::from_millis(2));
        assert_eq!(linger(&[&builtin[..], &["max"]].concat()).unwrap(), Duration::from_millis(20));
        let set = [&paced[..], &["--linger", "1500us"]].concat();
        assert_eq!(linger(&set).unwrap(), Duration::from_micros(1_500));
        let error = linger(&[&set[..], &["--kafka-config", "linger.ms=5"]].concat()).unwrap_err().to_string();
        assert!(error.contains("--linger and --kafka-config linger.ms are the same setting"), "{error}");
        assert!(Command::try_parse_from(["producer", "--rate", "1", "--linger", "16m"]).is_err());
    }
}
