//! What must hold inside the server after every step of a model.

use std::collections::HashMap;

use super::super::Carrier;
use super::super::family::Family;
use super::super::source::Source;
use super::model::Model;

impl Model {
    /// What must hold inside the server between any two calls.
    pub(super) fn check(&self) {
        let server = &self.server;
        let limits = &server.config.limits;
        let keys = server.sessions.keys();
        assert!(keys.len() <= limits.sessions);
        let mut of_sources: HashMap<Source, usize> = HashMap::new();
        for session in server.sessions.iter() {
            *of_sources.entry(Source::of(&session.peer.address)).or_default() += 1;
        }
        assert_eq!(server.sessions.sources(), of_sources.len(), "who has no session is forgotten");
        for (source, count) in of_sources {
            assert_eq!(server.sessions.of_source(source), count);
            assert!(count <= limits.sessions_per_peer, "{source:?}");
        }
        let mut timers = 0;
        for key in &keys {
            let session = server.sessions.get(*key).unwrap();
            assert_eq!(server.sessions.find(session.client), Some(*key));
            assert!(session.queue.len() <= limits.queued_messages);
            assert!(session.queue.bytes() <= limits.queued_bytes);
            assert!(session.subscriptions.len() <= limits.subscriptions_per_session);
            let armed = session.armed.expect("every session has a deadline");
            assert!(armed <= session.deadline() && server.next_timeout().unwrap() <= armed);
            if let Some(held) = &session.held {
                let on = server.connections.get(held.on).expect("a connect is held on an open connection");
                assert!(on.session == Some(*key) && on.owed > 0);
            }
            assert!(session.catching_up.iter().all(|behind| session.subscriptions.contains(behind)));
            if let Some(connection) = session.stream {
                assert_eq!(server.connections.get(connection).unwrap().session, Some(*key));
            }
            timers += 1;
        }
        let mut unbound = Vec::new();
        for id in server.connections.ids() {
            let stream = server.connections.get(id).unwrap();
            match (stream.session, stream.carrier) {
                (Some(key), Carrier::Stream) => {
                    assert_eq!(server.sessions.get(key).unwrap().stream, Some(id));
                }
                (Some(_), Carrier::Exchange) => {}
                (None, Carrier::Stream) if !stream.closing => unbound.push(id),
                (None, _) => {}
            }
            assert_eq!(stream.armed.is_some(), stream.session.is_none() && !stream.closing);
            timers += usize::from(stream.armed.is_some());
            assert!(
                stream.outgoing.bytes() <= limits.reply_bytes + limits.batch_bytes,
                "{}",
                stream.outgoing.bytes()
            );
            assert!(
                stream.in_flight.as_ref().map_or(0, |events| events.len()) <= 2 * limits.queued_messages + 1
            );
        }
        assert!(server.connections.unbound(Family::Unix).iter().eq(&unbound));
        assert_eq!(server.timers.len(), timers, "one deadline each, and none besides");
        assert!(server.offers.len() <= limits.pending_offers);
    }
}
