//! What the TLS clients of PostgreSQL and of the collector of traces have in common.

use std::sync::Arc;

use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};

/// The certificates of the system's authorities. Those that can't be read are left out.
pub fn system_authorities() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// The algorithms.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
