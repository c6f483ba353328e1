//! A sequence of operations as bytes: one letter an operation, a digit or two behind it. Any bytes are a script, and
//! a script that somebody wants to try can be typed.
//!
//! ```text
//! oU  xU   open a stream, an exchange, as user U           hCF  handshake on connection C with features F
//! cC       connection C is gone                            kCSF connect for session S
//! wC       what C was given is written                     bCSP subscribe to pattern P
//! s   u    readers stall, readers read                     dCSP unsubscribe
//! zT       2^T × 10 ms pass                                qCS  disconnect
//! gN       nobody looks at outputs for N operations        pCSHL publish on channel H, L × 16 bytes of data
//! vV       the oldest offer is accepted, or refused        aCSP subscribe to pattern P, and to what is retained
//! fHN      the oldest replay gets N events, or its end     iCS  an unknown meta message
//! lHNL     a local session publishes N events              mN   the next N messages go in one frame
//! tS       a local session tells session S something       eFV  the next message has value V as field F
//! y9       the server drains                               rC…  any bytes up to the end of the line; `%` is the newest clientId
//! jUFP     a whole session: open, handshake, connect, subscribe
//! ```
//!
//! Numbers mean the n-th of what there is, the newest first for sessions, and wrap around for all else.

/// Reads letters and digits off bytes.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next letter, in lower case; any byte counts as one, as its last five bits say.
    pub(super) fn letter(&mut self) -> Option<u8> {
        Some(self.byte()? & 0x1f | 0x60)
    }

    /// The next digit, from 0 to 15; 0 at the end.
    pub(super) fn digit(&mut self) -> u8 {
        self.byte().unwrap_or_default() & 0x0f
    }

    /// What is left of the line.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}
