//! A connection that never blocks: what cannot be written yet waits here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// A stream of any family and its unwritten bytes.
///
/// The buffer has no limit of its own: it never holds more than the messages that the window lets be in flight.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: OwnedFd,
    out: Vec<u8>,
    written: usize,
    waits: bool,
}

impl Socket {
    /// Takes a stream that does not block.
    pub(crate) const fn new(stream: OwnedFd) -> Self {
        Self { stream, out: Vec::new(), written: 0, waits: false }
    }

    /// Where to append what is to be written; [`Socket::flush`] writes it.
    pub(crate) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes what can be written now. True if nothing is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match rustix::io::write(&self.stream, &self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.written = 0;
        // A session that only listens gives its buffer back after the handshake.
        if self.out.capacity() > 1 << 20 {
            self.out = Vec::new();
        }
        self.out.clear();
        Ok(true)
    }

    /// True if the poller was asked to tell of room to write.
    pub(crate) const fn waits(&self) -> bool {
        self.waits
    }

    /// Notes what the poller was asked.
    pub(crate) const fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Reads what has come; none if nothing has, 0 if the other side has closed.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match rustix::io::read(&self.stream, &mut *into) {
                Ok(count) => return Ok(Some(count)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
