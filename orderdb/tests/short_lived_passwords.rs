//! Passwords that are valid for a short time: of a command, by OAuth, of AWS.

use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use clap::Parser;
use serde_json::json;
use shared::database::{DatabaseArgs, DatabaseSettings, connect};
use testbed::{Testbed, eventually, sql_as_superuser, stack_environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The URL of the test's database, for a role of the test, without a password.
fn url(bed: &Testbed, role: &str) -> String {
    format!("postgres://{role}@{}", bed.database.place())
}

/// A role of the test. Roles belong to the server, not to a database.
struct Role {
    name: String,
}

impl Role {
    fn new(bed: &Testbed, password: &str) -> Self {
        let name = bed.database.database().to_owned();
        sql_as_superuser(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'"));
        Self { name }
    }

    fn set_password(&self, password: &str) {
        sql_as_superuser(&format!("ALTER ROLE \"{}\" PASSWORD '{password}'", self.name));
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        sql_as_superuser(&format!("DROP ROLE \"{}\"", self.name));
    }
}

/// Runs `orderdb execute`, which prints the name of the user, with these variables instead of a password.
async fn current_user(bed: &Testbed, variables: &[(&str, &str)]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(["execute", "--sql", "SELECT current_user", "--output", "csv"]).envs(bed.environment());
    orderdb.env("POSTGRES_PASSWORD", "").envs(variables.iter().copied()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

fn stderr(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Settings by a command that prints the content of a file, and the number of times that it ran.
fn by_command(bed: &Testbed, role: &str, ttl: &str) -> (DatabaseSettings, impl Fn() -> usize + use<>) {
    let folder = bed.folder().to_owned();
    let command = format!("cd {} && echo run >> runs && cat password", folder.display());
    let arguments = ["test", "--database-url", &url(bed, role), "--postgres-password-command", &command];
    let arguments = [&arguments[..], &["--postgres-password-ttl", ttl]].concat();
    let settings = Settings::parse_from(arguments).database.settings().unwrap();
    (settings, move || std::fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_run_the_command_once_and_a_refused_password_is_replaced() {
    let bed = Testbed::new("by_command").await;
    let role = Role::new(&bed, "first");
    std::fs::write(bed.folder().join("password"), "first\n").unwrap();
    let (settings, runs) = by_command(&bed, &role.name, "5m");
    let connecting: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let settings = settings.clone();
                async move { connect(&settings).await.is_ok() }
            })
        })
        .collect();
    for connection in connecting {
        assert!(connection.await.unwrap());
    }
    assert_eq!(runs(), 1);

    role.set_password("second");
    std::fs::write(bed.folder().join("password"), "second\n").unwrap();
    eventually("the password is replaced", TIMEOUT, async || connect(&settings).await.is_ok()).await;
    assert_eq!(runs(), 2);

    // A new one that is refused is not replaced by the next.
    role.set_password("third");
    assert!(connect(&settings).await.is_err());
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn the_password_is_renewed_when_its_time_is_over() {
    let bed = Testbed::new("renewed").await;
    let role = Role::new(&bed, "same");
    std::fs::write(bed.folder().join("password"), "same").unwrap();
    let (settings, runs) = by_command(&bed, &role.name, "200ms");
    eventually("the command runs again", TIMEOUT, async || connect(&settings).await.is_ok() && runs() >= 3).await;
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A server of access tokens.
struct TokenServer {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl TokenServer {
    /// Gives `token` to client `me` with secret `s3cret&=`, for `scope`.
    async fn start(token: &str, scope: &'static str) -> Self {
        let (requests, token) = (Arc::new(AtomicUsize::new(0)), token.to_owned());
        let counted = requests.clone();
        let answer = move |headers: HeaderMap, form: String| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            // librdkafka does not encode the secret as a form.
            let client = |secret: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("me:{secret}")));
            if ![client("s3cret%26%3D"), client("s3cret&=")].iter().any(|client| headers["authorization"] == *client) {
                let refusal = json!({ "error": "invalid_client", "error_description": "unknown client" });
                return (StatusCode::UNAUTHORIZED, JSON, refusal.to_string());
            }
            assert_eq!(form, format!("grant_type=client_credentials&scope={scope}"));
            let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 300 });
            (StatusCode::OK, JSON, answer.to_string())
        };
        let page = async || "<html>hunter2</html>";
        let busy = async || StatusCode::SERVICE_UNAVAILABLE;
        let routes = Router::new().route("/busy", post(busy)).route("/token", post(answer)).route("/page", post(page));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_shared_by_instances_through_redis_and_survives_a_restart() {
    let bed = Testbed::new("by_oauth").await;
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.";
    let role = Role::new(&bed, token);
    let server = TokenServer::start(token, "database").await;
    let (url, token_url) = (url(&bed, &role.name), server.url("token"));
    let redis = std::env::var("REDIS_URL").unwrap();
    let secret = bed.folder().join("secret");
    std::fs::write(&secret, "s3cret&=\n").unwrap();
    let mut variables = vec![
        ("DATABASE_URL", url.as_str()),
        ("DB_OAUTH", "true"),
        ("DB_OAUTH_SCOPE", "database"),
        ("OAUTH_TOKEN_URL", &token_url),
        ("OAUTH_CLIENT_ID", "me"),
        ("OAUTH_CLIENT_SECRET_FILE", secret.to_str().unwrap()),
        ("DB_TOKEN_REDIS_URL", &redis),
        ("RUST_LOG", "trace"),
    ];
    let (first, second, third) =
        tokio::join!(current_user(&bed, &variables), current_user(&bed, &variables), current_user(&bed, &variables));
    for output in [&first, &second, &third, &current_user(&bed, &variables).await] {
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("current_user\n{}\n", role.name), "{output:?}");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!log.contains(token) && !log.contains("s3cret"), "{log}");
        assert!(!log.contains(&BASE64_STANDARD.encode("me:s3cret%26%3D")), "{log}");
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), 1);

    // A Redis that is not there costs the sharing only.
    variables.retain(|(name, _)| *name != "DB_TOKEN_REDIS_URL");
    variables.push(("DB_TOKEN_REDIS_URL", "redis://127.0.0.1:1"));
    let alone = current_user(&bed, &variables).await;
    assert!(alone.status.success() && String::from_utf8_lossy(&alone.stderr).contains("passwords are not shared"));
    assert_eq!(server.requests.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_is_refused_names_the_reason_and_no_secret() {
    let bed = Testbed::new("no_token").await;
    let server = TokenServer::start("token", "database").await;
    let url = url(&bed, "me");
    for (token_url, expected) in [
        (server.url("token"), "invalid_client"),
        (server.url("page"), "no access token"),
        (server.url("nowhere"), "no access token"),
        ("http://127.0.0.1:1/token".to_owned(), "127.0.0.1 gives no token"),
        (server.url("busy"), "503"),
        ("http://login.example.com/token".to_owned(), "without encryption"),
        (String::new(), "not set: OAUTH_TOKEN_URL"),
    ] {
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("DB_OAUTH", "true"),
            ("OAUTH_TOKEN_URL", &token_url),
            ("OAUTH_CLIENT_ID", "me"),
            ("OAUTH_CLIENT_SECRET", "hunter2"),
        ];
        let message = stderr(&current_user(&bed, &variables).await);
        assert!(message.contains(expected) && !message.contains("hunter2"), "{token_url}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_gets_an_access_token_of_the_same_client() {
    let bed = Testbed::new("kafka_oauth").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let encode = |part: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({ "sub": "orderflow", "iat": now, "exp": now + 300 });
    let token = format!("{}.{}.", encode(json!({ "alg": "none" })), encode(claims));
    let server = TokenServer::start(&token, "kafka").await;
    let check = async |secret: &str| {
        let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
        orderdb.args(["check", "--output", "json"]).envs(bed.environment()).envs(stack_environment("--secure"));
        orderdb.env_remove("KAFKA_SASL_USERNAME").env_remove("KAFKA_SASL_PASSWORD").stdin(Stdio::null());
        orderdb.envs([("KAFKA_SASL_MECHANISM", "OAUTHBEARER"), ("KAFKA_OAUTH_SCOPE", "kafka")]);
        orderdb.envs([("OAUTH_TOKEN_URL", server.url("token").as_str()), ("OAUTH_CLIENT_ID", "me")]);
        orderdb.env("OAUTH_CLIENT_SECRET", secret);
        tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
    };
    let checked = check("s3cret&=").await;
    assert!(String::from_utf8_lossy(&checked.stdout).contains("3 brokers"), "{checked:?}");
    assert!(server.requests.load(Ordering::Relaxed) > 0);
    let unset = check("").await;
    assert_eq!(unset.status.code(), Some(2), "{unset:?}");
    assert!(String::from_utf8_lossy(&unset.stderr).contains("not set: OAUTH_CLIENT_SECRET"), "{unset:?}");
}

/// A server that asks for the password in plaintext, and refuses it. Returns the password.
async fn ask_for_password(listener: TcpListener) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let startup = client.read_u32().await.unwrap() as usize - 4;
    client.read_exact(&mut vec![0; startup]).await.unwrap();
    client.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'p');
    let mut password = vec![0; client.read_u32().await.unwrap() as usize - 4];
    client.read_exact(&mut password).await.unwrap();
    let fields = b"SFATAL\0C28000\0MPAM authentication failed\0\0";
    client.write_all(b"E").await.unwrap();
    client.write_u32(fields.len() as u32 + 4).await.unwrap();
    client.write_all(fields).await.unwrap();
    String::from_utf8(password).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rds_gets_a_token_that_is_signed_for_its_user_and_address() {
    let bed = Testbed::new("rds_iam").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(ask_for_password(listener));
    let url = format!("postgres://app@db.example.com:{port}/db?hostaddr=127.0.0.1&sslmode=disable");
    let mut variables = vec![
        ("DATABASE_URL", url.as_str()),
        ("RDS_IAM", "true"),
        ("RDS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "hunter2"),
        ("RUST_LOG", "trace"),
    ];
    let output = current_user(&bed, &variables).await;
    let password = tokio::time::timeout(TIMEOUT, server).await.expect("a client connects").unwrap();
    let expected = format!("db.example.com:{port}/?Action=connect&DBUser=app&X-Amz-Algorithm=AWS4-HMAC-SHA256&");
    assert!(password.starts_with(&expected), "{password}");
    assert!(password.contains("X-Amz-Credential=AKIDEXAMPLE%2F") && password.contains("%2Feu-west-1%2Frds-db%2F"));
    let log = stderr(&output);
    assert!(log.contains("PAM authentication failed"), "{log}");
    let signature = password.rsplit_once("X-Amz-Signature=").unwrap().1.trim_end_matches('\0');
    assert!(!log.contains("hunter2") && !log.contains(signature), "{log}");

    variables.retain(|(name, _)| !name.starts_with("AWS_"));
    let folder = bed.folder().to_str().unwrap();
    variables.extend([("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", folder), ("RUST_LOG", "warn")]);
    let message = stderr(&current_user(&bed, &variables).await);
    assert!(message.contains("RDS_IAM: no credentials of AWS: set AWS_ACCESS_KEY_ID"), "{message}");
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_named() {
    let settings = |arguments: &[&str]| {
        let arguments = ["test", "--rds-iam"].iter().chain(arguments);
        format!("{:#}", Settings::parse_from(arguments).database.settings().err().unwrap())
    };
    for (arguments, expected) in [
        (
            &["--database-url", "postgres://me@localhost/db", "--db-oauth"][..],
            "only one can be set of: RDS_IAM, DB_OAUTH",
        ),
        (&["--database-url", "postgres://me@a.example.com,b.example.com/db"], "the name of one server"),
        (&["--database-url", "postgres://localhost/db"], "the name of a user"),
        (&["--postgres-host", "localhost"], "both RDS_IAM and a password"),
        (&["--db-type", "rds", "--rds-host", "db.example.com"], "not set: RDS_USER, RDS_DB"),
    ] {
        assert!(settings(arguments).contains(expected), "{}", settings(arguments));
    }
}
