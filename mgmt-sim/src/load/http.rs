//! HTTP as the generator needs it: POST requests out, responses in, the upgrade to WebSocket.
//!
//! Written for the generator for the same reason as [`frame`](super::frame).

use std::borrow::Cow;

use memchr::memmem;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longest head of a response.
const MAX_HEAD: usize = 64 << 10;
/// Longest body.
const MAX_BODY: usize = 64 << 20;

/// One response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    /// What its first line says after the status.
    pub(crate) reason: &'a str,
    pub(crate) body: Cow<'a, [u8]>,
    /// `name=value` of its first cookie.
    pub(crate) cookie: Option<&'a str>,
    /// What the server made of a WebSocket's key.
    pub(crate) accept: Option<&'a str>,
    /// The server closes after it.
    pub(crate) closes: bool,
}

/// Appends a POST with a batch.
pub(crate) fn post(out: &mut Vec<u8>, path: &str, host: &str, cookie: Option<&str>, batch: &[u8]) {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json;charset=UTF-8\r\n\
         {cookie}Content-Length: {}\r\n\r\n",
        batch.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(batch);
}

/// Appends the request to upgrade.
pub(crate) fn upgrade(out: &mut Vec<u8>, path: &str, host: &str, key: &str) {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// Checks that a response is the upgrade that was asked for with `key`.
///
/// # Errors
/// What it is instead.
pub(crate) fn check_upgrade(response: &Response<'_>, key: &str) -> Result<(), String> {
    if response.status != 101 {
        let Response { status, reason, .. } = response;
        return Err(format!(
            "HTTP {status} {reason} for the upgrade to WebSocket: check the URL's path, or try --transport long-polling"
        ));
    }
    if response.accept == Some(&*derive_accept_key(key.as_bytes())) {
        Ok(())
    } else {
        Err("an upgrade to WebSocket with the wrong Sec-WebSocket-Accept".to_owned())
    }
}

/// Splits the first response off; none if it is not complete. The number is how many bytes it takes.
///
/// # Errors
/// What is wrong with it, as a text.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<(Response<'_>, usize)>, String> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        if bytes.len() > MAX_HEAD {
            return Err(format!("no HTTP response, its head is longer than {MAX_HEAD} bytes"));
        }
        return Ok(None);
    };
    let head =
        std::str::from_utf8(&bytes[..end]).map_err(|_| "a response head that is no text".to_owned())?;
    let mut lines = head.split("\r\n");
    let (mut response, mut length, mut chunked) =
        (first_line(lines.next().unwrap_or_default())?, None, false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match &*name.to_ascii_lowercase() {
            "content-length" => {
                let given = value.parse().ok().filter(|length| *length <= MAX_BODY);
                length = Some(given.ok_or_else(|| format!("Content-Length: {value}"))?);
            }
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => response.closes = value.eq_ignore_ascii_case("close"),
            "set-cookie" if response.cookie.is_none() => response.cookie = value.split(';').next(),
            "sec-websocket-accept" => response.accept = Some(value),
            _ => {}
        }
    }
    let body = &bytes[end + 4..];
    let bodiless = response.status < 200 || response.status == 204;
    let taken = match (bodiless, chunked, length) {
        (true, ..) => 0,
        (false, true, _) => {
            let Some((whole, taken)) = unchunk(body)? else { return Ok(None) };
            response.body = whole.into();
            taken
        }
        (false, false, Some(length)) => {
            let Some(whole) = body.get(..length) else { return Ok(None) };
            response.body = whole.into();
            length
        }
        (false, false, None) => return Err("a response of unknown length".to_owned()),
    };
    Ok(Some((response, end + 4 + taken)))
}

fn first_line(line: &str) -> Result<Response<'_>, String> {
    let wrong = || format!("`{}`, expected an HTTP response", cloud_channel_protocol::shorten(line));
    let (version, rest) = line.split_once(' ').ok_or_else(wrong)?;
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = status.parse().ok().filter(|_| version.starts_with("HTTP/1.")).ok_or_else(wrong)?;
    let closes = version == "HTTP/1.0";
    Ok(Response { status, reason, body: Cow::Borrowed(&[]), cookie: None, accept: None, closes })
}

/// The body out of its chunks (RFC 9112, section 7.1), and how many bytes they take.
fn unchunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut whole, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = memmem::find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes[at..at + line]);
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= MAX_BODY - whole.len());
        let size = size.ok_or_else(|| "a chunk of unreadable or too large a size".to_owned())?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        whole.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            // No trailers: nobody sends any here.
            return Ok(Some((whole, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_split() {
        let fixed = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nSet-Cookie: B=1; Path=/\r\n\r\n[]HTTP";
        let (response, taken) = split(fixed).unwrap().unwrap();
        assert_eq!((response.status, &*response.body, response.cookie), (200, &b"[]"[..], Some("B=1")));
        assert_eq!(&fixed[taken..], b"HTTP");
        let chunked = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
            3;x=y\r\n[{}\r\nA\r\n,1,2,3,4,]\r\n0\r\n\r\n";
        let (response, taken) = split(chunked).unwrap().unwrap();
        assert_eq!((&*response.body, response.closes, taken), (&b"[{},1,2,3,4,]"[..], true, chunked.len()));
        assert_eq!((response.status, response.reason), (400, "Bad Request"));
        for whole in [&fixed[..taken.min(fixed.len() - 4)], chunked] {
            for cut in 0..whole.len() {
                assert_eq!(split(&whole[..cut]), Ok(None), "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for text in
            ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]
        {
            assert!(split(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_upgrade_answers_its_own_key() {
        // The example of RFC 6455, section 1.3.
        let (key, accept) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let text = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n\x01");
        let (response, taken) = split(text.as_bytes()).unwrap().unwrap();
        assert_eq!(taken, text.len() - 1);
        assert_eq!(check_upgrade(&response, key), Ok(()));
        assert!(check_upgrade(&response, "AAAAAAAAAAAAAAAAAAAAAA==").is_err());
        let (refused, _) = split(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap();
        assert!(check_upgrade(&refused, key).unwrap_err().contains("404 Not Found"));
    }
}
