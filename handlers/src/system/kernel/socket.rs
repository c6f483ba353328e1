//! The socket of rtnetlink(7).

use std::io::{self, IoSliceMut};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, SocketFlags, SocketType,
};

use super::exchange::{Datagram, Kernel};

/// How long the whole snapshot may take; some milliseconds are usual, a second for the table of a large router.
const DEADLINE: Duration = Duration::from_secs(5);

/// The kernel fills datagrams of 32 KiB at most; a single message may be longer if it has to be.
const BUFFER: usize = 64 * 1024;

/// The kernel's own netlink address.
const KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);

/// A socket that hears what it has asked for and nothing else: it is in no group.
#[derive(Debug)]
pub(super) struct RouteSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
    end: Instant,
}

impl RouteSocket {
    /// Opens a socket for the questions of one snapshot.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is protocol 0, which is `NETLINK_ROUTE`.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        Ok(Self { socket, buffer: vec![0; BUFFER], end: Instant::now() + DEADLINE })
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {DEADLINE:?}")));
        }
        let left = Timespec::try_from(left).expect("a few seconds fit");
        match rustix::event::poll(&mut [PollFd::new(&self.socket, flags)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Kernel for RouteSocket {
    fn ask(&mut self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::sendto(&self.socket, datagram, SendFlags::empty(), &KERNEL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn answer(&mut self) -> io::Result<Datagram<'_>> {
        let received = loop {
            self.wait(PollFlags::IN)?;
            let mut no_control = RecvAncillaryBuffer::default();
            let into = &mut [IoSliceMut::new(&mut self.buffer)];
            match rustix::net::recvmsg(&self.socket, into, &mut no_control, RecvFlags::empty()) {
                Ok(received) => break received,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let sender = received.address.map(SocketAddrNetlink::try_from).transpose()?;
        Ok(Datagram {
            bytes: &self.buffer[..received.bytes.min(BUFFER)],
            // Whoever cannot be told is not the kernel.
            sender: sender.map_or(u32::MAX, |address| address.pid()),
            is_cut: received.flags.contains(ReturnFlags::TRUNC),
        })
    }
}
