//! The outbox: outputs in order, and the frame that is being filled.

use std::collections::VecDeque;

use super::output::ClientOutput;

/// A frame is sent once it is this full. Half of the smallest message limit found among servers (64 KiB), so that
/// any number of subscriptions passes.
const FRAME_BYTES: usize = 32 * 1024;

/// Requests made in one turn share frames. Bounded by its callers: by the subscriptions, the publishes in flight,
/// and one received frame between two polls.
#[derive(Default)]
pub(super) struct Outbox {
    outputs: VecDeque<ClientOutput>,
    /// `[message,message`, or empty.
    frame: String,
}

impl Outbox {
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

    /// Sends a message in a frame of its own, behind what was sent so far: a handshake must be alone, and servers
    /// do not hold a connect that has company.
    pub(super) fn send_alone(&mut self, message: &str) {
        self.close_frame();
        self.outputs.push_back(ClientOutput::Transmit(format!("[{message}]")));
    }

    /// Makes the frame ready to go.
    pub(super) fn close_frame(&mut self) {
        if !self.frame.is_empty() {
            self.frame.push(']');
            self.outputs.push_back(ClientOutput::Transmit(std::mem::take(&mut self.frame)));
        }
    }

    /// Forgets what was meant for a stream that is gone.
    pub(super) fn drop_unsent(&mut self) {
        self.frame.clear();
        self.outputs.retain(|output| !matches!(output, ClientOutput::Transmit(_)));
    }

    /// The next output. A frame that is still open does not count.
    pub(super) fn next(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
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
        outbox.close_frame();
        assert!(matches!(outbox.next(), Some(ClientOutput::Transmit(frame)) if frame.len() == 100_002));
    }
}
