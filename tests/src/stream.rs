//! A byte stream to a listener of a guest, over whichever family.

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::tls::Secured;

/// Where a guest listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    /// TLS over TCP.
    Tls(Secured),
}

/// TCP, TLS or Unix, once it is open.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// An open stream.
pub type Stream = Box<dyn Bytes>;

impl Address {
    /// Opens a stream.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(&self) -> std::io::Result<Stream> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => Box::new(TcpStream::connect(address.as_str()).await?),
            Self::Tls(secured) => Box::new(secured.open().await?),
        })
    }
}
