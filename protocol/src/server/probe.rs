//! Is a client still there, in both directions? It is if it connects anew after a connect's reply that went out later
//! than the question was asked: what is merely received may have been on its way for long. Until then its events wait, since the
//! system goes on taking bytes for a stream that leads nowhere.

use super::Server;
use super::io::Output;
use super::session::SessionKey;
use crate::ids::ClientId;

/// How far the question has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nobody asks.
    #[default]
    Idle,
    /// The next connect's reply is not to wait.
    Asked,
    /// It has gone out: the connect after it is the answer.
    Sent,
}

impl Server {
    /// Has the client show that it is there: a held connect is answered now, and the next is the proof. Asked again,
    /// it begins anew.
    pub(super) fn probe(&mut self, client: ClientId) {
        let Some(key) = self.sessions.find(client) else { return };
        if let Some(session) = self.sessions.get_mut(key) {
            session.probe = Probe::Asked;
        }
        self.answer_held(key);
    }

    /// The client connects.
    pub(super) fn note_connect(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.probe == Probe::Sent {
            session.probe = Probe::Idle;
            self.outputs.push_back(Output::Proven { client: session.client });
            // What has waited for this.
            self.stir(key);
        }
    }
}
