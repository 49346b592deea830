//! A second PostgreSQL server, which follows that of the stack.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use shared::database::{DatabaseSettings, connect};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::{eventually, stack::stack_folder};

/// A streaming standby of the stack's PostgreSQL. Dropping it ends it and deletes its data.
pub struct Standby {
    /// Its address.
    pub address: SocketAddr,
    server: Child,
    password: String,
    /// Deleted at the end.
    _folder: TempDir,
}

impl Standby {
    /// Copies the server of `database`, and starts the copy.
    ///
    /// # Panics
    /// When PostgreSQL's programs are not installed, or the copy can't be made or started.
    pub async fn of(database: &DatabaseSettings) -> Self {
        let programs = programs(&connect(database).await.expect("the primary can be reached")).await;
        let folder = TempDir::with_prefix("orderflow-standby-").expect("a temporary folder can be created");
        let data = folder.path().join("data");
        let password = setting("passwords", "superuser");
        if geteuid().is_root() {
            let owner = std::fs::metadata(setting("settings", "postgres_folder"));
            let owner = owner.expect("PostgreSQL has a folder");
            chown(folder.path(), Some(owner.uid()), Some(owner.gid())).expect("root may change the owner");
        }
        let (host, port) = database.address();
        let copied = as_owner(folder.path(), &programs.join("pg_basebackup"))
            .args(["--host", &host, "--port", &port.to_string(), "--username", "postgres", "--checkpoint", "fast"])
            .args(["--wal-method", "stream", "--write-recovery-conf", "--no-password", "--pgdata"])
            .arg(&data)
            .env("PGPASSWORD", &password)
            .output()
            .expect("pg_basebackup runs");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.expect("a port is free");
        let server = as_owner(folder.path(), &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            // Not below those of the primary.
            .args(["-c", "max_connections=300", "-c", "shared_buffers=32MB"])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c"])
            .arg(format!("port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres runs");
        let standby = Self { address, server, password, _folder: folder };
        let is_ready = async || standby.superuser("postgres").await.is_some();
        eventually("the standby is ready", Duration::from_secs(30), is_ready).await;
        standby
    }

    /// Waits until it has everything that the primary has written so far.
    ///
    /// # Panics
    /// When that takes longer than 30 s.
    pub async fn catch_up_with(&self, primary: &Client) {
        let written = primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).await;
        let written: String = written.expect("the primary answers").get(0);
        let standby = self.superuser("postgres").await.expect("the standby answers");
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        let has_it = async || standby.query_one(&query, &[]).await.is_ok_and(|row| row.get(0));
        eventually("the standby has caught up", Duration::from_secs(30), has_it).await;
    }

    /// Makes it a primary, of which `database` can be written whatever the old primary's settings are.
    ///
    /// # Panics
    /// When it does not become one.
    pub async fn promote(&self, database: &str) {
        let server = self.superuser("postgres").await.expect("the standby answers");
        let promoted = server.query_one("SELECT pg_promote()", &[]).await;
        assert!(promoted.expect("the standby answers").get::<_, bool>(0), "the standby was not promoted");
        let reset = format!("ALTER DATABASE \"{database}\" RESET default_transaction_read_only");
        server.batch_execute(&reset).await.expect("a primary can be written");
    }

    async fn superuser(&self, database: &str) -> Option<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.address.port()).dbname(database);
        config.user("postgres").password(&self.password).connect_timeout(Duration::from_secs(2));
        let (client, connection) = config.connect(NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // On SIGQUIT it ends at once. Its data is deleted anyway.
        let pid = Pid::from_child(&self.server);
        let _ended = kill_process(pid, Signal::QUIT);
        let _status = self.server.wait();
    }
}

/// A command that runs as the owner of `folder`: PostgreSQL refuses to run as root.
fn as_owner(folder: &Path, program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let owner = std::fs::metadata(folder).expect("the folder exists");
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", owner.uid())).arg(format!("--regid={}", owner.gid())).arg("--clear-groups");
    command.arg(program).current_dir(folder);
    command
}

/// The folder of the programs of the server's version.
async fn programs(primary: &Client) -> PathBuf {
    let major = primary.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await;
    let major: i32 = major.expect("the primary answers").get(0);
    PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))
}

/// A line `KEY=VALUE` of a file of the stack.
fn setting(file: &str, key: &str) -> String {
    let lines = std::fs::read_to_string(stack_folder().join(file)).expect("the stack has its settings");
    let value = lines.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.expect("the stack has the setting").to_owned()
}
