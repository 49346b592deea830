//! TLS of the connections to PostgreSQL: whether it is used, what is verified, and the certificates.

use std::{fmt, path::PathBuf, sync::Arc};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::chain_verifier::ChainVerifier;
use crate::tls::{crypto_provider, system_authorities};

/// What TLS guarantees, by the names of libpq. Its `allow` and `prefer` are not among them: they fall back to an
/// unencrypted connection without telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// No TLS: whoever is on the way reads and changes everything, and can ask for the password.
    Disable,
    /// Encrypted, but the server may be anyone, who can ask for the password. With a CA certificate as `verify-ca`.
    Require,
    /// The certificate is signed by a trusted CA, but may be that of another host.
    VerifyCa,
    /// The certificate is signed by a trusted CA and is that of the host.
    VerifyFull,
}

/// The settings of TLS as flags and environment variables. They override those of a URL.
#[derive(Clone, Debug, Args)]
pub(super) struct TlsArgs {
    /// TLS of the connection. Without it and without `sslmode` in a URL: `verify-full`, but `disable` for a host of this
    /// machine (not with DB_TYPE=supabase or rds, nor when a certificate is set).
    #[arg(long, env, value_enum, value_name = "MODE", global = true, help_heading = "Database")]
    pub db_tls: Option<TlsMode>,
    /// File with the CA certificates that are trusted, PEM. Without it, those of the system.
    #[arg(long, env, value_name = "FILE", global = true, help_heading = "Database")]
    pub db_ca: Option<PathBuf>,
    /// File with the client's certificate, PEM.
    #[arg(long, env, value_name = "FILE", global = true, help_heading = "Database")]
    pub db_cert: Option<PathBuf>,
    /// File with the private key of the client's certificate, PEM, not encrypted.
    #[arg(long, env, value_name = "FILE", global = true, help_heading = "Database")]
    pub db_key: Option<PathBuf>,
}

impl TlsArgs {
    /// The variables for a child process.
    pub(super) fn environment(&self) -> [(&'static str, Option<String>); 4] {
        let path = |value: &Option<PathBuf>| value.as_ref().map(|value| value.display().to_string());
        let mode = self.db_tls.and_then(|mode| mode.to_possible_value());
        [
            ("DB_TLS", mode.map(|mode| mode.get_name().to_owned())),
            ("DB_CA", path(&self.db_ca)),
            ("DB_CERT", path(&self.db_cert)),
            ("DB_KEY", path(&self.db_key)),
        ]
    }

    pub(super) fn options(&self) -> TlsOptions {
        TlsOptions {
            mode: self.db_tls,
            authorities: self.db_ca.clone().map(Authorities::File),
            certificate: self.db_cert.clone(),
            key: self.db_key.clone(),
        }
    }
}

/// Where the CA certificates that are trusted come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorities {
    System,
    File(PathBuf),
    /// The certificates themselves, PEM.
    Pem(String),
}

impl From<String> for Authorities {
    /// A setting that has either a path or the certificates. Some consoles store a line break as `\n`.
    fn from(text: String) -> Self {
        if text.contains("-----BEGIN ") { Self::Pem(text.replace("\\n", "\n")) } else { Self::File(text.into()) }
    }
}

impl fmt::Display for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the CA certificates of the system"),
            Self::File(path) => write!(f, "the CA certificate {}", path.display()),
            Self::Pem(_) => f.write_str("the CA certificate in the setting"),
        }
    }
}

impl Authorities {
    fn read(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let certificates: Result<Vec<_>, _> = match self {
            Self::System => {
                roots.add_parsable_certificates(system_authorities());
                ensure!(
                    !roots.is_empty(),
                    "this machine has no CA certificates: install ca-certificates, or set DB_CA"
                );
                return Ok(roots);
            }
            Self::File(path) => CertificateDer::pem_file_iter(path).and_then(Iterator::collect),
            Self::Pem(text) => CertificateDer::pem_slice_iter(text.as_bytes()).collect(),
        };
        let certificates = certificates.with_context(|| format!("{self} can't be read"))?;
        ensure!(!certificates.is_empty(), "{self} has no certificate: it must be PEM, with a line BEGIN CERTIFICATE");
        for certificate in certificates {
            roots.add(certificate).with_context(|| format!("{self} is not one"))?;
        }
        Ok(roots)
    }
}

/// What is known about TLS from one source of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsOptions {
    pub mode: Option<TlsMode>,
    pub authorities: Option<Authorities>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsOptions {
    /// With the CA certificates in a setting that has either a path or the certificates; an empty one is not set.
    pub(super) fn with_authorities(setting: &Option<String>) -> Self {
        let authorities = setting.clone().filter(|text| !text.is_empty()).map(Authorities::from);
        Self { authorities, ..Self::default() }
    }

    /// These options, and those of `other` where they have none.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            authorities: self.authorities.or(other.authorities),
            certificate: self.certificate.or(other.certificate),
            key: self.key.or(other.key),
        }
    }

    /// Whether a certificate is named, which is of use with TLS only.
    pub(super) fn has_certificate(&self) -> bool {
        self.authorities.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    /// Reads the certificates. `default` applies when no source has a mode.
    ///
    /// # Errors
    /// When a file can't be read or is not what it should be, or when `verify-ca` has no CA: those of the system sign
    /// the certificates of all hosts.
    pub(super) fn read(&self, default: TlsMode) -> anyhow::Result<Tls> {
        let builder = ClientConfig::builder_with_provider(crypto_provider()).with_safe_default_protocol_versions()?;
        let weak = |roots| {
            let verifier = Arc::new(ChainVerifier::new(roots));
            builder.clone().dangerous().with_custom_certificate_verifier(verifier)
        };
        let builder = match (self.mode.unwrap_or(default), &self.authorities) {
            (TlsMode::Disable, _) => return Ok(Tls::Disabled),
            (TlsMode::VerifyFull, authorities) => {
                let roots = Arc::new(authorities.as_ref().unwrap_or(&Authorities::System).read()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto_provider()).build();
                builder.with_webpki_verifier(verifier.context("the CA certificates can't be used")?)
            }
            (TlsMode::Require | TlsMode::VerifyCa, Some(Authorities::System)) | (TlsMode::VerifyCa, None) => {
                bail!("with the CAs of the system, anyone has a certificate: use verify-full, or set DB_CA")
            }
            (TlsMode::Require | TlsMode::VerifyCa, Some(authorities)) => weak(Some(authorities.read()?)),
            (TlsMode::Require, None) => {
                tracing::warn!("PostgreSQL: the server is not verified (require): set DB_CA, or use verify-full");
                weak(None)
            }
        };
        let config = match self.identity()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let refused = "the client's certificate and its key don't belong together";
                builder.with_client_auth_cert(chain, key).context(refused)?
            }
        };
        Ok(Tls::Enabled(MakeRustlsConnect::new(config)))
    }

    /// The client's certificate and its key.
    fn identity(&self) -> anyhow::Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => bail!("the client has a certificate without a key: set DB_KEY as well"),
            (None, Some(_)) => bail!("the client has a key without a certificate: set DB_CERT as well"),
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain =
            chain.with_context(|| format!("the client's certificate {} can't be read", certificate.display()))?;
        ensure!(!chain.is_empty(), "the client's certificate {} has no certificate", certificate.display());
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| {
            format!("the client's key {} can't be read: it must be PEM, not encrypted", key.display())
        })?;
        Ok(Some((chain, key)))
    }
}

/// TLS of a connection.
#[derive(Clone)]
pub(super) enum Tls {
    Disabled,
    Enabled(MakeRustlsConnect),
}
