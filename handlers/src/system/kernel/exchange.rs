//! The exchange of datagrams with the kernel.

use std::io;

/// The kernel at the other end.
pub(super) trait Kernel {
    /// Sends a datagram.
    fn ask(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Waits for a datagram.
    fn answer(&mut self) -> io::Result<Datagram<'_>>;
}

/// What was received at once.
#[derive(Debug)]
pub(super) struct Datagram<'a> {
    pub(super) bytes: &'a [u8],
    /// The sender's netlink address; 0 is the kernel, and anybody else may send as well.
    pub(super) sender: u32,
    /// True if it was longer than there was room.
    pub(super) is_cut: bool,
}
