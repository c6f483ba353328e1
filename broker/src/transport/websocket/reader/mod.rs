//! Bytes of a peer become messages (RFC 6455, 5). Pure: no socket here.
//!
//! Bytes are looked at where they were read to, and what is whole leaves at once. Between two reads this owns the
//! beginning of a message that is not whole yet, and nothing if there is none.

use std::io::Cursor;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::violation::Violation;
use crate::transport::budget::{Budget, FREE, NoRoom};
use crate::transport::intake::Intake;
use crate::transport::messages::{Ends, Messages};

/// Longest payload of a control frame (RFC 6455, 5.5).
pub(super) const MAX_CONTROL: usize = 125;
/// Longest header of a frame (RFC 6455, 5.2).
const MAX_HEADER: usize = 14;
/// What of a frame has to be there before any of it can be looked at, at most.
const MAX_WHOLE: usize = MAX_HEADER + MAX_CONTROL;

/// What some bytes have brought.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whole messages.
    pub(super) messages: Messages,
    /// The payload of the latest ping; older ones need no answer (RFC 6455, 5.5.3).
    pub(super) ping: Option<Vec<u8>>,
    /// If there is one, nothing after it was looked at, and nothing more is to be fed.
    pub(super) end: Option<End>,
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer closes, with this code if it gave one.
    Closed(Option<CloseCode>),
    /// The peer does what it may not.
    Violated(Violation),
    /// There is no room for its message.
    NoRoom(NoRoom),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

impl From<NoRoom> for End {
    fn from(no_room: NoRoom) -> Self {
        Self::NoRoom(no_room)
    }
}

/// Takes frames apart and puts messages together.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Longest message, in bytes.
    limit: usize,
    /// What large ones take their room from.
    budget: Arc<Budget>,
    /// There only while something has begun that is not whole, as seldom is.
    midway: Option<Box<Midway>>,
}

/// What is there of something that is not whole.
#[derive(Debug, Default)]
struct Midway {
    /// The beginning of a header or of a control frame.
    rest: Vec<u8>,
    /// The message that has begun: its kind and what is there of it.
    begun: Option<Kind>,
    message: Intake,
    /// What is to come of a data frame whose header has been read.
    payload: Option<Payload>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Debug)]
struct Payload {
    remaining: usize,
    mask: [u8; 4],
    is_final: bool,
}

enum Frame {
    Data(Payload),
    Ping(Vec<u8>),
    Pong,
    Close(Option<CloseCode>),
}

/// The messages of one call, as they grow.
struct Growing {
    intake: Intake,
    ends: Ends,
}

impl Growing {
    /// Where the message that is not whole yet begins.
    fn begin(&self) -> usize {
        self.ends.last()
    }

    fn begun(&self) -> &[u8] {
        &self.intake.as_slice()[self.begin()..]
    }
}

impl FrameReader {
    pub(super) fn new(limit: usize, budget: Arc<Budget>) -> Self {
        Self { limit, budget, midway: None }
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How much is to be read at once, out of `most`: less where the budget is nearly used up, so that who sends
    /// nothing large is never turned away.
    pub(super) fn appetite(&self, most: usize) -> usize {
        if self.budget.has(2 * most) {
            return most;
        }
        let begun = self.midway.as_ref().map_or(0, |midway| midway.message.len());
        match FREE.saturating_sub(begun) {
            0 => most.min(FREE),
            free => most.min(free),
        }
    }

    /// True if something has begun that is not whole.
    pub(super) const fn is_midway(&self) -> bool {
        self.midway.is_some()
    }

    /// Takes what came.
    pub(super) fn feed(&mut self, mut input: &[u8]) -> Taken {
        let mut midway = self.midway.take().map_or_else(Midway::default, |midway| *midway);
        let mut growing = Growing { intake: std::mem::take(&mut midway.message), ends: Ends::default() };
        let mut reading = Reading { limit: self.limit, budget: &self.budget, midway, ping: None };
        let mut end = reading.take_frames(&mut input, &mut growing).err();
        let Reading { mut midway, ping, .. } = reading;
        if end.is_none() && midway.begun.is_some() {
            // What is whole leaves; no copy if nothing is.
            match growing.intake.split_off(growing.begin(), &self.budget) {
                Ok(begun) => midway.message = begun,
                Err(no_room) => end = Some(no_room.into()),
            }
        }
        if end.is_some() {
            growing.intake.truncate(growing.begin());
        } else if !midway.is_over() {
            self.midway = Some(Box::new(midway));
        }
        Taken { messages: Messages::new(growing.intake, growing.ends), ping, end }
    }
}

impl Midway {
    const fn is_over(&self) -> bool {
        self.begun.is_none() && self.rest.is_empty()
    }
}

/// One call's work.
struct Reading<'a> {
    limit: usize,
    budget: &'a Arc<Budget>,
    midway: Midway,
    ping: Option<Vec<u8>>,
}

