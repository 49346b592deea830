//! Says why there is no TLS connection to the server, and what to do.

use std::{error::Error, io};

use rustls::CertificateError;

/// The reason; `None` when the connection failed for another one.
pub(super) fn tls_refusal(error: &tokio_postgres::Error) -> Option<String> {
    let cause = error.source()?;
    if let Some(error) = rustls_error(cause) {
        return Some(match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "its certificate is signed by a CA that is not trusted: name the CA's certificate in --db-ca (DB_CA)"
                    .to_owned()
            }
            error if error.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is that of a CA, which is not accepted as that of a server: sign one for the host with it"
                    .to_owned()
            }
            rustls::Error::AlertReceived(alert) => {
                format!("the server refuses the client or its certificate ({alert:?}): check --db-cert and --db-key")
            }
            error => error.to_string(),
        });
    }
    // tokio-postgres has no type for it.
    (cause.to_string() == "server does not support TLS").then(|| {
        "it has none. With --db-tls disable (DB_TLS) everything would be sent unencrypted, which is for a network that \
         nobody else is in"
            .to_owned()
    })
}

/// The error of rustls in an error or its sources. An `io::Error` does not have it as its source but contains it.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let contained = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let contained = contained.and_then(|contained| contained.downcast_ref());
    contained.or_else(|| error.downcast_ref()).or_else(|| error.source().and_then(rustls_error))
}
