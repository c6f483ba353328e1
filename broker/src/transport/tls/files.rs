//! Certificates and keys as PEM files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::root_file;

/// A bundle of all the web's authorities has a quarter of it.
const LARGEST: u64 = 1024 * 1024;

/// A certificate chain and its private key, as files.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The own certificate first.
    pub(super) certificate: PathBuf,
    /// Unencrypted.
    pub(super) key: PathBuf,
}

/// What an [`Identity`]'s files hold.
pub(super) type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Identity {
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    /// Reads both files; `real` asks for root's ownership.
    pub(super) fn read(&self, real: bool) -> Result<Chain, TlsError> {
        const NO_KEY: &str = "one unencrypted private key in PEM form (PKCS #8, PKCS #1 or SEC 1)";
        let chain = certificates(&self.certificate, "certificate", real)?;
        let text = read(&self.key, "private key", real.then_some(Secrecy::Secret))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Nothing {
            what: "private key",
            path: self.key.clone(),
            expected: NO_KEY,
        })?;
        Ok((chain, key))
    }

    /// What a configuration error becomes.
    pub(super) fn mismatch(&self, source: tokio_rustls::rustls::Error) -> TlsError {
        let Self { certificate, key } = self.clone();
        TlsError::Mismatch { certificate, key, source: Box::new(source) }
    }
}

/// The authorities in a file. A system's bundle may hold some that the library does not take: one has to be left.
pub(super) fn authorities(path: &Path, real: bool) -> Result<RootCertStore, TlsError> {
    let found = certificates(path, "list of authorities", real)?;
    let mut store = RootCertStore::empty();
    let (taken, ignored) = store.add_parsable_certificates(found);
    if taken == 0 {
        let source = format!("none of its {ignored} certificates can be used").into();
        return Err(TlsError::Authorities { path: path.to_owned(), source });
    }
    if ignored > 0 {
        tracing::debug!(file = %path.display(), taken, ignored, "some authorities cannot be used");
    }
    Ok(store)
}

fn certificates(
    path: &Path,
    what: &'static str,
    real: bool,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, what, real.then_some(Secrecy::Open))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError::Nothing {
            what: "certificate",
            path: path.to_owned(),
            expected: "certificates in PEM form, `-----BEGIN CERTIFICATE-----`",
        }),
    }
}

/// Who but root may have a file open.
#[derive(Clone, Copy)]
enum Secrecy {
    /// Others may read.
    Open,
    /// Nobody.
    Secret,
}

impl Secrecy {
    const fn forbidden(self) -> u32 {
        match self {
            Self::Open => root_file::WRITABLE,
            Self::Secret => root_file::ACCESSIBLE,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Open => "and to be writable by root alone (mode 0644)",
            Self::Secret => "and to be readable by root alone (mode 0600)",
        }
    }
}

fn read(path: &Path, what: &'static str, secrecy: Option<Secrecy>) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if let Some(secrecy) = secrecy
        && let Some((uid, mode)) = root_file::exposed(&found, secrecy.forbidden())
    {
        let expected = secrecy.expected();
        return Err(TlsError::Exposed { what, path: path.to_owned(), uid, mode, expected });
    }
    if found.len() > LARGEST {
        return Err(unreadable(io::Error::other(format!("expected at most {LARGEST} bytes"))));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn faults_name_the_file_and_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let identity =
            Identity { certificate: folder.path().join("own.pem"), key: folder.path().join("own.key") };
        let fault = |part: &str| {
            let error = identity.read(false).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
            error
        };
        assert!(fault("own.pem").starts_with("cannot read the certificate"));
        std::fs::write(&identity.certificate, "no PEM").unwrap();
        fault("BEGIN CERTIFICATE");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&identity.certificate, made.cert.pem()).unwrap();
        fault("own.key");
        // A chain is no key.
        std::fs::write(&identity.key, made.cert.pem()).unwrap();
        fault("unencrypted private key");
        std::fs::write(&identity.key, made.signing_key.serialize_pem()).unwrap();
        assert_eq!(identity.read(false).unwrap().0.len(), 1);
        File::create(&identity.key).unwrap().set_len(LARGEST + 1).unwrap();
        fault("own.key");
        assert!(authorities(&identity.certificate, false).is_ok());
    }

    #[test]
    fn on_a_real_machine_a_key_is_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.key");
        std::fs::write(&file, "x").unwrap();
        let root = rustix::process::geteuid().is_root();
        for (mode, secret, open) in [(0o600, root, root), (0o644, false, root), (0o664, false, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&file, "key", Some(Secrecy::Secret)).is_ok(), secret, "{mode:o}");
            assert_eq!(read(&file, "key", Some(Secrecy::Open)).is_ok(), open, "{mode:o}");
        }
        let error = read(&file, "private key", Some(Secrecy::Secret)).unwrap_err().to_string();
        assert!(error.contains("0664") && error.contains("0600"), "{error}");
    }
}
