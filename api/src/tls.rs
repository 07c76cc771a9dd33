//! TLS for the service: a certificate and its key, read from PEM.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What speaks TLS for a server.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Why no TLS can be spoken with what was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("the certificates cannot be read: {0}")]
    Certificates(pem::Error),
    /// There is no certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The key cannot be read.
    #[error("the key cannot be read: {0}")]
    Key(pem::Error),
    /// They do not go together, or are of a kind that is not spoken.
    #[error("they cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// TLS 1.2 and 1.3 with this chain of certificates, the server's own first, and its key, both as PEM.
    pub fn of_pem(certificates: &[u8], key: &[u8]) -> Result<Tls, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(TlsError::Certificates)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}
