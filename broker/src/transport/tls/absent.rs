//! What stands for TLS in a build without it: values that cannot be made.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cloud_channel_protocol::server::Certificate;
use tokio::net::TcpStream;

use super::{HandshakeError, TlsError};
use crate::settings::{DialTlsSettings, TlsSettings};
use crate::transport::Stream;

/// There is none in this build.
#[derive(Debug)]
pub struct TlsServer(Infallible);

impl TlsServer {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub const fn new(_settings: &TlsSettings, _real: bool) -> Result<Self, TlsError> {
        Err(TlsError::NotBuiltIn)
    }

    #[expect(clippy::unused_async, reason = "as in a build with TLS")]
    pub(in crate::transport) async fn accept(
        &self,
        _stream: TcpStream,
    ) -> Result<(Stream, Option<Arc<Certificate>>), HandshakeError> {
        match self.0 {}
    }
}

/// There is none in this build.
#[derive(Debug)]
pub struct TlsClient(Infallible);

impl TlsClient {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub const fn new(_settings: &DialTlsSettings, _root: Option<&Path>) -> Result<Self, TlsError> {
        Err(TlsError::NotBuiltIn)
    }

    /// Never called.
    #[must_use]
    pub fn authorities(&self) -> &Path {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as in a build with TLS")]
    pub(in crate::transport) async fn connect(&self, _host: &str, _stream: TcpStream) -> io::Result<Stream> {
        match self.0 {}
    }
}

pub(in crate::transport) const fn is_distrust(_error: &io::Error) -> bool {
    false
}
