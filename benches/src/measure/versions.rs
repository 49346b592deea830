//! The versions of the programs and servers of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use procfs::process::Process;
use shared::{cache::CacheSettings, database::DatabaseSettings};

use super::{model::ProcessKind, servers::servers};
use crate::process::command;

/// Programs of orderflow.
const PROGRAMS: [&str; 5] = ["producer", "consumer", "cache-worker", "orderdb", "loadtest"];
/// Timeout of a connection to Redis.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Versions by name. What does not answer, or does not run on this machine, is left out. `stack` is the folder of the
/// stack.
pub async fn versions(
    stack: Option<&Path>,
    database: &DatabaseSettings,
    cache: &CacheSettings,
) -> BTreeMap<String, String> {
    let (librdkafka, kafka) = (rdkafka::util::get_rdkafka_version().1, stack.and_then(kafka));
    let mut versions: BTreeMap<String, Option<String>> =
        PROGRAMS.map(|program| (program.to_owned(), version_of(program))).into();
    versions.insert("librdkafka".to_owned(), Some(librdkafka));
    versions.insert("kafka".to_owned(), kafka);
    versions.insert("postgresql".to_owned(), postgresql(database).await.ok());
    versions.insert("redis".to_owned(), redis(cache).await.ok().flatten());
    versions.into_iter().filter_map(|(name, version)| Some((name, version?))).collect()
}

/// What `PROGRAM --version` prints, without the name.
fn version_of(program: &str) -> Option<String> {
    let output = command(program).ok()?.arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().strip_prefix(program).unwrap_or(&text).trim().to_owned())
}

/// The version in the name of the library `kafka-server-VERSION.jar` that the brokers have loaded.
fn kafka(stack: &Path) -> Option<String> {
    let broker =
        servers(stack).into_iter().find_map(|server| (server.kind == ProcessKind::Broker).then_some(server.pid)?)?;
    let arguments = Process::new(broker).ok()?.cmdline().ok()?;
    let folders = arguments.iter().flat_map(|argument| argument.split(':')).filter_map(|path| path.strip_suffix("/*"));
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    files.map(|file| file.path()).find_map(|path: PathBuf| {
        let version = path.file_name()?.to_str()?.strip_prefix("kafka-server-")?.strip_suffix(".jar")?;
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
    })
}

async fn postgresql(database: &DatabaseSettings) -> anyhow::Result<String> {
    let client = shared::database::connect(database).await?;
    Ok(client.query_typed_one("SHOW server_version", &[]).await?.try_get(0)?)
}

async fn redis(cache: &CacheSettings) -> anyhow::Result<Option<String>> {
    let mut connection = cache.connect(TIMEOUT).await?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    Ok(info.get("redis_version"))
}