impl Reading<'_> {
    /// Takes frame by frame, until there is no more of them.
    fn take_frames(&mut self, input: &mut &[u8], growing: &mut Growing) -> Result<(), End> {
        loop {
            if let Some(payload) = &mut self.midway.payload {
                if !payload.take(input, &mut growing.intake, self.budget)? {
                    return Ok(());
                }
                let is_final = payload.is_final;
                self.midway.payload = None;
                if is_final {
                    self.finish(growing)?;
                }
                continue;
            }
            match self.next_frame(input, growing.begun().len())? {
                Some(Frame::Data(payload)) => self.midway.payload = Some(payload),
                Some(Frame::Ping(payload)) => self.ping = Some(payload),
                Some(Frame::Pong) => {}
                Some(Frame::Close(code)) => return Err(End::Closed(code)),
                None => return Ok(()),
            }
        }
    }

    /// Ends the message that has begun.
    fn finish(&mut self, growing: &mut Growing) -> Result<(), Violation> {
        let is_text = self.midway.begun.take() == Some(Kind::Text);
        if is_text && std::str::from_utf8(growing.begun()).is_err() {
            return Err(Violation::NotUtf8 { limit: self.limit });
        }
        growing.ends.push(growing.intake.len());
        Ok(())
    }

    /// Takes the next header, and a control frame's payload with it; `None` if it is not all there, which is then
    /// kept. `begun` is the size of the message so far.
    fn next_frame(&mut self, input: &mut &[u8], begun: usize) -> Result<Option<Frame>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.midway.rest.is_empty() {
            return Ok(match self.look(input, begun)? {
                Some((frame, size)) => {
                    *input = &input[size..];
                    Some(frame)
                }
                None => {
                    self.midway.rest.extend_from_slice(std::mem::take(input));
                    None
                }
            });
        }
        let mut joined = [0; MAX_WHOLE];
        let kept = self.midway.rest.len();
        let added = input.len().min(MAX_WHOLE - kept);
        joined[..kept].copy_from_slice(&self.midway.rest);
        joined[kept..kept + added].copy_from_slice(&input[..added]);
        Ok(match self.look(&joined[..kept + added], begun)? {
            Some((frame, size)) => {
                *input = &input[size - kept..];
                self.midway.rest = Vec::new();
                Some(frame)
            }
            None => {
                self.midway.rest.extend_from_slice(std::mem::take(input));
                None
            }
        })
    }

    /// Looks at the beginning of a frame; says how much of it was used.
    fn look(&mut self, bytes: &[u8], begun: usize) -> Result<Option<(Frame, usize)>, Violation> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::UnknownKind)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::ReservedBits);
        }
        let mask = header.mask.ok_or(Violation::NotMasked)?;
        let size = usize::try_from(cursor.position()).expect("a header is short");
        match header.opcode {
            OpCode::Data(data) => {
                let kind = self.next_kind(data)?;
                let room = u64::try_from(self.limit.saturating_sub(begun)).unwrap_or(u64::MAX);
                let remaining = match usize::try_from(length) {
                    Ok(remaining) if length <= room => remaining,
                    _ => return Err(Violation::TooLarge { limit: self.limit }),
                };
                self.midway.begun = Some(kind);
                Ok(Some((Frame::Data(Payload { remaining, mask, is_final: header.is_final }), size)))
            }
            OpCode::Control(control) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if !header.is_final || length > MAX_CONTROL {
                    return Err(Violation::ControlFrame);
                }
                let Some(payload) = bytes.get(size..size + length) else { return Ok(None) };
                let mut payload = payload.to_vec();
                unmask(&mut payload, mask);
                Ok(Some((control_frame(control, payload)?, size + length)))
            }
        }
    }

    /// The kind of the message that a data frame belongs to.
    const fn next_kind(&self, data: Data) -> Result<Kind, Violation> {
        match (data, self.midway.begun) {
            (Data::Text, None) => Ok(Kind::Text),
            (Data::Binary, None) => Ok(Kind::Binary),
            (Data::Continue, Some(kind)) => Ok(kind),
            (Data::Continue, None) => Err(Violation::NothingToContinue),
            (Data::Text | Data::Binary, Some(_)) => Err(Violation::NotContinued),
            (Data::Reserved(_), _) => Err(Violation::UnknownKind),
        }
    }
}

impl Payload {
    /// Moves what is there of the payload; true once all of it has come.
    fn take(&mut self, input: &mut &[u8], to: &mut Intake, budget: &Arc<Budget>) -> Result<bool, NoRoom> {
        let (now, later) = input.split_at(self.remaining.min(input.len()));
        let whole = to.len() + input.len().max(self.remaining);
        // Once for all the frames of this read, if there is room for them: those that are small are taken in any case.
        to.make_room(input.len(), whole, budget).or_else(|_| to.make_room(now.len(), whole, budget))?;
        unmask(to.append(now), self.mask);
        self.mask.rotate_left(now.len() % 4);
        self.remaining -= now.len();
        *input = later;
        Ok(self.remaining == 0)
    }
}

fn control_frame(control: Control, payload: Vec<u8>) -> Result<Frame, Violation> {
    match control {
        Control::Ping => Ok(Frame::Ping(payload)),
        Control::Pong => Ok(Frame::Pong),
        Control::Close => close_code(&payload).map(Frame::Close),
        Control::Reserved(_) => Err(Violation::UnknownKind),
    }
}

fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::CloseFrame) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_sent(code) {
        return Err(Violation::CloseFrame);
    }
    let code = CloseCode::from(code);
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::CloseReason),
    }
}

/// True for the codes that a peer may send: those of RFC 6455, 7.4.1, those registered with IANA since, and those for
/// libraries and for anybody. The others are reserved, or never sent.
const fn is_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Takes a mask off, which begins with the first byte (RFC 6455, 5.3). Eight bytes at a time: the build for size does
/// not do that by itself.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
