//! TLS with PostgreSQL: what is accepted, what is refused, and with which words.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use secrecy::ExposeSecret;
use shared::database::{DatabaseArgs, connect};
use testbed::{Testbed, stack_environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Runs `orderdb migrate status` with this `DATABASE_URL`. Returns stderr when it fails.
async fn status(bed: &Testbed, url: String) -> Result<(), String> {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(["migrate", "status"]).envs(bed.environment()).env("DATABASE_URL", url).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(stderr) }
}

/// The URL of the test's database at `address`, with `settings`.
fn url(bed: &Testbed, host: &str, port: u16, settings: &str) -> String {
    let (user, password) = bed.database.credentials();
    format!("postgres://{user}:{}@{host}:{port}/{}?{settings}", password.expose_secret(), bed.database.database())
}

/// A CA, and where its certificate is.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), parameters.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), file }
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// The TLS of a server with a certificate for `localhost` that has expired.
    fn expired(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(2020, 1, 1);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }
}

/// How a server answers the request for TLS.
#[derive(Clone)]
enum Answer {
    NoTls,
    Tls(TlsAcceptor),
    Silence,
}

/// Starts a server, which ends with the runtime. Returns its port.
async fn server(answer: Answer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(refuse(stream, answer.clone()));
        }
    });
    port
}

async fn refuse(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 8]).await?;
    match answer {
        Answer::NoTls => stream.write_all(b"N").await?,
        Answer::Tls(acceptor) => {
            stream.write_all(b"S").await?;
            acceptor.accept(stream).await?;
        }
        Answer::Silence => std::future::pending().await,
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_verified_as_far_as_the_mode_says() {
    let bed = Testbed::new("tls_modes").await;
    let (_, port) = bed.database.address();
    let (ca, other) = (stack_environment("--tls")["DB_CA"].clone(), Ca::new());
    let (right, wrong) = (format!("sslrootcert={ca}"), format!("sslrootcert={}", other.path().display()));
    let elsewhere = ("db.example.com", "hostaddr=127.0.0.1");
    let here = ("localhost", "hostaddr=127.0.0.1");
    for ((host, address), mode, authority, refused) in [
        (here, "sslmode=verify-full", right.as_str(), None),
        (here, "sslmode=verify-full", "", Some("CA that is not trusted")),
        (here, "sslmode=verify-full", "sslrootcert=system", Some("CA that is not trusted")),
        (elsewhere, "", &right, Some("not valid for name \"db.example.com\"")),
        (elsewhere, "sslmode=verify-ca", &right, None),
        (elsewhere, "sslmode=verify-ca", &wrong, Some("CA that is not trusted")),
        (elsewhere, "sslmode=verify-ca", "", Some("anyone has a certificate")),
        (elsewhere, "sslmode=require", "", None),
        (elsewhere, "sslmode=require", &wrong, Some("CA that is not trusted")),
        (elsewhere, "sslmode=disable", "", None),
    ] {
        let settings = [address, mode, authority].join("&");
        match (status(&bed, url(&bed, host, port, &settings)).await, refused) {
            (Ok(()), None) => {}
            (Err(message), Some(words)) if message.contains(words) => {}
            (result, _) => panic!("{host} {settings}: {result:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_and_the_server_gets_the_certificate_of_the_client() {
    let stack = stack_environment("--tls");
    let session = async |arguments: &[&str]| {
        let settings = Settings::parse_from(["test"].iter().chain(arguments)).database.settings().unwrap();
        let query = "SELECT ssl, coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row = connect(&settings).await.unwrap().query_one(query, &[]).await.unwrap();
        (row.get::<_, bool>(0), row.get::<_, String>(1))
    };
    assert_eq!(session(&[]).await, (false, String::new()));
    let verified = ["--db-tls", "verify-full", "--db-ca", &stack["DB_CA"]];
    assert_eq!(session(&verified).await, (true, String::new()));
    let client = ["--db-cert", &stack["KAFKA_TLS_CERTIFICATE"], "--db-key", &stack["KAFKA_TLS_KEY"]];
    assert_eq!(session(&[verified, client].concat()).await, (true, "/CN=orderflow".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_a_server_without_tls_and_a_silent_one_are_told_apart() {
    let bed = Testbed::new("tls_refused").await;
    let ca = Ca::new();
    let settings = format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}", ca.path().display());
    for (answer, words) in [
        (Answer::Tls(ca.expired()), "certificate expired"),
        (Answer::NoTls, "it has none"),
        (Answer::Silence, "deadline has elapsed"),
    ] {
        let started = Instant::now();
        let message = status(&bed, url(&bed, "localhost", server(answer).await, &settings)).await.unwrap_err();
        assert!(message.contains(words) && message.contains("can't be reached"), "{message}");
        assert!(started.elapsed() < Duration::from_secs(15), "{message}");
    }
}
