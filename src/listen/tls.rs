//! TLS from certificate files: 1.2 and later, one certificate for every listener.

use std::path::Path;

use anyhow::{Context as _, ensure};
use config::Listen;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// The server side of TLS; `None` when no files are set.
pub(crate) fn server_config(listen: &Listen) -> anyhow::Result<Option<ServerConfig>> {
    let (certificate_file, key_file) = (&listen.tls_certificate_file, &listen.tls_key_file);
    if certificate_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let chain = certificates(certificate_file)
        .with_context(|| format!("listen.tls_certificate_file: cannot read {}", certificate_file.display()))?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .with_context(|| format!("listen.tls_key_file: cannot read a private key from {}", key_file.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} do not belong together", certificate_file.display(), key_file.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(config))
}

/// All certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!chain.is_empty(), "no certificate in PEM form");
    Ok(chain)
}
