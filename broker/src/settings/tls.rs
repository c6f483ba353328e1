//! `tls` and `dial-tls`: which files prove who we are, and whom we believe.
//!
//! Paths only: the files are read, checked and watched where they are used.

use std::path::{Path, PathBuf};

use super::read::{Field, below};
use super::value::{Row, Value};

/// What `wss://` listeners prove themselves with, and whose clients they believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are believed, PEM; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What is used where we dial `wss://`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DialTlsSettings {
    /// The authorities whose servers are believed, PEM; without it the system's.
    pub ca: Option<PathBuf>,
    /// What we prove ourselves with, if the server asks.
    pub identity: Option<DialIdentity>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialIdentity {
    /// The certificate chain, PEM, our own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Both groups, while files are put together.
#[derive(Debug)]
pub(super) struct TlsDraft {
    certificate: Value<Option<PathBuf>>,
    key: Value<Option<PathBuf>>,
    client_ca: Value<Option<PathBuf>>,
    dial_ca: Value<Option<PathBuf>>,
    dial_certificate: Value<Option<PathBuf>>,
    dial_key: Value<Option<PathBuf>>,
}

impl Default for TlsDraft {
    fn default() -> Self {
        Self {
            certificate: Value::new("tls.certificate", None),
            key: Value::new("tls.key", None),
            client_ca: Value::new("tls.client-ca", None),
            dial_ca: Value::new("dial-tls.ca", None),
            dial_certificate: Value::new("dial-tls.certificate", None),
            dial_key: Value::new("dial-tls.key", None),
        }
    }
}

impl TlsDraft {
    pub(super) const KEYS: &[&str] = &["certificate", "key", "client-ca"];
    pub(super) const DIAL_KEYS: &[&str] = &["ca", "certificate", "key"];

    pub(super) fn set(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let value = match field.key {
            "certificate" => &mut self.certificate,
            "key" => &mut self.key,
            _ => &mut self.client_ca,
        };
        value.set(Some(field.path()?), from);
        Ok(())
    }

    pub(super) fn set_dial(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let value = match field.key {
            "certificate" => &mut self.dial_certificate,
            "key" => &mut self.dial_key,
            _ => &mut self.dial_ca,
        };
        value.set(Some(field.path()?), from);
        Ok(())
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let show = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let values = [
            &self.certificate,
            &self.key,
            &self.client_ca,
            &self.dial_ca,
            &self.dial_certificate,
            &self.dial_key,
        ];
        rows.extend(values.into_iter().filter_map(|value| value.row_if(show)));
    }

    /// Puts the paths below the root folder.
    pub(super) fn finish(self, root: &Path) -> Result<(Option<TlsSettings>, DialTlsSettings), String> {
        let below = |path: PathBuf| below(root, &path);
        let identity = pair(self.certificate, self.key)?;
        let tls = match (identity, self.client_ca.value) {
            (Some((certificate, key)), client_ca) => Some(TlsSettings {
                certificate: below(certificate),
                key: below(key),
                client_ca: client_ca.map(below),
            }),
            (None, Some(_)) => {
                let from = self.client_ca.from;
                return Err(format!(
                    "`tls.client-ca` (from {from}) needs `tls.certificate` and `tls.key` beside it"
                ));
            }
            (None, None) => None,
        };
        let identity = pair(self.dial_certificate, self.dial_key)?;
        let identity = identity
            .map(|(certificate, key)| DialIdentity { certificate: below(certificate), key: below(key) });
        Ok((tls, DialTlsSettings { ca: self.dial_ca.value.map(below), identity }))
    }
}

/// A certificate and its key: both or none.
fn pair(
    certificate: Value<Option<PathBuf>>,
    key: Value<Option<PathBuf>>,
) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let lacking = |there: &Value<Option<PathBuf>>, missing: &str| {
        Err(format!("`{}` (from {}) needs `{missing}` beside it", there.name, there.from))
    };
    match (&certificate.value, &key.value) {
        (Some(_), None) => lacking(&certificate, key.name),
        (None, Some(_)) => lacking(&key, certificate.name),
        _ => Ok(certificate.value.zip(key.value)),
    }
}
