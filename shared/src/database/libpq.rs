//! The settings of a database as the environment variables of libpq, for PostgreSQL's own programs.

use std::{ffi::OsString, io::Write};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::ValueEnum;
use rustls::pki_types::CertificateDer;
use tempfile::NamedTempFile;
use tokio_postgres::config::{ChannelBinding, Host, TargetSessionAttrs};

use super::{
    settings::DatabaseSettings,
    tls::{Authorities, TlsMode, TlsOptions},
};
use crate::tls::system_authorities;

/// The variables of libpq, with the password. The file with the CA certificates is deleted when this is dropped.
pub struct LibpqEnvironment {
    variables: Vec<(&'static str, OsString)>,
    _authorities: Option<NamedTempFile>,
}

impl LibpqEnvironment {
    /// The variables that lead to the database of `settings`, by the same TLS.
    ///
    /// # Errors
    /// When the CA certificates can't be written to a temporary file.
    pub fn of(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let config = &settings.config;
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let ports = match config.get_ports() {
            [] => "5432".to_owned(),
            ports => joined(ports),
        };
        let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
        let mut variables: Vec<(&str, OsString)> = vec![
            ("PGHOST", hosts.join(",").into()),
            ("PGPORT", ports.into()),
            ("PGDATABASE", settings.database().into()),
            ("PGGSSENCMODE", "disable".into()),
            ("PGTARGETSESSIONATTRS", target(config.get_target_session_attrs()).into()),
            ("PGCHANNELBINDING", binding(config.get_channel_binding()).into()),
        ];
        let timeout = config.get_connect_timeout().map(|timeout| timeout.as_secs().max(1).to_string());
        let password = config.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        let addresses = Some(joined(config.get_hostaddrs())).filter(|addresses| !addresses.is_empty());
        for (name, value) in [
            ("PGHOSTADDR", addresses),
            ("PGUSER", config.get_user().map(str::to_owned)),
            ("PGPASSWORD", password),
            ("PGAPPNAME", config.get_application_name().map(str::to_owned)),
            ("PGOPTIONS", config.get_options().map(str::to_owned)),
            ("PGCONNECT_TIMEOUT", timeout),
        ] {
            variables.extend(value.map(|value| (name, OsString::from(value))));
        }
        let TlsOptions { mode, authorities, certificate, key } = &settings.tls_options;
        let mode = mode.unwrap_or(TlsMode::Disable);
        let mode_name = mode.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        variables.push(("PGSSLMODE", mode_name.into()));
        let mut written = None;
        if mode != TlsMode::Disable {
            let authorities = match (mode, authorities) {
                (TlsMode::VerifyFull, None) => Some(&Authorities::System),
                (_, authorities) => authorities.as_ref(),
            };
            let path = match authorities {
                None => None,
                Some(Authorities::File(path)) => Some(path.clone().into_os_string()),
                Some(Authorities::Pem(pem)) => Some(written.insert(temporary(pem)?).path().into()),
                // libpq before version 16 does not know those of the system.
                Some(Authorities::System) => {
                    Some(written.insert(temporary(&pem(&system_authorities()))?).path().into())
                }
            };
            let files = [
                ("PGSSLROOTCERT", path),
                ("PGSSLCERT", certificate.clone().map(OsString::from)),
                ("PGSSLKEY", key.clone().map(OsString::from)),
            ];
            variables.extend(files.into_iter().filter_map(|(name, path)| Some((name, path?))));
        }
        Ok(Self { variables, _authorities: written })
    }

    /// The variables for a child process.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }
}

fn joined(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn target(target: TargetSessionAttrs) -> &'static str {
    match target {
        TargetSessionAttrs::ReadWrite => "read-write",
        TargetSessionAttrs::ReadOnly => "read-only",
        _ => "any",
    }
}

fn binding(binding: ChannelBinding) -> &'static str {
    match binding {
        ChannelBinding::Disable => "disable",
        ChannelBinding::Require => "require",
        _ => "prefer",
    }
}

fn temporary(pem: &str) -> anyhow::Result<NamedTempFile> {
    let written = NamedTempFile::with_suffix(".pem").and_then(|mut file| {
        file.write_all(pem.as_bytes())?;
        Ok(file)
    });
    written.context("a temporary file with the CA certificates can't be written")
}

fn pem(certificates: &[CertificateDer<'_>]) -> String {
    // A line of PEM has 64 characters at most.
    let lines = |certificate: &CertificateDer<'_>| -> String {
        let chunks = certificate.chunks(48).map(|chunk| BASE64_STANDARD.encode(chunk) + "\n");
        chunks.collect()
    };
    let block = |certificate| format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines(certificate));
    certificates.iter().map(block).collect()
}
