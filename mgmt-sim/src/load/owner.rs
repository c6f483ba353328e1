//! Which process listens on a socket (proc(5)): looked up, so that nobody has to.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use cloud_channel_protocol::Endpoint;

use super::process::ProcessId;
use super::target::Target;

/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
/// Flag of a listening Unix socket in `/proc/net/unix`.
const ACCEPTS: &str = "00010000";

/// The processes that hold the socket on which the target listens, as far as this process may see them: none if they
/// belong to somebody else, or are on another machine.
pub(crate) fn of(target: &Target) -> io::Result<Vec<ProcessId>> {
    let inodes = match target.endpoint() {
        Endpoint::Unix { socket } => {
            let listener = listener(&UnixStream::connect(socket)?)?;
            // Unless it was systemd, which has passed the socket on.
            if listener != ProcessId::INIT {
                return Ok(vec![listener]);
            }
            unix(&fs::read_to_string("/proc/net/unix")?, socket)
        }
        _ => tcp(
            &fs::read_to_string("/proc/net/tcp")?,
            &fs::read_to_string("/proc/net/tcp6")?,
            &target.addresses()?,
        ),
    };
    let mut owners = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()).and_then(ProcessId::parse);
        // A process that is gone, or that is not ours to look at.
        let Some((id, true)) = id.map(|id| (id, holds(&path, &inodes).unwrap_or(false))) else { continue };
        owners.push(id);
    }
    // systemd keeps the sockets that it has passed on.
    if owners.len() > 1 {
        owners.retain(|id| *id != ProcessId::INIT);
    }
    Ok(owners)
}

/// Who called listen(2) on the socket at the other end. The path in the kernel's table does not tell: it stays that of the
/// bind when the socket's file is renamed.
fn listener(stream: &UnixStream) -> io::Result<ProcessId> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)?;
    let elsewhere = || io::Error::other("the server is in another pid namespace");
    ProcessId::parse(&credentials.pid.as_raw_pid().to_string()).ok_or_else(elsewhere)
}

fn holds(process: &Path, inodes: &[String]) -> io::Result<bool> {
    for descriptor in fs::read_dir(process.join("fd"))? {
        let Ok(link) = fs::read_link(descriptor?.path()) else { continue };
        let inode =
            link.as_os_str().as_bytes().strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]"));
        if inode.is_some_and(|inode| inodes.iter().any(|wanted| wanted.as_bytes() == inode)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Inodes of listening Unix sockets at a path.
fn unix(table: &str, path: &str) -> Vec<String> {
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(3) == Some(&ACCEPTS) && fields.get(7) == Some(&path)).then(|| fields[6].to_owned())
    });
    rows.collect()
}

/// Inodes of TCP sockets that listen on one of the addresses, or on all addresses.
fn tcp(v4: &str, v6: &str, addresses: &[SocketAddr]) -> Vec<String> {
    let wanted: Vec<String> = addresses.iter().flat_map(spellings).collect();
    let rows = v4.lines().chain(v6.lines()).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&LISTENING) && wanted.iter().any(|local| local == fields[1]);
        if listens { fields.get(9).map(|inode| (*inode).to_owned()) } else { None }
    });
    rows.collect()
}

/// How the kernel writes the local addresses that an address may be reached at.
fn spellings(address: &SocketAddr) -> Vec<String> {
    let port = address.port();
    // Words of four bytes, in the machine's own order.
    let words = |bytes: &[u8]| -> String {
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect()
    };
    let own = match address.ip() {
        IpAddr::V4(ip) => vec![words(&ip.octets()), words(&ip.to_ipv6_mapped().octets())],
        IpAddr::V6(ip) => vec![words(&ip.octets())],
    };
    let all = ["0".repeat(8), "0".repeat(32)];
    own.into_iter().chain(all).map(|ip| format!("{ip}:{port:04X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn this_process_owns_its_listeners() {
        let own = ProcessId::own();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s").display().to_string();
        let _unix = UnixListener::bind(folder.path().join("new")).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        let (v4, any) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("0.0.0.0:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        for url in [
            format!("unix://{path}"),
            format!("ws://127.0.0.1:{}", port(&v4)),
            format!("ws://localhost:{}", port(&any)),
        ] {
            let target = Target::new(Endpoint::parse(&url).unwrap(), None).unwrap();
            assert_eq!(of(&target).unwrap(), [own], "{url}");
        }
        let elsewhere = format!("ws://127.0.0.2:{}", port(&v4));
        let target = Target::new(Endpoint::parse(&elsewhere).unwrap(), None).unwrap();
        assert_eq!(of(&target).unwrap(), []);
    }

    #[test]
    fn sockets_that_were_passed_on_are_found_by_their_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00000000 0001 03 17 /run/x\n0: 00000002 00000000 00010000 0001 01 18 /run/x\n\
            0: 00000002 00000000 00010000 0001 01 19\n";
        assert_eq!(unix(table, "/run/x"), ["18"]);
    }

    #[test]
    fn addresses_as_the_kernel_writes_them() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n";
        assert_eq!(tcp("", table, &["[::1]:8080".parse().unwrap()]), ["4711"]);
        assert_eq!(tcp("", table, &["[::1]:8081".parse().unwrap()]), [""; 0]);
    }
}
