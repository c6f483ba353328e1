//! How things are: for `cloud-channel status`, which asks on a service channel and is answered alone, and in figures
//! for whoever measures.

use cloud_channel_protocol::server::{Input, Peer, SecurityPolicy};
use cloud_channel_protocol::{BayeuxError, CloudinitExt, ErrorCode, MessageId, Publication};
use serde_json::{Map, Value, json};

use super::Driver;
use crate::metrics::{EventFigures, LinkFigures, ProcessFigures, Reader, Snapshot};
use crate::request::Asker;
use crate::status_channel::status_channel;

impl Driver {
    pub(super) fn tell_status(&mut self, asker: Asker, id: Option<&MessageId>) -> Result<(), BayeuxError> {
        let Asker::Offer { client: Some(client), .. } = asker else {
            return Err(BayeuxError::forbidden("", "An answer needs a session to go to, handshake first"));
        };
        let status = self.status();
        self.accept(&asker);
        let ext = CloudinitExt { cause: id.cloned(), ..CloudinitExt::default() };
        let publication = Publication {
            channel: status_channel(),
            id: None,
            data: serde_json::value::to_raw_value(&status).expect("a JSON value serialises"),
            ext: Some(ext.to_ext()),
        };
        self.input(Input::Tell { client, publication: &publication, receipt: None });
        Ok(())
    }

    /// Answers whoever wants the figures, if they are for them.
    pub(super) fn tell_figures(&self, reader: Reader) {
        let allowed = reader.peer.as_ref().map_or(Ok(()), |peer| self.may_read(peer));
        // A reader that has hung up wants nothing more.
        let _hung_up = reader.answer.send(allowed.map(|()| Box::new(self.snapshot())));
    }

    /// Figures are for whom the status is.
    fn may_read(&self, peer: &Peer) -> Result<(), BayeuxError> {
        let principal = self.parts.policy.admit_unconnected(peer)?;
        if self.parts.policy.may_publish(&principal, &status_channel()) {
            return Ok(());
        }
        let text = "the rules of `authority` do not let this peer `get` the daemon's status";
        Err(BayeuxError::new(ErrorCode::Forbidden, "", text))
    }

    fn snapshot(&self) -> Snapshot {
        let now = self.parts.clock.now();
        Snapshot {
            ready: self.ready,
            uptime: now.uptime,
            wall: now.wall,
            server: self.server.stats(),
            happenings: self.counters.happenings,
            orders: self.parts.clerk.depth(),
            events: EventFigures {
                sent: self.counters.events,
                waiting: self.outbox.len(),
                lost: self.counters.lost,
                dropped: self.counters.dropped,
            },
            changes: self.pushes.figures(&self.trials, now.uptime),
            hotplug: self.parts.hotplug.figures(),
            link_changes: self.counters.link_changes,
            link: self.parts.link.as_ref().map(|_| LinkFigures {
                up: !self.link.is_down(),
                ups: self.counters.link_ups,
                in_flight: self.outbox.in_flight(),
                refused_events: self.counters.refused_by_link,
                refused_messages: self.counters.refused_of_link,
            }),
            journal: self.parts.clerk.journal_size(),
        }
    }

    fn status(&self) -> Value {
        let snapshot = self.snapshot();
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instance": self.parts.instance.as_str(),
            "ready": snapshot.ready,
            "uptime_seconds": snapshot.uptime.as_secs(),
            "listening": self.parts.listening,
            "replays": self.replays.clients(),
            "link": self.parts.link.as_ref().zip(snapshot.link).map(|(link, figures)| json!({
                "endpoints": link.endpoints(),
                "up": figures.up,
                "detail": self.link.detail,
                "times_up": figures.ups,
                "in_flight": figures.in_flight,
                "refused_events": figures.refused_events,
                "refused_messages": figures.refused_messages,
            })),
        });
        if let Some(status) = status.as_object_mut() {
            status.extend(traffic(&snapshot));
            status.extend(hardware(&snapshot));
            status.extend(inside(&snapshot));
        }
        status
    }
}

