//! Tests of the snapshot without a socket: datagrams as a kernel sent them, and as none should.

mod composed;
mod hostile;
mod played;
mod recorded;

use std::collections::VecDeque;
use std::io;

use super::KernelNetwork;
use super::exchange::{Datagram, Kernel};
use super::snapshot::Snapshot;

/// A message with its head.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute with its head, filled up to a multiple of four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The end of a dump.
fn done(sequence: u32) -> Vec<u8> {
    message(3, 2, sequence, &0_i32.to_ne_bytes())
}

/// What a played kernel sends at once.
struct Sent {
    bytes: Vec<u8>,
    sender: u32,
    is_cut: bool,
}

impl Sent {
    fn whole(bytes: Vec<u8>) -> Self {
        Self { bytes, sender: 0, is_cut: false }
    }
}

/// A kernel that answers a question, by its type, its number and its family, with what a test says.
struct Played<F> {
    answers: F,
    waiting: VecDeque<Sent>,
    last: Vec<u8>,
}

impl<F: FnMut(u16, u32, u8) -> Vec<Sent>> Kernel for Played<F> {
    fn ask(&mut self, datagram: &[u8]) -> io::Result<()> {
        let kind = u16::from_ne_bytes(datagram[4..6].try_into().unwrap());
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        let length = u32::from_ne_bytes(datagram[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), datagram.len());
        assert_eq!(datagram[6..8], 0x301_u16.to_ne_bytes(), "a request for a dump");
        self.waiting = (self.answers)(kind, sequence, datagram[16]).into();
        Ok(())
    }

    /// The last datagram comes again and again, if it does not end the dump.
    fn answer(&mut self) -> io::Result<Datagram<'_>> {
        let Some(sent) = self.waiting.pop_front() else {
            return Ok(Datagram { bytes: &self.last, sender: 0, is_cut: false });
        };
        self.last = sent.bytes;
        Ok(Datagram { bytes: &self.last, sender: sent.sender, is_cut: sent.is_cut })
    }
}

fn take(answers: impl FnMut(u16, u32, u8) -> Vec<Sent>) -> io::Result<KernelNetwork> {
    Snapshot::of(Played { answers, waiting: VecDeque::new(), last: Vec::new() }).take()
}

/// A snapshot of which one part is answered, each try in another way, and all others are empty.
fn take_part(part: u16, mut answers: impl FnMut(u32) -> Vec<Sent>) -> io::Result<KernelNetwork> {
    take(|kind, sequence, _| if kind == part { answers(sequence) } else { vec![Sent::whole(done(sequence))] })
}
