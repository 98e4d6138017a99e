//! TLS towards brokers and sources: what this process trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the authority's certificate.
    #[error("cannot read a certificate from {}: it must hold at least one in PEM form", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A certificate that none can follow from.
    #[error("{} holds a certificate that no chain can end in", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The library refuses what it is built with.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// A client that trusts what the system trusts, or the authorities of a file and no others.
///
/// A system without certificates gives a client that trusts nobody: plain connections work all the same.
///
/// # Errors
/// See [`TlsError`].
pub fn client(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => read(file, &mut roots)?,
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read(file: &Path, roots: &mut RootCertStore) -> Result<(), TlsError> {
    let unreadable = |source| TlsError::File { file: file.to_owned(), source };
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let refused = |source| TlsError::Certificate { file: file.to_owned(), source };
        roots.add(certificate.map_err(unreadable)?).map_err(refused)?;
    }
    if roots.is_empty() {
        return Err(unreadable(pem::Error::NoItemsFound));
    }
    Ok(())
}
