//! Dialling over vsock (vsock(7)), from a privileged source port where we may have one.

use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio_vsock::{VMADDR_CID_ANY, VsockStream};

use crate::ids::random_u64;

/// Source ports that prove to the host that root is speaking: the upper half of the privileged ones, away from
/// services.
const SOURCE_PORTS: std::ops::Range<u32> = 512..1024;
/// How many of them are tried; with a few in use, a few tries find a free one.
const TRIES: u32 = 8;

/// Connects. The kernel gives up after two seconds by itself if nobody answers.
pub(super) async fn connect(cid: u32, port: u32) -> io::Result<VsockStream> {
    // The connect blocks, so it gets a thread that ends with it.
    let connected = tokio::task::spawn_blocking(move || connect_blocking(cid, port)).await;
    let socket = connected.map_err(io::Error::other)??;
    socket.set_nonblocking(true)?;
    Ok(VsockStream::from(OwnedFd::from(socket)))
}

fn connect_blocking(cid: u32, port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    bind_privileged(&socket)?;
    socket.connect(&SockAddr::vsock(cid, port))?;
    Ok(socket)
}

/// Takes a privileged port if we may; else the kernel chooses, and the host sees that we are not root.
fn bind_privileged(socket: &Socket) -> io::Result<()> {
    let span = u64::from(SOURCE_PORTS.end - SOURCE_PORTS.start);
    for _ in 0..TRIES {
        let offset = u32::try_from(random_u64() % span).map_err(io::Error::other)?;
        match socket.bind(&SockAddr::vsock(VMADDR_CID_ANY, SOURCE_PORTS.start + offset)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_speaks_from_a_privileged_port() {
        let socket = match Socket::new(Domain::VSOCK, Type::STREAM, None) {
            Ok(socket) => socket,
            Err(error) => return skip(&error),
        };
        bind_privileged(&socket).unwrap();
        let bound = socket.local_addr().unwrap().as_vsock_address().unwrap().1;
        let root = rustix::process::geteuid().is_root();
        assert!(!root || SOURCE_PORTS.contains(&bound), "bound to {bound}");
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn skip(error: &io::Error) {
        eprintln!("skipped: this machine has no vsock ({error})");
    }
}
