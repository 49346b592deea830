//! What the clients of PostgreSQL, of the collector of traces and of OAuth have in common: whom they trust, and where
//! encryption is not needed.

use std::{net::IpAddr, sync::Arc};

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

/// Whether a host is this machine, so that what is sent to it stays here: `localhost`, or a loopback address.
pub fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
