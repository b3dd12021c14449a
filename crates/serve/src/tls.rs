//! TLS by rustls, if there is a certificate.

use std::path::Path;
use std::sync::Arc;

use strata_files::IoContext;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;
use crate::settings::Certificate;

/// Reads a certificate and its private key.
///
/// # Errors
/// Files that cannot be read, are not PEM, or do not belong together.
pub fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, Error> {
    let Certificate { chain: certificate, key } = certificate;
    let fault = |path: &Path, what: String| Error::Settings(format!("{}: {what}", path.display()));
    for file in [certificate, key] {
        std::fs::File::open(file).io_context("read", file)?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|e| fault(certificate, format!("not a PEM certificate: {e}")))?;
    if chain.is_empty() {
        return Err(fault(certificate, "no PEM certificate in it".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| fault(key, format!("not a PEM private key: {e}")))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| fault(certificate, format!("does not fit {}: {e}", key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
