//! Which connections have something to read or room to write (epoll(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Connections that are told of at a time.
const EVENTS: usize = 1_024;

/// One of a session's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) session: usize,
    /// The one for what may not wait behind a held connect.
    pub(crate) second: bool,
}

/// What is to be done for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// Waits for many connections.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches a connection until it is closed.
    pub(crate) fn watch(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, data(token), EventFlags::IN)?)
    }

    /// Says whether there is something to write.
    pub(crate) fn expect_room(&self, source: impl AsFd, token: Token, wanted: bool) -> io::Result<()> {
        let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, source, data(token), flags)?)
    }

    /// Waits until something can be done, at most for so long.
    pub(crate) fn wait(&mut self, longest: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let longest = longest.try_into().map_err(io::Error::other)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&longest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            // Copied out: the kernel's structure is packed.
            let (bits, flags) = (event.data.u64(), event.flags);
            let token = Token {
                session: usize::try_from(bits >> 1).expect("it came from a usize"),
                second: bits & 1 == 1,
            };
            let readable = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
            Ready { token, readable, writable: flags.contains(EventFlags::OUT) }
        }));
        Ok(())
    }
}

const fn data(token: Token) -> EventData {
    EventData::new_u64((token.session as u64) << 1 | token.second as u64)
}
