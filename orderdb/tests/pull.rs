//! `orderdb pull`: the schema by pg_dump, and how pg_dump is called.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use testbed::Testbed;

use crate::program::{ended, orderdb, printed};

/// A folder with a program `pg_dump` that runs `script`.
fn stand_in(bed: &Testbed, script: &str) -> PathBuf {
    let folder = bed.folder().join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("pg_dump"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(folder.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_printed_or_written_to_a_file_without_owners() {
    let bed = Testbed::new("pull").await;
    let schema = printed(&bed, &["pull"]).await;
    for expected in
        ["CREATE TABLE public.orders", "CREATE TRIGGER users_attributes_updated", "COLLATE pg_catalog.\"C\""]
    {
        assert!(schema.contains(expected), "{schema}");
    }
    assert!(!schema.contains("OWNER TO") && !schema.contains("GRANT"), "{schema}");
    let file = bed.folder().join("schema.sql");
    printed(&bed, &["pull", "--file", file.to_str().unwrap()]).await;
    assert!(fs::read_to_string(&file).unwrap().contains("CREATE TABLE public.users"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o600, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_dump_gets_the_settings_and_the_password_in_its_environment_only() {
    let bed = Testbed::new("pull_environment").await;
    let folder = stand_in(&bed, "echo \"arguments: $*\"; env | grep ^PG");
    let mut pull = orderdb(&bed, &["pull"]);
    pull.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).env("PGSERVICE", "other");
    pull.env("DATABASE_URL", "postgres://me:hunter2@a.test:7,b.test/orders?sslmode=verify-full&options=-c%20x.y%3D1");
    let ended = ended(pull).await;
    let arguments = ended.stdout.lines().next().unwrap_or_default();
    assert_eq!(arguments, "arguments: --schema-only --no-owner --no-privileges --no-password", "{}", ended.stderr);
    for expected in [
        "PGHOST=a.test,b.test",
        "PGPORT=7,5432",
        "PGUSER=me",
        "PGPASSWORD=hunter2",
        "PGDATABASE=orders",
        "PGSSLMODE=verify-full",
        "PGSSLROOTCERT=/",
        "PGOPTIONS=-c x.y=1",
        "PGAPPNAME=orderflow-orderdb",
    ] {
        assert!(ended.stdout.contains(&format!("\n{expected}")), "{expected}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("PGSERVICE"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pg_dump_that_is_missing_too_old_or_silent_is_told_and_a_file_stays_as_it_was() {
    let bed = Testbed::new("pull_fails").await;
    let file = bed.folder().join("schema.sql");
    fs::write(&file, "as it was").unwrap();
    let mismatch = "echo 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1";
    let folders = [
        (bed.folder().join("nothing"), "pg_dump is not installed"),
        (stand_in(&bed, mismatch), "install the client programs of the version of the server"),
    ];
    for (folder, expected) in folders {
        let mut pull = orderdb(&bed, &["pull", "--file", file.to_str().unwrap()]);
        pull.env("PATH", folder);
        let ended = ended(pull).await;
        assert!(ended.code == Some(1) && ended.stderr.contains(expected), "{}", ended.stderr);
    }
    let folder = stand_in(&bed, "exec sleep 600");
    let mut pull = orderdb(&bed, &["pull", "--statement-deadline", "300ms", "--file", file.to_str().unwrap()]);
    pull.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    let ended = ended(pull).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("longer than 300ms"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
}
