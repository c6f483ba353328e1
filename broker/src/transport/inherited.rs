//! Sockets passed by systemd (sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use super::listener::{ListenError, Listener};
use super::tls::TlsServer;

/// A socket that was passed to this process, not looked at yet.
#[derive(Debug)]
pub(crate) struct InheritedSocket {
    fd: OwnedFd,
    number: i32,
    name: String,
}

/// Takes all sockets that were passed to this process. Called once, before anything else opens descriptors.
pub(crate) fn take() -> io::Result<Vec<InheritedSocket>> {
    let passed = sd_notify::listen_fds_with_names()?;
    Ok(passed
        .map(|(fd, name)| {
            #[expect(
                unsafe_code,
                reason = "the service manager passed this descriptor to us and nobody else owns it"
            )]
            // SAFETY: LISTEN_PID names this process, so descriptor `fd` is open and ours; `take` is called once.
            let owned = unsafe { OwnedFd::from_raw_fd(fd) };
            InheritedSocket { fd: owned, number: fd, name }
        })
        .collect())
}

impl InheritedSocket {
    /// Makes a listener of it; needs the runtime. `tls` is who we are, for those that need it.
    pub(crate) fn into_listener(self, tls: Option<&Arc<TlsServer>>) -> Result<Listener, ListenError> {
        Listener::inherited(self.fd, self.number, &self.name, tls)
    }
}
