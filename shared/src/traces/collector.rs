//! The HTTP client of the exporter. It blocks: the exporter has a thread of its own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};
use url::Url;

use crate::tls::{crypto_provider, system_authorities};

/// The error of the last request, which the exporter replaces by a general one.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the error.
    pub fn take(&self) -> Option<String> {
        self.lock().take()
    }
}

/// A client of the collector.
#[derive(Debug)]
pub struct CollectorClient {
    agent: Agent,
    last_error: LastError,
}

impl CollectorClient {
    /// A client for `collector`, which keeps the error of its last request in `last_error`. A request ends after
    /// `timeout`.
    pub fn new(collector: &Url, timeout: Duration, last_error: LastError) -> Self {
        let config = Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
        let config = if collector.scheme() == "https" { config.tls_config(tls()) } else { config };
        Self { agent: Agent::new_with_config(config.build()), last_error }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let (parts, mut body) = self.agent.run(Request::from_parts(parts, &body[..]))?.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.send(request);
        *self.last_error.lock() = match &response {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        Ok(response?)
    }
}

/// TLS with the system's certificate authorities, as the connections to PostgreSQL have it.
fn tls() -> TlsConfig {
    let authorities = system_authorities();
    let roots: Vec<Certificate<'static>> =
        authorities.iter().map(|authority| Certificate::from_der(authority).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(crypto_provider())
        .build()
}
