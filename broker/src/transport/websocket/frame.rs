//! One frame on its way out: a small header of its own, and a payload that others may share.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::reader::MAX_CONTROL;

/// Longest header of a frame that is not masked (RFC 6455, 5.2).
const MAX_HEADER: usize = 10;

/// Frames that are copied to be written: most replies, and many an event.
const SMALL: usize = 512;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Messages of the core, which wants to know when they are written.
    Batch,
    /// The answer to a ping.
    Pong,
    /// The last frame.
    Close,
}

/// A frame, and how much of it has been written.
pub(super) struct Frame {
    pub(super) purpose: Purpose,
    header: [u8; MAX_HEADER],
    header_size: usize,
    payload: Bytes,
    written: usize,
}

impl Frame {
    pub(super) fn batch(batch: Bytes) -> Self {
        Self::new(Purpose::Batch, OpCode::Data(Data::Text), batch)
    }

    pub(super) fn pong(payload: Vec<u8>) -> Self {
        Self::new(Purpose::Pong, OpCode::Control(Control::Pong), payload.into())
    }

    /// A close frame; its reason is cut to what fits. Without a code it has no payload.
    pub(super) fn close(code: Option<CloseCode>, reason: &str) -> Self {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&u16::from(code).to_be_bytes());
            let mut end = reason.len().min(MAX_CONTROL - payload.len());
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            payload.extend_from_slice(&reason.as_bytes()[..end]);
        }
        Self::new(Purpose::Close, OpCode::Control(Control::Close), payload.into())
    }

    fn new(purpose: Purpose, opcode: OpCode, payload: Bytes) -> Self {
        let length = payload.len() as u64;
        let plain = FrameHeader { opcode, ..FrameHeader::default() };
        let mut header = [0; MAX_HEADER];
        plain.format(length, &mut header.as_mut_slice()).expect("the header fits into its array");
        Self { purpose, header, header_size: plain.len(length), payload, written: 0 }
    }

    /// What is left to be written.
    pub(super) fn rest(&self) -> [IoSlice<'_>; 2] {
        let header = &self.header[self.written.min(self.header_size)..self.header_size];
        let payload = &self.payload[self.written.saturating_sub(self.header_size)..];
        [IoSlice::new(header), IoSlice::new(payload)]
    }

    /// So much of [`Self::rest`] has been written.
    pub(super) const fn advance(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// How much has been written, header and all.
    pub(super) const fn written(&self) -> usize {
        self.written
    }

    pub(super) fn is_written(&self) -> bool {
        self.written == self.header_size + self.payload.len()
    }

    /// Writes what the socket takes at once, and does not wait.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let [header, payload] = self.rest();
        let size = header.len() + payload.len();
        let sent = if size <= SMALL {
            // One piece is less work for the system than a list of two.
            let mut together = [0; SMALL];
            together[..header.len()].copy_from_slice(&header);
            together[header.len()..size].copy_from_slice(&payload);
            send(socket, &together[..size], flags)?
        } else {
            sendmsg(socket, &[header, payload], &mut SendAncillaryBuffer::default(), flags)?
        };
        self.advance(sent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &Frame) -> Vec<u8> {
        frame.rest().iter().flat_map(|part| part.to_vec()).collect()
    }

    #[test]
    fn headers_are_as_small_as_they_can_be() {
        for (size, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::batch(vec![b'x'; size].into());
            assert_eq!(text(&frame), [header, &vec![b'x'; size]].concat());
        }
    }

    #[test]
    fn a_frame_goes_on_where_it_was_left() {
        let whole = text(&Frame::batch(vec![b'x'; 300].into()));
        for step in [1, 3, 4, 5, 300] {
            let mut frame = Frame::batch(vec![b'x'; 300].into());
            let mut seen = Vec::new();
            while !frame.is_written() {
                let rest = text(&frame);
                let now = step.min(rest.len());
                seen.extend_from_slice(&rest[..now]);
                frame.advance(now);
            }
            assert_eq!(seen, whole);
        }
    }

    #[test]
    fn a_close_frame_fits_and_stays_text() {
        assert_eq!(text(&Frame::close(None, "unheard")), [0x88, 0]);
        let frame = text(&Frame::close(Some(CloseCode::Size), &"ü".repeat(200)));
        assert_eq!(frame[..4], [0x88, 124, 0x03, 0xf1]);
        assert!(std::str::from_utf8(&frame[4..]).is_ok(), "cut within a character");
    }
}
