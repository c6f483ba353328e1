//! The outbox: outputs in order, and the frame that is being filled.

use std::collections::VecDeque;

use super::connection_type::ConnectionType;
use super::output::ClientOutput;

/// A frame is sent once it is this full. Half of the smallest message limit found among servers (64 KiB), so that
/// any number of subscriptions passes.
const FRAME_BYTES: usize = 32 * 1024;

/// Requests made in one turn share frames; over long-polling those made while a request is under way. Bounded by its
/// callers: by the subscriptions, the publishes in flight, and one received frame between two polls.
#[derive(Default)]
pub(super) struct Outbox {
    outputs: VecDeque<ClientOutput>,
    /// Whole frames that may not go yet.
    waiting: VecDeque<String>,
    /// `[message,message`, or empty.
    frame: String,
    gate: Gate,
}

/// When a frame may go out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Gate {
    /// At any time.
    #[default]
    Stream,
    /// One, and then none before it is answered.
    Free,
    /// Not before the last one is answered.
    Busy,
}

impl Outbox {
    /// There is a new stream.
    pub(super) const fn begin(&mut self, connection: ConnectionType) {
        self.gate = match connection {
            ConnectionType::WebSocket => Gate::Stream,
            ConnectionType::LongPolling => Gate::Free,
        };
    }

    /// The request that was under way is over.
    pub(super) fn answered(&mut self) {
        if self.gate == Gate::Busy {
            self.gate = Gate::Free;
            self.release();
        }
    }

    /// Puts an output behind all others.
    pub(super) fn tell(&mut self, output: ClientOutput) {
        self.outputs.push_back(output);
    }

    /// Adds a message to the frame that is being filled.
    pub(super) fn send(&mut self, message: &str) {
        if self.frame.len() + message.len() >= FRAME_BYTES {
            self.close_frame();
        }
        self.frame.push(if self.frame.is_empty() { '[' } else { ',' });
        self.frame.push_str(message);
    }

    /// Sends a message in a frame of its own, behind what was sent so far: a handshake must be alone.
    pub(super) fn send_alone(&mut self, message: &str) {
        self.close_frame();
        self.push(format!("[{message}]"));
    }

    /// Sends a connect: alone, since servers do not hold one that has company, and over long-polling beside all else.
    pub(super) fn hold(&mut self, message: &str) {
        if self.gate == Gate::Stream {
            return self.send_alone(message);
        }
        self.outputs.push_back(ClientOutput::Hold(format!("[{message}]")));
    }

    /// Makes the frame ready to go if it may; else it is filled on.
    pub(super) fn end_turn(&mut self) {
        if self.gate != Gate::Busy {
            self.close_frame();
        }
    }

    /// Forgets what was meant for a stream that is gone.
    pub(super) fn drop_unsent(&mut self) {
        self.frame.clear();
        self.waiting.clear();
        self.outputs.retain(|output| !matches!(output, ClientOutput::Transmit(_) | ClientOutput::Hold(_)));
    }

    /// The next output. A frame that is still open does not count.
    pub(super) fn next(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    fn close_frame(&mut self) {
        if !self.frame.is_empty() {
            self.frame.push(']');
            let frame = std::mem::take(&mut self.frame);
            self.push(frame);
        }
    }

    fn push(&mut self, frame: String) {
        self.waiting.push_back(frame);
        self.release();
    }

    fn release(&mut self) {
        while self.gate != Gate::Busy
            && let Some(frame) = self.waiting.pop_front()
        {
            self.outputs.push_back(ClientOutput::Transmit(frame));
            if self.gate == Gate::Free {
                self.gate = Gate::Busy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shared_up_to_their_size() {
        let mut outbox = Outbox::default();
        let message = format!("\"{}\"", "x".repeat(10_000));
        for _ in 0..4 {
            outbox.send(&message);
        }
        outbox.send_alone("{}");
        let sizes: Vec<usize> = std::iter::from_fn(|| outbox.next())
            .map(|output| match output {
                ClientOutput::Transmit(frame) => {
                    serde_json::from_str::<Vec<serde_json::Value>>(&frame).unwrap().len()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [3, 1, 1]);
        outbox.send(&"y".repeat(100_000));
        outbox.end_turn();
        assert!(matches!(outbox.next(), Some(ClientOutput::Transmit(frame)) if frame.len() == 100_002));
    }

    #[test]
    fn over_long_polling_one_request_goes_at_a_time_and_connects_go_beside() {
        let mut outbox = Outbox::default();
        outbox.begin(ConnectionType::LongPolling);
        let mut shown = |work: &dyn Fn(&mut Outbox)| -> Vec<String> {
            work(&mut outbox);
            outbox.end_turn();
            let text = |output| match output {
                ClientOutput::Transmit(frame) => frame,
                ClientOutput::Hold(frame) => format!("hold {frame}"),
                other => panic!("{other:?}"),
            };
            std::iter::from_fn(|| outbox.next()).map(text).collect()
        };
        assert_eq!(shown(&|outbox| outbox.send_alone("1")), ["[1]"]);
        assert_eq!(shown(&|outbox| outbox.send("2")), [""; 0]);
        assert_eq!(shown(&|outbox| outbox.hold("c")), ["hold [c]"]);
        assert_eq!(shown(&|outbox| outbox.send("3")), [""; 0]);
        assert_eq!(shown(&Outbox::answered), ["[2,3]"]);
        assert_eq!(shown(&|outbox| outbox.send("4")), [""; 0]);
        assert_eq!(shown(&|outbox| outbox.send_alone("5")), [""; 0]);
        assert_eq!(shown(&|outbox| outbox.send("6")), [""; 0]);
        for expected in ["[4]", "[5]", "[6]"] {
            assert_eq!(shown(&Outbox::answered), [expected]);
        }
        assert_eq!(shown(&Outbox::answered), [""; 0]);
        assert_eq!(shown(&Outbox::drop_unsent), [""; 0]);
        assert_eq!(shown(&|outbox| outbox.send("7")), ["[7]"]);
    }
}
