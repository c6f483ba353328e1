//! One stream that speaks HTTP, watched: which phase it is in, how long that may take, and when a response is out.
//!
//! ```text
//!            first byte          head read           response made        written
//! ▶ waiting ────────────▶ head ────────────▶ request ──────────────▶ answer ────────▶ waiting
//!   keep-alive            10 s               (its own deadlines)     30 s without
//!                                                                    a byte taken
//! ```
//!
//! The server of hyper has a deadline for heads that also ends idle connections, and none for writing; it does not tell
//! when a response has been handed to the system, which is when its events are no longer ours; and it does not always
//! notice that a peer has hung up. So this looks at the stream from below.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cloud_channel_protocol::server::Peer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::ahead::{Ahead, has_hung_up};
use super::exchange::Exchange;
use super::{HEAD_DEADLINE, KEEP_ALIVE, Stream, WRITE_DEADLINE};

/// What is known of a stream while it speaks HTTP. Shared by the stream below hyper, the service above it, and the
/// task that runs both.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// The exchange under way.
    exchange: Option<Exchange>,
    /// The one before, whose response is written, until the task takes it.
    answered: Option<Exchange>,
    /// The body of its response has been taken: what is flushed from then on ends with it.
    handed_over: bool,
    /// Others need the place.
    sent_away: bool,
    task: Option<Waker>,
    upgrade: Option<Peer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request is there. `fresh` if there has never been one.
    Waiting { fresh: bool },
    /// Some of its head is.
    Head,
    /// It is being served.
    Request,
    /// Its response is being written.
    Answer,
}

/// What the task that runs the stream has to know.
#[derive(Debug)]
pub(super) enum Note {
    /// The response of this exchange is written, which the driver has to hear.
    Answered(Exchange),
    /// Others need the place.
    SentAway,
}

impl Watch {
    pub(super) fn new() -> Self {
        let state = State {
            phase: Phase::Waiting { fresh: true },
            since: Instant::now(),
            exchange: None,
            answered: None,
            handed_over: false,
            sent_away: false,
            task: None,
            upgrade: None,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head has been read.
    pub(super) fn request(&self) {
        self.lock().enter(Phase::Request);
    }

    /// Its response is made, and goes out now.
    pub(super) fn answer(&self) {
        self.lock().enter(Phase::Answer);
    }

    /// The request is an exchange of the core's.
    pub(super) fn exchange(&self, exchange: Exchange) {
        self.lock().exchange = Some(exchange);
    }

    /// Takes the exchanges of which the driver has to hear, now that the stream is over: in their order.
    pub(super) fn take_exchanges(&self) -> [Option<Exchange>; 2] {
        let mut state = self.lock();
        [state.answered.take(), state.exchange.take()]
    }

    /// All of an exchange's response is on its way to the stream.
    pub(super) fn handed_over(&self) {
        self.lock().handed_over = true;
    }

    /// The stream becomes a WebSocket of this peer once the response is written.
    pub(super) fn upgrade(&self, peer: Peer) {
        self.lock().upgrade = Some(peer);
    }

    pub(super) fn take_upgrade(&self) -> Option<Peer> {
        self.lock().upgrade.take()
    }

    /// Since when it owes us a request, or the rest of one's head; `None` while it has one under way.
    pub(super) fn owes_request_since(&self) -> Option<Instant> {
        let state = self.lock();
        matches!(state.phase, Phase::Waiting { .. } | Phase::Head).then_some(state.since)
    }

    /// Asks it to leave.
    pub(super) fn send_away(&self) {
        let mut state = self.lock();
        state.sent_away = true;
        state.wake();
    }

    /// Waits for the next note.
    pub(super) fn poll_note(&self, cx: &Context<'_>) -> Poll<Note> {
        let mut state = self.lock();
        if let Some(exchange) = state.answered.take() {
            return Poll::Ready(Note::Answered(exchange));
        }
        if std::mem::take(&mut state.sent_away) {
            return Poll::Ready(Note::SentAway);
        }
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Some bytes have come.
    fn received(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Waiting { .. }) {
            state.enter(Phase::Head);
        }
    }

    /// All that was given to the stream is out.
    fn flushed(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Answer || (state.exchange.is_some() && !state.handed_over) {
            return;
        }
        state.handed_over = false;
        state.enter(Phase::Waiting { fresh: false });
        if let Some(mut exchange) = state.exchange.take() {
            exchange.written();
            state.answered = Some(exchange);
            state.wake();
        }
    }

    /// The system has taken some bytes.
    fn taken(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Answer {
            state.since = Instant::now();
        }
    }

    /// True while the core holds a request.
    fn holds(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Request && state.exchange.is_some()
    }

    /// Until when something has to happen.
    fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let after = match state.phase {
            Phase::Waiting { fresh: true } | Phase::Head => HEAD_DEADLINE,
            Phase::Waiting { fresh: false } => KEEP_ALIVE,
            Phase::Answer => WRITE_DEADLINE,
            Phase::Request => return None,
        };
        Some(state.since + after)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}

/// The stream below hyper. Late peers make it fail, which ends the connection.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
    ahead: Ahead,
    /// Hyper has asked for bytes and waits for them: it will see an end itself.
    awaited: bool,
    /// Over when the deadline is for which it was set last.
    timer: Pin<Box<Sleep>>,
    set_for: Option<Instant>,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        let timer = Box::pin(tokio::time::sleep(HEAD_DEADLINE));
        Self { stream, watch, ahead: Ahead::default(), awaited: false, timer, set_for: None }
    }

    /// The stream, and what was read of it that hyper has not seen.
    pub(super) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.ahead.into_bytes())
    }

    /// Passes on what the stream says, unless that is to wait and it has waited long enough.
    fn unless_late<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let deadline = self.watch.deadline();
        let Some(at) = deadline else { return Poll::Pending };
        if self.set_for != deadline {
            self.set_for = deadline;
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Fails if the peer has hung up while its request is held and nobody else looks.
    fn unless_left(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.awaited || !self.watch.holds() {
            return Ok(());
        }
        match self.ahead.poll_end(&mut self.stream, cx) {
            Poll::Ready(error) => Err(error),
            Poll::Pending => Ok(()),
        }
    }

    /// Fails if the peer has hung up behind more than is read ahead: what is written then reaches nobody.
    fn unless_gone(&self) -> io::Result<()> {
        let gone = self.ahead.is_full() && has_hung_up(&self.stream);
        if gone { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    /// What the system says to a write.
    fn wrote(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.watch.taken();
        }
        self.unless_late(polled, cx)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if self.ahead.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            self.ahead.read(buf);
            Poll::Ready(Ok(()))
        };
        self.awaited = polled.is_pending();
        if buf.filled().len() > before {
            self.watch.received();
        }
        self.unless_late(polled, cx)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.unless_gone()?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unless_gone()?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.watch.flushed();
            // Hyper comes by here whenever it is woken.
            self.unless_left(cx)?;
        }
        self.unless_late(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
