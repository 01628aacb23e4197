//! Whom we trust in TLS: the roots in the binary, and those of the operator's file. One provider of cryptography, `ring`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, crypto};

/// Makes `ring` the provider of the process, for whoever does not name one.
pub(crate) fn install() {
    // An error means that it is installed already.
    let _ = crypto::ring::default_provider().install_default();
}

/// What every connection of ours begins with: TLS 1.2 and 1.3, no certificate of our own.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add(&mut roots, path).map_err(|error| format!("upstream.ca_file {path:?} cannot be used: {error}"))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
}