/// What goes in and out.
fn traffic(snapshot: &Snapshot) -> Map<String, Value> {
    let (server, events) = (&snapshot.server, &snapshot.events);
    let codes = server.refused.iter().filter(|(_, count)| *count > 0);
    let codes: Map<String, Value> =
        codes.map(|(code, count)| (code.digits().to_string(), count.into())).collect();
    let sessions =
        [("unix", server.unix_sessions), ("tcp", server.tcp_sessions), ("vsock", server.vsock_sessions)];
    let sessions = sessions.map(|(transport, carried)| {
        let carried = json!({ "websocket": carried.websocket, "long_polling": carried.long_polling });
        (transport.to_owned(), carried)
    });
    object(json!({
        "sessions": server.sessions,
        "sessions_by_transport": Map::from_iter(sessions),
        "connections": server.streams + server.exchanges,
        "held_connects": server.held_connects,
        "messages": {
            "received": server.received,
            "refused": server.refused.total(),
            "delivered": server.delivered,
            "dropped": server.dropped,
        },
        "refused_by_code": codes,
        "events": {
            "sent": events.sent,
            "waiting": events.waiting,
            "lost": events.lost,
            "dropped": { "reporting": events.dropped.reporting, "finish": events.dropped.finish },
            "refused_by_link": snapshot.link.map_or(0, |link| link.refused_events),
        },
    }))
}

/// What was heard of the hardware. Of what never was, nothing is told.
fn hardware(snapshot: &Snapshot) -> Map<String, Value> {
    let hotplug = &snapshot.hotplug;
    let mut told = Map::new();
    for (subsystem, action, count) in hotplug.told().filter(|(.., count)| *count > 0) {
        told.insert(format!("{subsystem}_{action}"), count.into());
    }
    object(json!({
        "hotplug": {
            "listening": hotplug.listening,
            "events": told,
            "overruns": hotplug.overruns,
            "rescans": hotplug.rescans,
            "refused": hotplug.refused,
            "link_changes": snapshot.link_changes,
        },
    }))
}

/// What waits, works and is kept.
fn inside(snapshot: &Snapshot) -> Map<String, Value> {
    let (server, journal, process) = (&snapshot.server, &snapshot.journal, ProcessFigures::read());
    let modules = snapshot.changes.iter().map(|change| {
        let shape = json!({
            "waiting": change.waiting,
            "at_work": usize::from(change.at_work),
            "on_trial_seconds": change.on_trial.map(|left| left.as_secs()),
            "deferred": change.deferred,
            "results": Map::from_iter(
                change.results.each().into_iter().filter(|(_, count)| *count > 0)
                    .map(|(result, count)| (result.to_owned(), Value::from(count)))
            ),
            "seconds": change.results.took.as_secs_f64(),
        });
        (change.module.canonical().to_owned(), shape)
    });
    object(json!({
        "queues": {
            "sessions": {
                "messages": server.queued_messages,
                "bytes": server.queued_bytes,
                "most_in_one": server.fullest_queue,
            },
            "offers": server.pending_offers,
            "driver": { "now": snapshot.happenings.now, "most": snapshot.happenings.most },
            "clerk": { "now": snapshot.orders.now, "most": snapshot.orders.most },
        },
        "modules": modules.collect::<Map<_, _>>(),
        "journal": {
            "file_bytes": journal.file_bytes,
            "changes": { "entries": journal.changes, "bytes": journal.change_bytes },
            "events": { "entries": journal.events, "bytes": journal.event_bytes },
            "retained": { "entries": journal.retained, "bytes": journal.retained_bytes },
        },
        "process": {
            "resident_bytes": process.resident_bytes,
            "cpu_seconds": process.cpu.as_secs_f64(),
            "open_fds": process.open_fds,
            "threads": process.threads,
        },
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
