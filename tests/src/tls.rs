//! Certificates made for one test, TLS streams to a daemon, and TLS before a server that speaks none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Who vouches for others.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Current,
    /// Some years ago.
    Expired,
}

/// How a TLS listener is reached: where, under which name, by whose word, and as whom.
#[derive(Clone)]
pub struct Secured {
    address: String,
    name: String,
    config: Arc<ClientConfig>,
}

/// A TLS listener that passes on to a plain one. It ends when this is dropped.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate can be made"))
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Vouches for whoever has these names: DNS names, addresses, or URIs.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str], validity: Validity) -> Identity {
        let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(ToOwned::to_owned).collect();
        let mut params = CertificateParams::new(hosts).expect("names are ASCII");
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI is ASCII")));
        }
        if validity == Validity::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.0).expect("an authority signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add(self.0.der().clone()).expect("an authority's certificate is one");
        store
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// As `sha256sum` would tell the certificate's DER form.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.chain()[0].to_vec()
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("it was made as PEM")]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("it was made as PEM")
    }
}

impl Secured {
    /// Reaches `address`, expects `name` there, and shows `identity` if there is one.
    ///
    /// # Panics
    /// If the identity is none.
    #[must_use]
    pub fn new(address: &str, name: &str, authority: &Authority, identity: Option<&Identity>) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .with_root_certificates(authority.store());
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(own) => {
                builder.with_client_auth_cert(own.chain(), own.key()).expect("an identity fits together")
            }
        };
        Self { address: address.to_owned(), name: name.to_owned(), config: Arc::new(config) }
    }

    /// Opens a stream. A server may still refuse the identity: the first read tells.
    ///
    /// # Errors
    /// What the system or the library says.
    pub async fn open(&self) -> io::Result<impl crate::stream::Bytes + use<>> {
        let stream = TcpStream::connect(self.address.as_str()).await?;
        let name = ServerName::try_from(self.name.clone()).map_err(io::Error::other)?;
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} over TLS", self.name, self.address)
    }
}

impl Front {
    /// Listens on a free port as `identity`, before the plain server at `server`. With `clients` their certificates
    /// are required.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn before(server: &str, identity: &Identity, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let store = Arc::new(authority.store());
                let verifier = WebPkiClientVerifier::builder_with_provider(store, provider).build();
                builder.with_client_cert_verifier(verifier.expect("an authority can verify"))
            }
        };
        let config =
            builder.with_single_cert(identity.chain(), identity.key()).expect("an identity fits together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let accepting =
            tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), server.to_owned()));
        Self { address, accepting }
    }

    /// Its port on the loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: String) {
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        let (acceptor, server) = (acceptor.clone(), server.clone());
        tokio::spawn(async move {
            // Refusals are what some tests are about; the guest says what it makes of them.
            let Ok(mut outer) = acceptor.accept(stream).await else { return };
            let Ok(mut inner) = TcpStream::connect(server).await else { return };
            let _cut = copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}
