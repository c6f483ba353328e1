//! The `Host` of a request (RFC 9112, 3.2; its form is that of RFC 3986, 3.2.2).

use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};

/// A request that does not say properly whom it is for. Such requests are understood differently by different
/// programs on their way, so none is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    #[error("expected a Host header in a request of HTTP/1.1")]
    Missing,
    #[error("expected one Host header, not several")]
    Several,
    #[error("expected `name` or `name:port` in the Host header")]
    Invalid,
}

impl IntoResponse for HostError {
    fn into_response(self) -> Response {
        // What follows on such a stream is not to be trusted either.
        (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")], format!("{self}\n")).into_response()
    }
}

/// Checks that there is one where there has to be, and that it can be one.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), HostError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => Err(HostError::Missing),
        (Some(_), Some(_)) => Err(HostError::Several),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(HostError::Invalid),
    }
}

/// `uri-host [":" port]`. An empty one is what a client says whose URI has no host.
fn is_host(text: &[u8]) -> bool {
    if let Some(literal) = text.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        return is_address(&literal[..end]) && is_port(&literal[end + 1..]);
    }
    let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    is_name(&text[..end]) && is_port(&text[end..])
}

/// Nothing, or a colon and digits, of which there may be none.
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || text.strip_prefix(b":").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

/// What stands in brackets: an IPv6 address, without its zone as that means nothing elsewhere, or one of a version to
/// come.
fn is_address(text: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = text {
        let Some(dot) = future.iter().position(|byte| *byte == b'.') else { return false };
        let (version, rest) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !rest.is_empty()
            && rest.iter().all(|byte| is_plain(*byte) || *byte == b':');
    }
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// A registered name; an IPv4 address is one too.
fn is_name(mut text: &[u8]) -> bool {
    while let Some((first, rest)) = text.split_first() {
        text = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (byte, rest) if is_plain(*byte) => rest,
            _ => return false,
        };
    }
    true
}

/// Unreserved characters and those that separate parts of a name.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(hosts: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn what_can_be_a_host() {
        for host in [
            "",
            "a",
            "localhost",
            "localhost:80",
            "example.org:",
            "127.0.0.1:169",
            "[::1]",
            "[fe80::1]:169",
            "[v1.a:b]:1",
            "x_y~z.%C3%BC",
            "%2Frun%2Fevents.sock",
        ] {
            assert_eq!(check(Version::HTTP_11, &headers(&[host])), Ok(()), "{host}");
        }
        for host in [
            "a b<>",
            "a b",
            "a/b",
            "user@host",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[localhost]",
            "[fe80::1%eth0]",
            "[v.x]",
            "[v1.]",
            "[v1]",
            "a%",
            "a%2",
            "a%zz",
            "ü",
            "a\"b",
            "http://a",
            "a,b:1,2",
        ] {
            assert_eq!(check(Version::HTTP_11, &headers(&[host])), Err(HostError::Invalid), "{host}");
        }
    }

    #[test]
    fn how_many_there_have_to_be() {
        assert_eq!(check(Version::HTTP_11, &headers(&[])), Err(HostError::Missing));
        assert_eq!(check(Version::HTTP_10, &headers(&[])), Ok(()));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(check(version, &headers(&["a"])), Ok(()));
            assert_eq!(check(version, &headers(&["a", "b"])), Err(HostError::Several));
            assert_eq!(check(version, &headers(&["a", "a"])), Err(HostError::Several));
            assert_eq!(check(version, &headers(&["a b"])), Err(HostError::Invalid));
        }
    }
}
