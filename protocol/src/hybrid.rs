//! The opening of a hybrid vsock: the Unix socket by which some machine monitors (Firecracker, Cloud Hypervisor,
//! vhost-device-vsock) give their host the guest's vsock.
//!
//! The host connects to the monitor's socket and sends `CONNECT <port>`; once the guest has accepted, the monitor
//! answers `OK <number>`, the number being the host's port as the guest sees it, and from then on the stream is the
//! guest's. A monitor whose guest does not listen closes the socket without a word. (Firecracker, `docs/vsock.md`.)

/// Longest answer, without its end of line. `OK 4294967295` has 13 bytes.
const MAX_ANSWER: usize = 32;

/// What asks the monitor for a port of its guest.
#[must_use]
pub fn connect_line(port: u32) -> String {
    format!("CONNECT {port}\n")
}

/// The monitor's answer, as far as it has come. It is fed byte by byte, since what follows the line belongs to the
/// protocol above.
#[derive(Debug, Clone, Default)]
pub struct HybridAnswer {
    bytes: [u8; MAX_ANSWER],
    length: usize,
}

/// An answer that is not `OK <number>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the machine monitor answered `{}`, expected `OK <number>`: check that its vsock socket was named",
    .given.escape_debug()
)]
pub struct InvalidHybridAnswer {
    given: String,
}

impl HybridAnswer {
    /// Takes in the next byte. Gives the host's port once the line is complete, and nothing before.
    ///
    /// # Errors
    /// If the line is no `OK <number>`, or longer than any of those.
    pub fn push(&mut self, byte: u8) -> Result<Option<u32>, InvalidHybridAnswer> {
        if byte == b'\n' {
            return self.port().map(Some).ok_or_else(|| self.invalid());
        }
        let Some(free) = self.bytes.get_mut(self.length) else { return Err(self.invalid()) };
        *free = byte;
        self.length += 1;
        Ok(None)
    }

    fn line(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn port(&self) -> Option<u32> {
        let digits = self.line().strip_prefix(b"OK ")?;
        // `parse` would take a `+` as well.
        let number = std::str::from_utf8(digits).ok()?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
    }

    fn invalid(&self) -> InvalidHybridAnswer {
        InvalidHybridAnswer { given: String::from_utf8_lossy(self.line()).into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a text; gives the port and how many bytes were taken for it.
    fn feed(text: &[u8]) -> Result<Option<(u32, usize)>, InvalidHybridAnswer> {
        let mut answer = HybridAnswer::default();
        for (at, byte) in text.iter().enumerate() {
            if let Some(port) = answer.push(*byte)? {
                return Ok(Some((port, at + 1)));
            }
        }
        Ok(None)
    }

    #[test]
    fn one_line_and_no_byte_more() {
        assert_eq!(feed(b"OK 1073741824\nHTTP/1.1 101"), Ok(Some((1_073_741_824, 14))));
        assert_eq!(feed(b"OK 0\n"), Ok(Some((0, 5))));
        assert_eq!(feed(b"OK 4294967295\n"), Ok(Some((u32::MAX, 14))));
        assert_eq!(feed(b"OK 12"), Ok(None));
        assert_eq!(connect_line(169), "CONNECT 169\n");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["\n", "OK\n", "OK \n", "OK x\n", "OK +1\n", "OK -1\n", "OK 1 \n", "OK 1\r\n", "ok 1\n"] {
            assert!(feed(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(feed(b"OK 4294967296\n").is_err());
        assert!(feed(b"\xff\xfe\n").is_err());
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut answer = HybridAnswer::default();
        for _ in 0..MAX_ANSWER {
            assert_eq!(answer.push(b'0'), Ok(None));
        }
        let error = answer.push(b'0').unwrap_err().to_string();
        assert!(error.contains(&"0".repeat(MAX_ANSWER)), "{error}");
    }

    #[test]
    fn the_answer_cannot_write_to_a_terminal() {
        let error = feed(b"\x1b[2J\n").unwrap_err().to_string();
        assert!(error.contains(r"\u{1b}[2J"), "{error}");
    }
}
