//! Sockets that the kernel speaks to (netlink(7)).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// The kernel's group of uevents, and RTNLGRP_LINK of rtnetlink: the first of each protocol.
const GROUP: u32 = 1;
/// The kernel's own address.
const KERNEL: u32 = 0;
/// A socket of one protocol, open for what the kernel tells everybody.
#[derive(Debug)]
pub(super) struct KernelSocket(AsyncFd<OwnedFd>);

/// What a read has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'b> {
    /// Something the kernel has said.
    Datagram(&'b [u8]),
    /// Something that another process has sent, as only root can: it counts for nothing.
    Foreign,
    /// Something is lost.
    Overrun,
    /// There is nothing more.
    Nothing,
}

impl KernelSocket {
    /// For uevents.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn of_uevents(buffer: usize) -> io::Result<Self> {
        Self::open(Some(netlink::KOBJECT_UEVENT), buffer)
    }

    /// For changes of links.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn of_links(buffer: usize) -> io::Result<Self> {
        // NETLINK_ROUTE is the first of all, and so what no protocol stands for.
        Self::open(None, buffer)
    }

    /// `buffer` is what may wait for us in the kernel, in bytes.
    pub(super) fn open(protocol: Option<Protocol>, buffer: usize) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        // The first needs CAP_NET_ADMIN, and the second ends at net.core.rmem_max (socket(7)).
        if sockopt::set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, buffer)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
        #[expect(unsafe_code, reason = "the runtime wants to be told that the descriptor stays open")]
        // SAFETY: the descriptor is owned by what is registered, which lets go of it only after the registration.
        let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self(registered?))
    }

    /// Waits until there is something to receive. Whoever has received [`Received::Nothing`] clears the guard.
    ///
    /// # Errors
    /// If the runtime ends.
    pub(super) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }

    /// The next datagram; never waits.
    ///
    /// The kernel writes the sender's address itself, and has given every socket of a process another than its own: so none
    /// can pass for it. What is sent to us alone, and not to the group, is not the kernel's news either.
    ///
    /// # Errors
    /// If the socket fails.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Received<'b>> {
        let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let (length, whole, sender) = match recvfrom(self.0.get_ref(), &mut *buffer, flags) {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Received::Nothing),
            Err(Errno::NOBUFS) => return Ok(Received::Overrun),
            Err(error) => return Err(error.into()),
        };
        let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
        if !sender.is_some_and(|sender| sender.pid() == KERNEL && sender.groups() == GROUP) {
            return Ok(Received::Foreign);
        }
        if whole > length {
            return Ok(Received::Overrun);
        }
        Ok(Received::Datagram(&buffer[..length]))
    }
}
