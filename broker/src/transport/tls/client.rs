//! The dialling side: whom we trust, and what we show.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, TlsStream};

use super::files::{self, Identity};
use super::rotation::Rotating;
use super::server::provider;
use super::{ALPN, TlsError};
use crate::settings::{DialIdentity, DialTlsSettings};
use crate::transport::Stream;

/// The authorities that the system trusts, below the root folder.
const SYSTEM_AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The authorities by which servers are judged, and our own certificate if we have one.
#[derive(Debug)]
pub struct TlsClient {
    config: Rotating<ClientConfig>,
    authorities: PathBuf,
}

impl TlsClient {
    /// Reads the files; from then on they are looked at for each stream. Without authorities in the settings those
    /// of the system judge. `root` is the folder that plays the machine, if one does; on a machine itself the files
    /// have to be root's, and a key root's alone.
    ///
    /// # Errors
    /// Says which file, and what was expected.
    pub fn new(settings: &DialTlsSettings, root: Option<&Path>) -> Result<Self, TlsError> {
        let system = || root.unwrap_or_else(|| Path::new("/")).join(SYSTEM_AUTHORITIES);
        let authorities = settings.ca.clone().unwrap_or_else(system);
        let own = settings.identity.clone();
        let identity = own.map(|DialIdentity { certificate, key }| Identity { certificate, key });
        let own = identity.iter().flat_map(Identity::files);
        let files = std::iter::once(authorities.clone()).chain(own).collect();
        let (path, real) = (authorities.clone(), root.is_none());
        let config = Rotating::new(files, move || load(&path, identity.as_ref(), real))?;
        Ok(Self { config, authorities })
    }

    /// The file by which servers are judged, for texts.
    #[must_use]
    pub fn authorities(&self) -> &Path {
        &self.authorities
    }

    /// Makes a TLS stream of a TCP stream. The server has to prove that it is `host`, a name or an address.
    ///
    /// # Errors
    /// What the library or the system says.
    pub(in crate::transport) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no certificate can be for `{host}`: {error}"),
            )
        })?;
        let stream = TlsConnector::from(self.config.current()).connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }
}

/// True if an error says that the server's certificate is not to be trusted.
pub(in crate::transport) fn is_distrust(error: &io::Error) -> bool {
    use tokio_rustls::rustls::Error;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

fn load(authorities: &Path, identity: Option<&Identity>, real: bool) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_root_certificates(files::authorities(authorities, real)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.read(real)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| identity.mismatch(error))?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    // As on the other side: streams are few and long.
    config.resumption = Resumption::disabled();
    Ok(config)
}
