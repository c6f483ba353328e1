//! TLS over TCP: who we are to those who dial us, whom we trust when we dial, and who they are.
//!
//! rustls with one provider of cryptography (ring), TLS 1.2 and 1.3. A client's certificate is asked for where an
//! authority for clients is configured, and verified if it is shown; without one a peer is whoever its token says.
//! Whom we dial has to prove its name, and nothing turns that off. Files are read again when they have changed, so
//! that certificates are renewed without a restart; a set of files that does not fit together is not taken over.
//!
//! Without the feature `tls` this module refuses in words.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod client;
mod error;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod rotation;
#[cfg(feature = "tls")]
mod server;

#[cfg(not(feature = "tls"))]
pub(in crate::transport) use absent::is_distrust;
#[cfg(not(feature = "tls"))]
pub use absent::{TlsClient, TlsServer};
#[cfg(feature = "tls")]
pub use client::TlsClient;
#[cfg(feature = "tls")]
pub(in crate::transport) use client::is_distrust;
pub use error::{HandshakeError, TlsError};
#[cfg(feature = "tls")]
pub use server::TlsServer;

/// What is spoken inside: HTTP/1.1, as its ALPN name (RFC 7301).
#[cfg(feature = "tls")]
const ALPN: &[u8] = b"http/1.1";
