//! Endpoints: one that is accepted means the same when it is written down and read again.

use cloud_channel_protocol::Endpoint;

/// Reads the bytes as an endpoint.
///
/// # Panics
/// If it changes on its way out and in again, or its path could not stand in a request.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(endpoint) = Endpoint::parse(text) else { return };
    let shown = endpoint.to_string();
    assert_eq!(Endpoint::parse(&shown).as_ref(), Ok(&endpoint), "{text:?} was shown as {shown:?}");
    let path = endpoint.request_path();
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
}
