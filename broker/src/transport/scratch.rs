//! The one buffer that streams are read into.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::Stream;

/// What one read takes at most: large enough for many small messages, small enough to stay in the cache. One buffer
/// serves all connections of a thread, as nobody waits while it is in use.
pub(super) const READ_SIZE: usize = 64 * 1024;
/// How long we read on after our last word.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into_boxed_slice());
}

/// Reads once, `most` bytes of [`READ_SIZE`], and hands on what came, where it lies: `None` at the end.
pub(super) fn poll_read<T>(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    most: usize,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<Option<T>>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(&mut scratch[..most]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        Poll::Ready(Ok((!filled.is_empty()).then(|| take(filled))))
    })
}

/// Says that nothing more comes from us, and reads on until the peer is done too. What is unread when a socket is
/// closed makes the system reset the stream, which may overtake our last words. A peer that goes on is not waited for.
pub(super) async fn linger(mut stream: Stream) {
    let ending = async {
        // A stream that is broken already has nothing to wait for.
        if stream.shutdown().await.is_err() {
            return;
        }
        while let Ok(Some(())) =
            std::future::poll_fn(|cx| poll_read(&mut stream, cx, READ_SIZE, |_| ())).await
        {}
    };
    let _late = timeout(LINGER, ending).await;
}
