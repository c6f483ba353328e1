//! The ack extension, client side: which batch is confirmed, and which awaits the application.
//!
//! The next connect carries the last confirmed batch and is withheld until the application has confirmed: what the
//! server forgets is durable here.

/// Batches of one session.
#[derive(Default)]
pub(super) struct Acks {
    /// Both sides speak the extension.
    enabled: bool,
    /// The last confirmed batch, as the server numbers them.
    confirmed: u64,
    /// Told to the application and not confirmed yet.
    awaiting: Option<Batch>,
    /// Events since the last batch.
    events: bool,
    /// The core's own number of the last batch; never reset.
    last: u64,
}

#[derive(Clone, Copy)]
struct Batch {
    own: u64,
    server: u64,
}

impl Acks {
    /// A new session begins: what an old one left is of no use to the server.
    pub(super) fn begin(&mut self, enabled: bool) {
        *self = Self { enabled, events: self.events, last: self.last, ..Self::default() };
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The number for the next connect.
    pub(super) fn confirmed(&self) -> Option<u64> {
        self.enabled.then_some(self.confirmed)
    }

    /// True if a connect may go out.
    pub(super) const fn is_settled(&self) -> bool {
        self.awaiting.is_none()
    }

    pub(super) const fn event(&mut self) {
        self.events = true;
    }

    /// The server has closed a batch. Gives the number to tell the application; a batch without events needs no
    /// confirmation.
    pub(super) fn close(&mut self, server: u64) -> Option<u64> {
        if !self.enabled {
            return None;
        }
        if !std::mem::take(&mut self.events) {
            // One that awaits covers older events; confirming past it would lose them.
            if self.awaiting.is_none() {
                self.confirmed = server;
            }
            return None;
        }
        self.last += 1;
        self.awaiting = Some(Batch { own: self.last, server });
        Some(self.last)
    }

    /// The application has made a batch durable. Anything but the batch that awaits is too late to matter: its
    /// events come again, or their session is gone.
    pub(super) fn confirm(&mut self, own: u64) {
        if let Some(batch) = self.awaiting.take_if(|batch| batch.own == own) {
            self.confirmed = batch.server;
        }
    }

    /// The session goes on over a new stream: the server repeats what is not confirmed, so nothing is waited for.
    pub(super) const fn resume(&mut self) {
        self.awaiting = None;
        self.events = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_batch_that_awaits_can_be_confirmed() {
        let mut acks = Acks::default();
        acks.begin(true);
        assert_eq!(acks.close(3), None);
        assert_eq!(acks.confirmed(), Some(3));
        acks.event();
        let first = acks.close(4).unwrap();
        assert!(!acks.is_settled());
        acks.resume();
        acks.event();
        let second = acks.close(4).unwrap();
        acks.confirm(first);
        assert_eq!((acks.confirmed(), acks.is_settled()), (Some(3), false));
        acks.confirm(second);
        assert_eq!((acks.confirmed(), acks.is_settled()), (Some(4), true));
        acks.begin(true);
        acks.event();
        assert!(acks.close(9).unwrap() > second, "own numbers never repeat");
        acks.confirm(second);
        assert_eq!((acks.confirmed(), acks.is_settled()), (Some(0), false));
    }

    #[test]
    fn nothing_is_awaited_without_the_extension() {
        let mut acks = Acks::default();
        acks.begin(false);
        acks.event();
        assert_eq!((acks.close(1), acks.confirmed(), acks.is_settled()), (None, None, true));
    }
}
