//! A TCP relay between a client and a daemon, which can be cut, closed for a while, or made to swallow what comes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::patience::eventually;
use crate::stream::Address;

/// Read at once of what a daemon says.
const CHUNK: usize = 16 * 1024;

/// The relay. It ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    streams: Mutex<JoinSet<()>>,
    closed: AtomicBool,
    swallows: AtomicBool,
    swallowed: AtomicUsize,
}

impl Relay {
    /// Listens on a free port of the loopback, for a daemon at an address of TCP.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(daemon: &Address) -> Self {
        let Address::Tcp(daemon) = daemon.clone() else { panic!("{daemon:?} is not reached over TCP") };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, daemon, Arc::clone(&state)));
        Self { address: Address::Tcp(address.to_string()), state, accepting }
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Cuts every stream, and each new one at once, until it is opened.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets streams through again.
    pub fn open(&self) {
        self.state.closed.store(false, Ordering::SeqCst);
    }

    /// Takes what the daemon says and passes nothing of it on, until the streams are cut.
    pub fn swallow(&self) {
        self.state.swallows.store(true, Ordering::SeqCst);
    }

    /// Waits until something was swallowed.
    pub async fn swallowed(&self) {
        let any = || (self.state.swallowed.load(Ordering::SeqCst) > 0).then_some(());
        eventually("something to be swallowed", any).await;
    }

    /// Cuts every stream. Nothing is swallowed any more.
    pub fn cut(&self) {
        self.state.swallows.store(false, Ordering::SeqCst);
        self.state.streams.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, daemon: String, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.closed.load(Ordering::SeqCst) {
            continue;
        }
        let passing = pass(client, daemon.clone(), Arc::clone(&state));
        state.streams.lock().unwrap_or_else(PoisonError::into_inner).spawn(passing);
    }
}

/// Passes both ways until either side has ended; then both have.
async fn pass(client: TcpStream, daemon: String, state: Arc<State>) {
    let Ok(daemon) = TcpStream::connect(daemon).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    let up = copy(&mut from_client, &mut to_daemon);
    let down = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from_daemon.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) if state.swallows.load(Ordering::SeqCst) => {
                    state.swallowed.fetch_add(count, Ordering::SeqCst);
                }
                Ok(count) => {
                    if to_client.write_all(&chunk[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        // An end, good or bad, is all that counts.
        _ended = up => {}
        () = down => {}
    }
}
