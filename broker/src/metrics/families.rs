//! Which figures there are, and what they are called (`specs/metrics.md`). Labels take values from fixed sets alone.

use super::exposition::{Exposition, Kind};
use super::process::ProcessFigures;
use super::snapshot::Snapshot;

/// All figures as one text.
pub(super) fn render(snapshot: &Snapshot, process: &ProcessFigures) -> String {
    let mut text = Exposition::default();
    daemon(&mut text, snapshot);
    sessions(&mut text, snapshot);
    messages(&mut text, snapshot);
    queues(&mut text, snapshot);
    changes(&mut text, snapshot);
    events(&mut text, snapshot);
    hotplug(&mut text, snapshot);
    link(&mut text, snapshot);
    journal(&mut text, snapshot);
    process_figures(&mut text, snapshot, process);
    text.into_text()
}

fn daemon(text: &mut Exposition, snapshot: &Snapshot) {
    text.family("cloud_channel_build_info", Kind::Gauge, "Always 1; the version is a label.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    text.single("cloud_channel_ready", Kind::Gauge, "1 once the journal is open.", snapshot.ready);
}

fn sessions(text: &mut Exposition, snapshot: &Snapshot) {
    let server = &snapshot.server;
    let mut family = text.family(
        "cloud_channel_sessions",
        Kind::Gauge,
        "Sessions alive, by where the peer is and what carries them.",
    );
    let transports =
        [("unix", server.unix_sessions), ("tcp", server.tcp_sessions), ("vsock", server.vsock_sessions)];
    for (transport, carried) in transports {
        family.value(&[("transport", transport), ("carrier", "websocket")], carried.websocket);
        family.value(&[("transport", transport), ("carrier", "long_polling")], carried.long_polling);
    }
    text.family(
        "cloud_channel_connections",
        Kind::Gauge,
        "Open WebSockets, and requests without a response yet.",
    )
    .value(&[("carrier", "websocket")], server.streams)
    .value(&[("carrier", "long_polling")], server.exchanges);
    text.single(
        "cloud_channel_held_connects",
        Kind::Gauge,
        "Connects that wait for an event or their time.",
        server.held_connects,
    );
}

fn messages(text: &mut Exposition, snapshot: &Snapshot) {
    let server = &snapshot.server;
    text.single(
        "cloud_channel_messages_received_total",
        Kind::Counter,
        "Bayeux messages received, bad ones included.",
        server.received,
    );
    let mut family = text.family(
        "cloud_channel_messages_refused_total",
        Kind::Counter,
        "Bayeux messages refused, by the code of the error.",
    );
    for (code, count) in server.refused.iter() {
        family.value(&[("code", &code.digits().to_string())], count);
    }
    text.single(
        "cloud_channel_deliveries_total",
        Kind::Counter,
        "Events put into sessions' queues, one for each receiver.",
        server.delivered,
    );
    text.single(
        "cloud_channel_deliveries_dropped_total",
        Kind::Counter,
        "Of them, those that a full queue has dropped; the receiver is told how many.",
        server.dropped,
    );
    text.single(
        "cloud_channel_offers_pending",
        Kind::Gauge,
        "Publishes that wait for a verdict before they are answered.",
        server.pending_offers,
    );
}

fn queues(text: &mut Exposition, snapshot: &Snapshot) {
    let server = &snapshot.server;
    text.single(
        "cloud_channel_session_queue_messages",
        Kind::Gauge,
        "Events that wait in all sessions' queues together.",
        server.queued_messages,
    );
    text.single(
        "cloud_channel_session_queue_bytes",
        Kind::Gauge,
        "Bytes of these events.",
        server.queued_bytes,
    );
    text.single(
        "cloud_channel_session_queue_messages_max",
        Kind::Gauge,
        "The most events that have waited in one session's queue since the start.",
        server.fullest_queue,
    );
    let internal = [("driver", snapshot.happenings), ("clerk", snapshot.orders)];
    let mut family = text.family(
        "cloud_channel_queue_length",
        Kind::Gauge,
        "What waits for the driver and for the clerk.",
    );
    for (queue, depth) in internal {
        family.value(&[("queue", queue)], depth.now);
    }
    let mut family = text.family(
        "cloud_channel_queue_length_max",
        Kind::Gauge,
        "The most that has waited since the start.",
    );
    for (queue, depth) in internal {
        family.value(&[("queue", queue)], depth.most);
    }
}

fn changes(text: &mut Exposition, snapshot: &Snapshot) {
    let changes = || snapshot.changes.iter().map(|change| (change.module.canonical(), change));
    let mut family =
        text.family("cloud_channel_changes_total", Kind::Counter, "Finished changes, by module and result.");
    for (module, change) in changes() {
        for (result, count) in change.results.each() {
            family.value(&[("module", module), ("result", result)], count);
        }
    }
    let mut family = text.family(
        "cloud_channel_change_seconds_total",
        Kind::Counter,
        "What the finished changes of a module took together.",
    );
    for (module, change) in changes() {
        family.value(&[("module", module)], change.results.took.as_secs_f64());
    }
    let mut family =
        text.family("cloud_channel_changes_waiting", Kind::Gauge, "Accepted changes that are not begun.");
    for (module, change) in changes() {
        family.value(&[("module", module)], change.waiting);
    }
    let mut family = text.family(
        "cloud_channel_devices_deferred",
        Kind::Gauge,
        "Devices whose config waits for a card that is not there.",
    );
    for (module, change) in changes() {
        family.value(&[("module", module)], change.deferred.len());
    }
    let mut family = text.family("cloud_channel_changes_running", Kind::Gauge, "Changes at work.");
    for (module, change) in changes() {
        family.value(&[("module", module)], change.at_work);
    }
}

fn events(text: &mut Exposition, snapshot: &Snapshot) {
    let events = &snapshot.events;
    text.single(
        "cloud_channel_events_total",
        Kind::Counter,
        "Events of this guest that were published.",
        events.sent,
    );
    text.single(
        "cloud_channel_events_waiting",
        Kind::Gauge,
        "Events of this guest that nobody has taken yet.",
        events.waiting,
    );
    text.single(
        "cloud_channel_events_lost_total",
        Kind::Counter,
        "Events that the journal could not keep; only who listened then has them.",
        events.lost,
    );
    text.family(
        "cloud_channel_events_dropped_total",
        Kind::Counter,
        "Waiting events that a full journal has dropped, over the journal's whole life.",
    )
    .value(&[("kind", "reporting")], events.dropped.reporting)
    .value(&[("kind", "finish")], events.dropped.finish);
}

fn hotplug(text: &mut Exposition, snapshot: &Snapshot) {
    let hotplug = &snapshot.hotplug;
    text.single(
        "cloud_channel_hotplug_listening",
        Kind::Gauge,
        "1 while the kernel's hardware events are heard.",
        hotplug.listening,
    );
    let mut family = text.family(
        "cloud_channel_hotplug_events_total",
        Kind::Counter,
        "Events of cards and disks that the daemon has seen itself.",
    );
    for (subsystem, action, count) in hotplug.told() {
        family.value(&[("subsystem", subsystem), ("action", action)], count);
    }
    text.single(
        "cloud_channel_hotplug_overruns_total",
        Kind::Counter,
        "How often the kernel had to drop events that were not read in time.",
        hotplug.overruns,
    );
    text.single(
        "cloud_channel_hotplug_rescans_total",
        Kind::Counter,
        "How often all devices or links were looked at anew for that.",
        hotplug.rescans,
    );
    text.single(
        "cloud_channel_hotplug_refused_total",
        Kind::Counter,
        "Messages on the kernel's sockets that were not the kernel's, or not understood.",
        hotplug.refused,
    );
    text.single(
        "cloud_channel_link_changes_total",
        Kind::Counter,
        "Bursts of changed network links, each looked at once.",
        snapshot.link_changes,
    );
}

fn link(text: &mut Exposition, snapshot: &Snapshot) {
    let Some(link) = &snapshot.link else { return };
    text.single("cloud_channel_link_up", Kind::Gauge, "1 while the dialled session stands.", link.up);
    text.single(
        "cloud_channel_link_ups_total",
        Kind::Counter,
        "How often the dialled session has come up.",
        link.ups,
    );
    text.single(
        "cloud_channel_link_events_in_flight",
        Kind::Gauge,
        "Events sent over the link and not answered yet.",
        link.in_flight,
    );
    text.single(
        "cloud_channel_link_events_refused_total",
        Kind::Counter,
        "Events that the management server did not take.",
        link.refused_events,
    );
    text.single(
        "cloud_channel_link_messages_refused_total",
        Kind::Counter,
        "Messages of the management server that were not taken.",
        link.refused_messages,
    );
}

fn journal(text: &mut Exposition, snapshot: &Snapshot) {
    let journal = &snapshot.journal;
    text.single(
        "cloud_channel_journal_file_bytes",
        Kind::Gauge,
        "Length of the journal's file.",
        journal.file_bytes,
    );
    let tables = [
        ("changes", journal.changes, journal.change_bytes),
        ("events", journal.events, journal.event_bytes),
        ("retained", journal.retained, journal.retained_bytes),
    ];
    let mut family = text.family(
        "cloud_channel_journal_entries",
        Kind::Gauge,
        "Unfinished changes, events that nobody has taken, and delivered ones that are kept for replays.",
    );
    for (table, entries, _) in tables {
        family.value(&[("table", table)], entries);
    }
    let mut family = text.family("cloud_channel_journal_entry_bytes", Kind::Gauge, "Bytes of these entries.");
    for (table, _, bytes) in tables {
        family.value(&[("table", table)], bytes);
    }
}

/// Named as Prometheus' own client libraries name them.
fn process_figures(text: &mut Exposition, snapshot: &Snapshot, process: &ProcessFigures) {
    text.single(
        "process_cpu_seconds_total",
        Kind::Counter,
        "User and system CPU time.",
        process.cpu.as_secs_f64(),
    );
    let started = snapshot.wall.saturating_sub(snapshot.uptime).as_secs_f64();
    text.single("process_start_time_seconds", Kind::Gauge, "Start, in seconds since 1970.", started);
    let gauges = [
        ("process_resident_memory_bytes", "Memory in RAM.", process.resident_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "The limit on them.", process.max_fds),
        ("process_threads", "Threads.", process.threads),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            text.single(name, Kind::Gauge, help, value);
        }
    }
}
