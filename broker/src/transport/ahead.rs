//! What a peer sends while its request is being held, and whether it is there still.
//!
//! The server of hyper reads on while it serves a request, to notice that the peer has hung up, but not with bytes in its
//! buffer: a line end too much, or the beginning of the next request. So that little more is read here, and kept until
//! hyper wants it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, ReadBuf};

use super::Stream;

/// The most that is kept of one stream. What a peer sends beyond waits in the kernel.
const MOST: usize = 4 * 1024;

/// Bytes that were read before they were asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
}

impl Ahead {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// True if no more is read, so that an end behind it is not seen.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() == MOST
    }

    /// Reads what is there, as far as there is room. Ready once the stream is at its end; while there is room, the
    /// task is woken for it.
    pub(super) fn poll_end(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Error> {
        while !self.is_full() {
            let mut room = [0; MOST];
            let mut buffer = ReadBuf::new(&mut room[self.bytes.len()..]);
            if let Err(error) = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                return Poll::Ready(error);
            }
            if buffer.filled().is_empty() {
                return Poll::Ready(io::ErrorKind::UnexpectedEof.into());
            }
            self.bytes.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }

    /// Hands out what fits.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..taken]);
        if taken == self.bytes.len() {
            // Gone with its memory: most streams need it never.
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..taken);
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// True if a peer sends no more, however much of what it has sent is unread (poll(2)).
pub(super) fn has_hung_up(stream: &Stream) -> bool {
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut looked_at = [PollFd::from_borrowed_fd(stream.socket(), PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A look that fails says nothing of the peer; writing to it will.
    poll(&mut looked_at, Some(&at_once)).is_ok_and(|_| looked_at[0].revents().intersects(gone))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    fn read(ahead: &mut Ahead, most: usize) -> Vec<u8> {
        let mut room = vec![0; most];
        let mut buffer = ReadBuf::new(&mut room);
        ahead.read(&mut buffer);
        buffer.filled().to_vec()
    }

    async fn look(ahead: &mut Ahead, stream: &mut Stream) -> Option<io::Error> {
        poll_fn(|cx| match ahead.poll_end(stream, cx) {
            Poll::Ready(error) => Poll::Ready(Some(error)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn what_is_read_is_handed_out_and_its_end_is_seen() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let (mut ahead, mut ours) = (Ahead::default(), Stream::Unix(ours));
        assert!(look(&mut ahead, &mut ours).await.is_none());
        peer.write_all(b"12345").await.unwrap();
        drop(peer);
        let end = poll_fn(|cx| ahead.poll_end(&mut ours, cx)).await;
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut ahead, 2), b"12");
        assert_eq!(read(&mut ahead, 10), b"345");
        assert!(ahead.is_empty());
    }

    #[tokio::test]
    async fn it_is_bounded_and_an_end_behind_it_can_be_looked_for() {
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let (mut ahead, mut ours) = (Ahead::default(), Stream::Unix(ours));
        peer.write_all(&vec![b'x'; 3 * MOST]).await.unwrap();
        while !ahead.is_full() {
            assert!(look(&mut ahead, &mut ours).await.is_none());
            tokio::task::yield_now().await;
        }
        assert!(!has_hung_up(&ours));
        drop(peer);
        assert!(look(&mut ahead, &mut ours).await.is_none(), "it reads no further");
        assert!(has_hung_up(&ours));
        assert_eq!(ahead.into_bytes(), vec![b'x'; MOST]);
    }
}
