//! The confirmation before something is destroyed, on a terminal and without one.

use std::process::{Command, Stdio};

use rexpect::session::{PtySession, spawn_command};
use testbed::{Testbed, USERS};

use crate::program::{count, ended, orderdb, printed};

const TIMEOUT_MS: u64 = 30_000;

/// A database whose only migration is that which has created the tables with rows.
async fn with_first_migration(test: &str) -> Testbed {
    let bed = Testbed::new(test).await;
    printed(&bed, &["migrate", "rollback", "3", "--yes-destroy", bed.database.database()]).await;
    bed
}

/// The URL of the test's database by a host name that is none of this machine.
fn remote_url(bed: &Testbed) -> String {
    let environment = bed.environment();
    let value = |name: &str| environment.iter().find(|(set, _)| set == name).unwrap().1.clone();
    let (user, password, port) = (value("POSTGRES_USER"), value("POSTGRES_PASSWORD"), value("POSTGRES_PORT"));
    let database = bed.database.database();
    format!("postgres://{user}:{password}@database.test:{port}/{database}?hostaddr=127.0.0.1&sslmode=disable")
}

/// `orderdb` on a terminal of its own.
fn on_terminal(bed: &Testbed, arguments: &[&str], variables: &[(&str, &str)]) -> PtySession {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(arguments).envs(bed.environment()).envs(variables.iter().copied());
    spawn_command(orderdb, Some(TIMEOUT_MS)).unwrap()
}

/// Waits for the prompt, and returns the code that it asks for.
fn asked_code(terminal: &mut PtySession, purpose: &str) -> String {
    terminal.exp_string("Type ").unwrap();
    terminal.exp_string(&format!(" {purpose}: ")).unwrap()
}

/// The exit code, and the rest of what is on the terminal.
fn end(mut terminal: PtySession) -> (i32, String) {
    let output = terminal.exp_eof().unwrap();
    // Such as `Exited(Pid(7), 1)`: rexpect does not export its type.
    let status = format!("{:?}", terminal.process().wait().unwrap());
    let code = status.strip_prefix("Exited(").and_then(|status| status.trim_end_matches(')').rsplit(", ").next());
    (code.unwrap_or_else(|| panic!("{status}: {output}")).parse().unwrap(), output)
}

async fn users(bed: &Testbed) -> i64 {
    count(bed, "SELECT count(*) FROM users").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_types_two_codes_and_anything_else_leaves_everything() {
    let bed = with_first_migration("guard_codes").await;
    let interrupted = "\u{3}";
    for (answers, expected) in [
        (["wrong", ""], "nothing was changed"),
        (["right", "wrong"], "nothing was changed"),
        (["right", "first code again"], "nothing was changed"),
        ([interrupted, ""], "interrupted: nothing was changed"),
        (["right", interrupted], "interrupted: nothing was changed"),
    ] {
        let mut terminal = on_terminal(&bed, &["migrate", "down"], &[]);
        let mut codes = Vec::new();
        for (answer, purpose) in answers.into_iter().zip(["to continue", "to confirm"]) {
            if answer.is_empty() {
                break;
            }
            codes.push(asked_code(&mut terminal, purpose));
            match answer {
                "right" => drop(terminal.send_line(codes.last().unwrap()).unwrap()),
                "first code again" => drop(terminal.send_line(&codes[0]).unwrap()),
                "\u{3}" => terminal.send_control('c').unwrap(),
                other => drop(terminal.send_line(other).unwrap()),
            }
        }
        let (code, output) = end(terminal);
        assert!(code == 1 && output.contains(expected), "{answers:?}: {code}, {output}");
    }
    assert_eq!(users(&bed).await, USERS as i64);
    let mut terminal = on_terminal(&bed, &["migrate", "down"], &[]);
    let shown = terminal.exp_string(&format!("{USERS} rows")).unwrap();
    assert!(shown.contains("This destroys table users"), "{shown}");
    for purpose in ["to continue", "to confirm"] {
        let code = asked_code(&mut terminal, purpose);
        assert!(code.len() == 4, "{code}");
        terminal.send_line(&code.to_lowercase()).unwrap();
    }
    let (code, output) = end(terminal);
    assert!(code == 0 && output.contains("reverted 2026-11-21-000000_create_tables"), "{code}: {output}");
    assert_eq!(count(&bed, "SELECT count(*) FROM pg_tables WHERE tablename = 'users'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_names_the_database_and_on_another_machine_a_flag_as_well() {
    let bed = with_first_migration("guard_remote").await;
    let (name, url) = (bed.database.database(), remote_url(&bed));
    for (arguments, remote, code, expected) in [
        (&[][..], None, 1, format!("confirm with --yes-destroy {name}")),
        (&["--yes-destroy", "other"], None, 1, "not other: nothing was changed".to_owned()),
        (&["--yes-destroy", name], Some(&url), 2, "on another machine. Nothing was changed: it needs".to_owned()),
        (&[], Some(&url), 2, format!("--allow-remote and --yes-destroy {name}")),
        (&["--allow-remote"], Some(&url), 1, format!("confirm with --yes-destroy {name}")),
        (&["--allow-remote", "--yes-destroy", "other"], Some(&url), 1, "not other: nothing".to_owned()),
    ] {
        let mut down = orderdb(&bed, &[&["migrate", "down"], arguments].concat());
        let ended = ended({
            down.envs(remote.map(|url| ("DATABASE_URL", url)));
            down
        })
        .await;
        assert!(ended.code == Some(code) && ended.stderr.contains(&expected), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(name) && users(&bed).await == USERS as i64);
    }
    let mut down = orderdb(&bed, &["migrate", "down", "--allow-remote", "--yes-destroy", name]);
    let ended = ended({
        down.env("DATABASE_URL", &url);
        down
    })
    .await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Nothing is left that could be destroyed: there is a count-down on a terminal, and none for a script.
    let terminal = on_terminal(&bed, &["migrate", "up", "--no-wait"], &[("DATABASE_URL", &url)]);
    let (code, output) = end(terminal);
    assert!(code == 0 && output.contains("which is on another machine") && !output.contains("in 5 s"), "{output}");
    let mut terminal = on_terminal(&bed, &["migrate", "down"], &[("DATABASE_URL", &url)]);
    terminal.exp_string("on another machine, in 5 s").unwrap();
    terminal.send_control('c').unwrap();
    let (code, output) = end(terminal);
    assert!(code == 1 && output.contains("interrupted: nothing was changed"), "{output}");
    assert_eq!(count(&bed, "SELECT count(*) FROM __diesel_schema_migrations").await, 4);
    let mut script = orderdb(&bed, &["migrate", "down"]);
    script.env("DATABASE_URL", &url).stdin(Stdio::null());
    let ended = crate::program::ended(script).await;
    assert!(ended.code == Some(0) && !ended.stderr.contains("Ctrl-C"), "{}", ended.stderr);
}
