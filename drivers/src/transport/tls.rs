//! TLS below a session: what travels is hidden, and the other end is who its certificate says.
//!
//! Who is trusted is always named: a certificate authority of the shop's own, not the browser's list.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{ByteStream, Stream};

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no PEM, or holds nothing of the kind.
    #[error("there is no PEM of the kind that is needed")]
    Pem(#[from] pem::Error),
    /// They do not fit together, or are of a kind that is not supported.
    #[error("the certificates cannot be used")]
    Certificates(#[from] rustls::Error),
}

/// How we prove a server right.
#[derive(Clone)]
pub struct TlsClient(pub(super) Arc<ClientConfig>);

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient(..)")
    }
}

impl TlsClient {
    /// Trusts the certificate authorities in a PEM text and nobody else.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn trusting(authorities: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority?)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Pem(pem::Error::NoItemsFound));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    /// Runs a stream to `host:port` through TLS.
    ///
    /// # Errors
    /// The stream's, or a certificate that is not for `host` or not of a trusted authority.
    pub async fn wrap(&self, address: &str, stream: Stream) -> io::Result<Stream> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?))
    }
}

/// How we prove ourselves right to who connects.
#[derive(Clone)]
pub struct TlsServer(Arc<ServerConfig>);

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsServer(..)")
    }
}

impl TlsServer {
    /// Shows the certificates in a PEM text, ours first, and holds the key of ours.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn showing(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(Self(Arc::new(config.with_single_cert(chain, key)?)))
    }

    /// Runs a stream that came in through TLS.
    ///
    /// # Errors
    /// The stream's, or a client that does not want what we show.
    pub async fn wrap(&self, stream: impl ByteStream + 'static) -> io::Result<Stream> {
        Ok(Box::new(TlsAcceptor::from(Arc::clone(&self.0)).accept(stream).await?))
    }
}
