//! `deploy/run`: the settings that its programs get, its signals, and the services that it stops.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use benches::process::command;
use rustix::process::{Pid, Signal, kill_process_group};
use testbed::{Testbed, eventually};

use super::scenario::TIMEOUT;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A copy of the scripts, in a checkout without programs.
fn checkout(folder: &Path) -> PathBuf {
    let checkout = folder.join("checkout");
    std::fs::create_dir_all(&checkout).unwrap();
    let copied = Command::new("cp").arg("-r").arg(Path::new(ROOT).join("deploy")).arg(&checkout).status();
    assert!(copied.unwrap().success());
    checkout
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/usr/bin/env bash\n{text}")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_use_the_stack_alone_whatever_the_variables_and_an_env_file_say() {
    let bed = Testbed::new("trap").await;
    let sql = bed.sql().await;
    let trap = format!("{}_empty", bed.database.database());
    sql.batch_execute(&format!("CREATE DATABASE \"{trap}\"")).await.unwrap();
    let place = bed.database.with_database(&trap).place();
    let environment = bed.environment();
    let value = |name: &str| &environment.iter().find(|(known, _)| known == name).unwrap().1;
    let url = format!("postgres://{}:{}@{place}", value("POSTGRES_USER"), value("POSTGRES_PASSWORD"));
    // The address leads to the trap.
    let orderdb = command("orderdb").unwrap().arg("seed").env("DATABASE_URL", &url).output().unwrap();
    let refusal = String::from_utf8_lossy(&orderdb.stderr);
    assert!(refusal.contains(&format!("tables are missing in database {trap}")), "{refusal}");

    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("DB_TYPE", "rds"),
        ("RDS_HOST", "127.0.0.1"),
        ("POSTGRES_DB", &trap),
        ("PGHOSTADDR", "192.0.2.1"),
        ("KAFKA_BROKERS", "127.0.0.1:9"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        ("ORDERS_TOPIC", "trap"),
        ("CONSUMER_GROUP", "trap"),
        ("REDIS_URL", "redis://127.0.0.1:9"),
        ("REDIS_PREFIX", "trap:"),
        ("REDISCLI_AUTH", "trap"),
        ("ORDERFLOW_LISTEN", "127.0.0.1:9"),
    ];
    let checkout = checkout(bed.folder());
    let file: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(bed.folder().join(".env"), file).unwrap();
    let programs = PathBuf::from(command("loadtest").unwrap().get_program()).parent().unwrap().to_owned();
    let state = std::env::var("ORDERFLOW_STATE").unwrap_or_else(|_| format!("{ROOT}/.stack"));
    let mut run = Command::new(checkout.join("deploy/run"));
    let stack = std::env::var("ORDERFLOW_TEST_STACK").expect("ORDERFLOW_TEST_STACK names the stack of the tests");
    run.args(["--rate", "200", "--duration", "1s", "--consumers", "1", "--name", &stack]);
    run.arg("--programs").arg(programs).env("ORDERFLOW_STATE", state).env_remove("ORDERFLOW_ENV_FILE");
    let output = tokio::task::spawn_blocking({
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        move || run.envs(variables).output()
    });
    let output = output.await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{log}");
    let told = log.lines().find(|line| line.contains("no effect")).unwrap_or_else(|| panic!("not told: {log}"));
    for name in variables.iter().map(|(name, _)| *name).chain(["/.env"]) {
        assert!(told.contains(name), "{name} is not in: {told}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let trapped = shared::database::connect(&bed.database.with_database(&trap)).await.unwrap();
    assert_eq!(trapped.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0, "{log}");
    drop(trapped);
    sql.batch_execute(&format!("DROP DATABASE \"{trap}\" WITH (FORCE)")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_one_sigterm_to_the_running_program_and_ends_only_the_services_that_it_started() {
    for (signals, code) in [(&[Signal::INT][..], 130), (&[Signal::TERM], 143), (&[Signal::HUP, Signal::HUP], 129)] {
        let folder = tempfile::tempdir().unwrap();
        let (checkout, programs) = (checkout(folder.path()), folder.path().join("programs"));
        let (calls, received) = (folder.path().join("calls"), folder.path().join("received"));
        std::fs::create_dir(&programs).unwrap();
        // A stack of which two services don't run, and one is paused.
        script(
            &checkout.join("deploy/stack"),
            &format!(
                "echo \"$*\" >> {}\n[[ $* == *' status' ]] || exit 0\nprintf '%s\\n' 'stack x in /x' \
                 'SERVICE STATE' 'kafka-1 running 1' 'kafka-2 paused 2' 'redis stopped -' 'postgres dead -'\nexit 3\n",
                calls.display()
            ),
        );
        script(&programs.join("orderdb"), "exit 0\n");
        script(
            &programs.join("loadtest"),
            &format!(
                "[[ $* != *--check-only* ]] || exit 0\nfor s in INT HUP; do trap \"echo $s >> {0}\" $s; done\n\
                 trap 'echo TERM >> {0}; sleep 0.3; exit 1' TERM\necho started >> {0}\nwhile :; do sleep 0.05; done\n",
                received.display()
            ),
        );
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        // A test that was started with ignored signals must not pass that on.
        let mut run = Command::new("env");
        run.arg("--default-signal=HUP,INT,TERM").arg(checkout.join("deploy/run")).arg("--programs").arg(&programs);
        run.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        eventually("the pipeline runs", TIMEOUT, async || read(&received).contains("started")).await;
        for signal in signals {
            kill_process_group(Pid::from_child(&run), *signal).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let status = tokio::task::spawn_blocking(move || run.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(code), "{signals:?}");
        assert_eq!(read(&received), "started\nTERM\n", "{signals:?}");
        let calls = read(&calls);
        assert!(calls.ends_with("--name main stop redis postgres\n") && !calls.contains("down"), "{calls}");
    }
}

#[test]
fn a_run_with_a_view_is_a_scenario_of_one_steady_phase_and_its_program_has_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (checkout, programs) = (checkout(folder.path()), folder.path().join("programs"));
    let file = |name: &str| folder.path().join(name);
    std::fs::create_dir(&programs).unwrap();
    let status = "[[ $* != *' status' ]] || printf '%s\n' 'stack x in /x' 'SERVICE STATE' 'redis running 1'\n";
    script(&checkout.join("deploy/stack"), status);
    script(&programs.join("orderdb"), "exit 0\n");
    let text = "cd FOLDER\nif [[ $* == *--check* ]]; then cat \"$2\" > scenario\nelse\n  [[ -t 0 && -t 2 ]] && \
                echo \"$1 ${2##*/} ${*:3}\" > arguments && echo \"$2\" > path\nfi\n";
    script(&programs.join("loadtest"), &text.replace("FOLDER", &folder.path().display().to_string()));
    let run = |view: &str| {
        format!(
            "{} {view} --rate 2k --warm-up 5s --consumers 2 --require 'stored p99 < 250ms' --name x --programs {}",
            checkout.join("deploy/run").display(),
            programs.display()
        )
    };
    // `script` gives the command a terminal.
    let in_terminal = Command::new("script").args(["-qec", &run("--view"), "/dev/null"]).stdin(Stdio::null()).output();
    let output = in_terminal.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    assert_eq!(read("arguments"), "run pipeline.toml --stack x --view always\n");
    assert!(!Path::new(read("path").trim_end()).exists(), "the scenario is removed");
    std::fs::rename(file("scenario"), file("pipeline.toml")).unwrap();
    let path = file("pipeline.toml").display().to_string();
    let scenario = benches::scenario::load(&path, &benches::scenario::Overrides::default()).unwrap();
    let phases: Vec<(&str, f64, bool)> =
        scenario.phases.iter().map(|phase| (phase.name.as_str(), phase.to, phase.measured)).collect();
    assert_eq!(phases, [("warm-up", 2_000.0, false), ("steady", 2_000.0, true)]);
    assert_eq!((scenario.load.consumers, scenario.phases[1].duration), (2, Duration::from_secs(30)));
    assert_eq!(scenario.requirements.len(), 1);

    let without = Command::new("bash").args(["-c", &run("--view")]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("--view requires a terminal"));
}

#[test]
fn brokers_that_a_run_starts_compile_quickly_unless_the_rate_is_high_or_the_user_decides() {
    let folder = tempfile::tempdir().unwrap();
    let (checkout, programs) = (checkout(folder.path()), folder.path().join("programs"));
    let options = folder.path().join("options");
    std::fs::create_dir(&programs).unwrap();
    ["orderdb", "loadtest"].iter().for_each(|program| script(&programs.join(program), "exit 0\n"));
    let run = |states: [&str; 3], rate: &str, user: Option<&str>| {
        let [first, second, third] = states;
        let stack = format!(
            "[[ $* != *' up' ]] || echo \"${{KAFKA_OPTS-none}}\" > {}\n[[ $* != *' status' ]] || \
             printf '%s\\n' 'stack x in /x' 'SERVICE STATE' 'kafka-1 {first} -' 'kafka-2 {second} -' \
             'kafka-3 {third} -' 'redis running 1'\n",
            options.display()
        );
        script(&checkout.join("deploy/stack"), &stack);
        let mut run = Command::new(checkout.join("deploy/run"));
        run.args(["--rate", rate, "--name", "x", "--programs"]).arg(&programs).env_remove("KAFKA_OPTS");
        let output = run.envs(user.map(|user| ("KAFKA_OPTS", user))).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(&options).unwrap().trim_end().to_owned()
    };
    let stopped = ["stopped"; 3];
    let quick = "-XX:TieredStopAtLevel=1";
    for rate in ["1000", "5k", "0.5", "2.5k", "0.005M"] {
        assert_eq!(run(stopped, rate, None), quick, "{rate}");
    }
    for rate in ["5001", "5.1k", "20k", "2M"] {
        assert_eq!(run(stopped, rate, None), "none", "{rate}");
    }
    assert_eq!(run(["running", "stopped", "running"], "1000", None), "none", "all brokers have one compiler");
    assert_eq!(run(stopped, "1000", Some("-Dx=y")), "-Dx=y");
}
