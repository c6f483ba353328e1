//! The one owner of a WebSocket's stream: what was read and what is to be written meet here.
//!
//! ```text
//! driver ── batch, close ──▶ slot ── what the socket takes at once ──▶ stream
//!                             │ ▲                                       ▲
//!                  wakes, if  │ └── pong, close ── task ── the rest ────┘
//!               anything is left
//! ```
//!
//! Of the frames at most one is half-written, and it is written to its end before any other. The driver writes from
//! its own turn where nothing waits, which saves a wake-up and two hand-overs for nearly every frame; it never waits.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::frame::{Frame, Purpose};
use crate::transport::{Stream, scratch};

/// Frames that a connection gets from one turn of the driver. A fast reader's next ones wait for its task, so that
/// the others get theirs.
const FRAMES_A_TURN: u8 = 4;

/// What has become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is written, all of it.
    Whole,
    /// The connection's task writes it and tells the driver.
    Later,
}

/// A stream, and what waits to be written to it.
pub(crate) struct Slot {
    line: Mutex<Line>,
}

/// What is in it, in one's own hands.
pub(super) struct Line {
    stream: Stream,
    /// There only while there is something in it: nearly always the socket has taken all.
    waiting: Option<Box<Waiting>>,
    /// True once the close frame is given: nothing comes after it.
    closing: bool,
    /// The connection's task.
    task: Option<Waker>,
    /// Batches that the driver has given, and whether the task waits for one.
    given: u32,
    awaited: bool,
    /// The driver's turn in which it last wrote here, and how many frames.
    turn: u64,
    frames: u8,
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    /// The frame that is being written.
    current: Option<Frame>,
    /// What comes after it, in this order.
    pong: Option<Vec<u8>>,
    batch: Option<Bytes>,
    close: Option<Frame>,
}

impl Slot {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            line: Mutex::new(Line {
                stream,
                waiting: None,
                closing: false,
                task: None,
                given: 0,
                awaited: false,
                turn: 0,
                frames: 0,
            }),
        }
    }

    /// For several things in one go.
    pub(super) fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a batch of the core, or leaves to the task what the socket does not take. There is no other before it
    /// that is not written. A connection that is closing takes none: the core hears that it is closed.
    pub(crate) fn transmit(&self, batch: Bytes, turn: u64) -> Sent {
        let mut line = self.lock();
        if line.closing {
            return Sent::Later;
        }
        line.given = line.given.wrapping_add(1);
        if line.awaited {
            line.wake();
        }
        if let Some(waiting) = &mut line.waiting {
            waiting.batch = Some(batch);
            return Sent::Later;
        }
        let mut frame = Frame::batch(batch);
        if line.may_write(turn)
            && let Some(socket) = line.stream.direct()
        {
            // Whatever stands against it, the task meets it too, and knows what to do.
            let _met_again = frame.send(socket);
            if frame.is_written() {
                return Sent::Whole;
            }
        }
        line.waiting().current = Some(frame);
        line.wake();
        Sent::Later
    }

    /// Closes, after what was given before.
    pub(crate) fn close(&self, code: Option<CloseCode>, reason: &str) {
        self.lock().close(code, reason);
    }

    /// Answers a ping. The latest is enough.
    pub(super) fn pong(&self, payload: Vec<u8>) {
        self.lock().waiting().pong = Some(payload);
    }

    /// How many batches the driver has given so far.
    pub(super) fn given(&self) -> u32 {
        self.lock().given
    }

    pub(super) fn into_stream(self) -> Stream {
        self.line.into_inner().unwrap_or_else(PoisonError::into_inner).stream
    }
}

impl Line {
    fn may_write(&mut self, turn: u64) -> bool {
        if self.turn != turn {
            (self.turn, self.frames) = (turn, 0);
        }
        self.frames += 1;
        self.frames <= FRAMES_A_TURN
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// For something to be put in.
    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    pub(super) fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        if !self.closing {
            self.closing = true;
            self.waiting().close = Some(Frame::close(code, reason));
            self.wake();
        }
    }

    /// True if the driver has given more than so many batches and they are written; otherwise the task is woken by the
    /// next.
    pub(super) fn has_answered(&mut self, before: u32) -> bool {
        self.awaited = self.given == before;
        !self.awaited && !self.is_writing()
    }

    /// How much of the present frame is written.
    pub(super) fn progress(&self) -> usize {
        let frame = self.waiting.as_ref().and_then(|waiting| waiting.current.as_ref());
        frame.map_or(0, Frame::written)
    }

    /// Writes what the socket takes at once, true if that is anything. The system says that a socket takes more only once
    /// it takes much more, which at a slow reader's may be long after it does.
    pub(super) fn push(&mut self) -> bool {
        let before = self.progress();
        let frame = self.waiting.as_mut().and_then(|waiting| waiting.current.as_mut());
        if let (Some(frame), Some(socket)) = (frame, self.stream.direct()) {
            // Whatever stands against it, it is too late for that.
            let _given_up = frame.send(socket);
        }
        self.progress() != before
    }

    /// True if something waits to be written.
    pub(super) const fn is_writing(&self) -> bool {
        self.waiting.is_some()
    }

    /// Reads once, so many bytes at most, and hands on what came, where it lies: `None` at the end.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        scratch::poll_read(&mut self.stream, cx, most, take)
    }

    /// Writes the next frame to its end; pending while there is none, and then this wakes when there is.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Purpose>> {
        let Some(frame) = self.waiting.as_mut().and_then(|waiting| waiting.next()) else {
            if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                self.task = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        while !frame.is_written() {
            match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &frame.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => frame.advance(written),
            }
        }
        // Where there is TLS, it may still hold some of it.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let purpose = frame.purpose;
        self.waiting.take_if(|waiting| waiting.is_done());
        Poll::Ready(Ok(purpose))
    }
}

impl Waiting {
    /// The frame to write on.
    fn next(&mut self) -> Option<&mut Frame> {
        if self.current.is_none() {
            let pong = self.pong.take().map(Frame::pong);
            self.current = pong.or_else(|| self.batch.take().map(Frame::batch)).or_else(|| self.close.take());
        }
        self.current.as_mut()
    }

    /// The present frame is written: true if it was the last.
    fn is_done(&mut self) -> bool {
        self.current = None;
        self.pong.is_none() && self.batch.is_none() && self.close.is_none()
    }
}
