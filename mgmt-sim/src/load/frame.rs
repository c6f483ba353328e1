//! WebSocket frames (RFC 6455, section 5) as a client sees them: masked out, plain in, no extensions.
//!
//! Written for the generator because it parses in place, out of one buffer that all sessions share: what the clients
//! cost is taken from the same two cores that the server is measured on.

/// Longest message that is put together from what a server sends.
const MAX_MESSAGE: u64 = 64 << 20;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// More of the message before.
    Continuation,
    /// A message, or its beginning.
    Message,
    /// The server ends the connection.
    Close,
    /// To be answered with the same payload.
    Ping,
    /// Nothing to do.
    Pong,
}

/// One frame from a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    /// True if the message ends here.
    pub(crate) last: bool,
    pub(crate) payload: &'a [u8],
}

/// Splits the first frame off; none if it is not complete. The number is how many bytes it takes.
///
/// # Errors
/// What is wrong with it, as a text.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & RESERVED != 0 || second & MASKED != 0 {
        return Err("a frame with reserved bits or a mask, expected neither from a server".to_owned());
    }
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 | 2 => Kind::Message,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        other => return Err(format!("a frame of kind {other}, which RFC 6455 does not have")),
    };
    let (length, extra) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
        (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 0),
    };
    let length = usize::try_from(length).ok().filter(|length| *length as u64 <= MAX_MESSAGE);
    let length = length.ok_or_else(|| format!("a frame of more than {MAX_MESSAGE} bytes"))?;
    let Some(payload) = rest.get(extra..extra + length) else { return Ok(None) };
    Ok(Some((Frame { kind, last: first & FIN != 0, payload }, 2 + extra + length)))
}

/// Appends a text frame with what `write` appends, masked by `key`.
pub(crate) fn text(out: &mut Vec<u8>, key: u32, write: impl FnOnce(&mut Vec<u8>)) {
    // Room for the longest header but one; what is too much is closed up afterwards.
    const HEADER: usize = 8;
    let start = out.len();
    out.resize(start + HEADER, 0);
    write(out);
    let length = out.len() - start - HEADER;
    let mut header = header(1, length);
    header.extend_from_slice(&key.to_ne_bytes());
    mask(&mut out[start + HEADER..], key);
    if header.len() == HEADER {
        out[start..start + HEADER].copy_from_slice(&header);
    } else {
        out.splice(start..start + HEADER, header);
    }
}

/// Appends the answer to a ping.
pub(crate) fn pong(out: &mut Vec<u8>, key: u32, payload: &[u8]) {
    let mut frame = header(10, payload.len());
    frame.extend_from_slice(&key.to_ne_bytes());
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[start..], key);
    out.extend_from_slice(&frame);
}

/// A header without its key.
fn header(kind: u8, length: usize) -> Vec<u8> {
    let first = FIN | kind;
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < 126) {
        return vec![first, MASKED | short];
    }
    let mut header = vec![first];
    match u16::try_from(length) {
        Ok(medium) => {
            header.push(MASKED | 126);
            header.extend_from_slice(&medium.to_be_bytes());
        }
        Err(_) => {
            header.push(MASKED | 127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

fn mask(payload: &mut [u8], key: u32) {
    let key = key.to_ne_bytes();
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    use super::*;

    /// A stream of bytes that were written before.
    fn peer(bytes: &[u8], role: Role) -> WebSocket<std::io::Cursor<Vec<u8>>> {
        WebSocket::from_raw_socket(std::io::Cursor::new(bytes.to_vec()), role, None)
    }

    /// The oracle is the library that the servers here are made with.
    #[test]
    fn another_implementation_reads_what_is_written() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 200_001] {
            let payload = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let mut out = b"before".to_vec();
            text(&mut out, 0x1234_5678, |out| out.extend_from_slice(payload.as_bytes()));
            let message = peer(&out[6..], Role::Server).read().unwrap();
            assert_eq!(message.into_text().unwrap().as_str(), payload, "{length}");
        }
        let mut out = Vec::new();
        pong(&mut out, 99, b"hello");
        assert_eq!(peer(&out, Role::Server).read().unwrap(), Message::Pong(b"hello".to_vec().into()));
    }

    #[test]
    fn frames_of_another_implementation_are_split() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 200_001] {
            let payload = "x".repeat(length);
            let mut server = peer(&[], Role::Server);
            server.send(Message::text(payload.clone())).unwrap();
            let bytes = server.get_ref().get_ref();
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                assert_eq!(split(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
            }
            let (frame, taken) = split(bytes).unwrap().unwrap();
            assert_eq!((frame.kind, frame.last, taken), (Kind::Message, true, bytes.len()));
            assert_eq!(frame.payload, payload.as_bytes());
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        for bytes in [
            &[0xc1, 0x00][..],
            &[0x81, 0x80, 0, 0, 0, 0],
            &[0x83, 0x00],
            &[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(split(bytes).is_err(), "{bytes:?}");
        }
    }
}
