//! The listening side: accepted TCP streams become TLS streams, and their peers show certificates.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloud_channel_protocol::server::Certificate;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::{TlsAcceptor, TlsStream};
use webpki::EndEntityCert;

use super::files::{self, Identity};
use super::rotation::Rotating;
use super::{ALPN, HandshakeError, TlsError};
use crate::settings::TlsSettings;
use crate::transport::{HEAD_DEADLINE, Stream};

/// The answer to a peer that speaks HTTP without TLS.
const USE_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n\
    TLS is spoken here: use https:// or wss:// endpoints\n";
/// How much of a request without TLS is read, so that its sender gets the answer and not a reset.
const MAX_PLAIN: usize = 16 * 1024;

/// Our certificate, and who may vouch for clients.
#[derive(Debug)]
pub struct TlsServer {
    config: Rotating<ServerConfig>,
}

impl TlsServer {
    /// Reads the files; from then on they are looked at for each stream. `real` asks for files that are root's, and
    /// a key that is root's alone.
    ///
    /// # Errors
    /// Says which file, and what was expected.
    pub fn new(settings: &TlsSettings, real: bool) -> Result<Self, TlsError> {
        let TlsSettings { certificate, key, client_ca } = settings.clone();
        let identity = Identity { certificate, key };
        let files = identity.files().into_iter().chain(client_ca.clone()).collect();
        let config = Rotating::new(files, move || load(&identity, client_ca.as_ref(), real))?;
        Ok(Self { config })
    }

    /// Makes a TLS stream of a TCP stream, and tells what certificate the peer has proved to own.
    ///
    /// # Errors
    /// If the peer does not speak TLS, not with us, or not in time.
    pub(in crate::transport) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(Stream, Option<Arc<Certificate>>), HandshakeError> {
        self.accept_within(stream, HEAD_DEADLINE).await
    }

    async fn accept_within(
        &self,
        stream: TcpStream,
        deadline: Duration,
    ) -> Result<(Stream, Option<Arc<Certificate>>), HandshakeError> {
        let late = |_| HandshakeError::Deadline(deadline);
        timeout(deadline, self.shake_hands(stream)).await.map_err(late)?
    }

    async fn shake_hands(
        &self,
        mut stream: TcpStream,
    ) -> Result<(Stream, Option<Arc<Certificate>>), HandshakeError> {
        let mut first = [0];
        let seen = stream.peek(&mut first).await.map_err(HandshakeError::Failed)?;
        // TLS begins with the byte 22 (RFC 8446, 5.1), an HTTP request with its method.
        if seen == 1 && first[0].is_ascii_uppercase() {
            answer_plain(&mut stream).await;
            return Err(HandshakeError::Plain);
        }
        let acceptor = TlsAcceptor::from(self.config.current());
        let stream = acceptor.accept(stream).await.map_err(HandshakeError::Failed)?;
        let certificate = certificate_of(stream.get_ref().1);
        Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), certificate))
    }
}

fn load(identity: &Identity, client_ca: Option<&PathBuf>, real: bool) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let authorities = Arc::new(files::authorities(path, real)?);
            // Who shows none may still have a token; who shows a bad one is sent away.
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| TlsError::Authorities { path: path.clone(), source: Box::new(error) })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = identity.read(real)?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| identity.mismatch(error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Streams are few and long. Without resumption nothing is kept of ended ones, and each client certificate is
    // looked at anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// The verified certificate of the peer, if it has shown one.
fn certificate_of(connection: &ServerConnection) -> Option<Arc<Certificate>> {
    let shown = connection.peer_certificates()?.first()?;
    Some(Arc::new(Certificate { fingerprint: Sha256::digest(shown).into(), names: names_of(shown) }))
}

/// Its subject alternative names, DNS names and URIs. One that cannot be read has none: it has been verified, so
/// that only says that it is of no further use.
fn names_of(shown: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(shown) else { return Vec::new() };
    certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(ToOwned::to_owned).collect()
}

/// Tells an HTTP client what is wrong. Whether it hears of it changes nothing.
async fn answer_plain(stream: &mut TcpStream) {
    let mut request = vec![0; MAX_PLAIN];
    // One read is what a request without TLS takes.
    let _unread = stream.read(&mut request).await;
    let _unheard = stream.write_all(USE_TLS).await;
    let _unheard = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn server(folder: &std::path::Path) -> TlsServer {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("own.pem"), folder.join("own.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsServer::new(&TlsSettings { certificate, key, client_ca: None }, false).unwrap()
    }

    async fn streams() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ours, listener.accept().await.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let (silent, accepted) = streams().await;
        let refused = server.accept(accepted).await.unwrap_err();
        assert!(matches!(refused, HandshakeError::Deadline(HEAD_DEADLINE)), "{refused}");
        drop(silent);
    }

    #[tokio::test]
    async fn plain_http_is_told_and_garbage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let (mut peer, accepted) = streams().await;
        peer.write_all(b"GET /events HTTP/1.1\r\n\r\n").await.unwrap();
        let refused = server.accept(accepted).await.unwrap_err();
        assert!(matches!(refused, HandshakeError::Plain), "{refused}");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("https://"), "{answer}");

        let (mut peer, accepted) = streams().await;
        peer.write_all(&[22, 0xff, 0, 0]).await.unwrap();
        peer.shutdown().await.unwrap();
        let refused = server.accept(accepted).await.unwrap_err();
        assert!(matches!(refused, HandshakeError::Failed(_)), "{refused}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let own = |name: &str| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let path = folder.path().join(name);
            std::fs::write(path.with_extension("pem"), made.cert.pem()).unwrap();
            std::fs::write(path.with_extension("key"), made.signing_key.serialize_pem()).unwrap();
            path
        };
        let (one, two) = (own("one"), own("two"));
        let (certificate, key) = (one.with_extension("pem"), two.with_extension("key"));
        let settings = TlsSettings { certificate, key, client_ca: None };
        let text = TlsServer::new(&settings, false).unwrap_err().to_string();
        assert!(text.contains("one.pem") && text.contains("two.key"), "{text}");
    }
}
