//! Plain HTTP/1.1 requests, as cloud-init's webhook sends them: a body, a length, and no Content-Type.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::patience::within;
use crate::stream::{Address, Stream};

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A connection that is kept over several requests.
pub struct HttpConnection {
    stream: Stream,
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpConnection")
    }
}

impl HttpConnection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(address: &Address) -> Self {
        let stream = address.open().await.unwrap_or_else(|error| panic!("cannot reach {address:?}: {error}"));
        Self::over(stream)
    }

    /// Over a stream that is open.
    #[must_use]
    pub fn over(stream: Stream) -> Self {
        Self { stream }
    }

    /// Sends one request and reads its response.
    ///
    /// # Panics
    /// If what comes back is no HTTP.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let request = [head.as_bytes(), body].concat();
        let exchange = async {
            // A body that is refused by its length need not be read to its end; the response says so.
            let _refused_early = self.stream.write_all(&request).await;
            self.read_response().await
        };
        within("an HTTP response", exchange).await
    }

    async fn read_response(&mut self) -> Response {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("a response has a head"));
        }
        let head = String::from_utf8(head).expect("the head of a response is text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or_default()];
        self.stream.read_exact(&mut body).await.expect("a response has the body it announces");
        let status = status.unwrap_or_else(|| panic!("no HTTP status in {head:?}"));
        Response { status, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

/// One POST on a connection of its own.
pub async fn post(address: &Address, path: &str, headers: &[&str], body: &[u8]) -> Response {
    HttpConnection::open(address).await.request("POST", path, headers, body).await
}
