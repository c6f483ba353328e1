//! Servers that lose, repeat, refuse and vanish.

use std::time::Duration;

use mgmt_sim::load::{Faults, LoadError, Until, Workload};

use crate::fake_server::{FakeServer, Misdeeds};
use crate::{carry_out, plan};

#[test]
fn losses_and_duplicates_are_counted_exactly() {
    // Of the 72 messages, 12 of them before the measurement, to 5 receivers each.
    let server =
        FakeServer::start(Misdeeds { lose: vec![30, 31], repeat: vec![7, 40], ..Misdeeds::default() });
    let mut plan = plan(&server.url, Workload::FanOut);
    plan.patience = Duration::from_millis(500);
    let measured = carry_out(&plan).unwrap();
    assert_eq!(measured.faults, Faults { lost: 10, duplicated: 10, ..Faults::default() });
    assert_eq!((measured.messages, measured.deliveries), (60, 290));
}

#[test]
fn a_session_too_many_is_told_in_the_servers_words() {
    let server = FakeServer::start(Misdeeds { sessions: Some(3), ..Misdeeds::default() });
    let error = carry_out(&plan(&server.url, Workload::FanOut)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LoadError::Refused { .. }), "{text}");
    assert!(text.contains("/meta/handshake") && text.contains("of 6: 503::Too many sessions"), "{text}");
    assert!(text.contains("--sessions"), "{text}");
}

#[test]
fn a_server_that_vanishes_is_gone() {
    let server = FakeServer::start(Misdeeds { vanish_at: Some(40), ..Misdeeds::default() });
    let error = carry_out(&plan(&server.url, Workload::FanOut)).unwrap_err();
    assert!(matches!(error, LoadError::Gone { .. } | LoadError::Connect { .. }), "{error}");
}

#[test]
fn nobody_there() {
    let server = FakeServer::start(Misdeeds::default());
    let plan = plan(&server.url, Workload::FanOut);
    drop(server);
    let error = mgmt_sim::load::run(&plan, None, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cannot connect session 1 to http://127.0.0.1:"), "{error}");
}

#[test]
fn what_makes_no_sense_is_not_tried() {
    let sound = plan("ws://127.0.0.1:1/", Workload::FanOut);
    for (change, part) in [
        ((|plan| plan.sessions = 0) as fn(&mut mgmt_sim::load::Plan), "--sessions 0"),
        (|plan| plan.in_flight = 0, "--in-flight 0"),
        (|plan| plan.size = 10, "--size 10"),
        (|plan| plan.sessions = 1 << 40, "file descriptors"),
        (
            |plan| {
                plan.workload = Workload::Idle;
                plan.until = Until::Messages(1);
            },
            "--duration",
        ),
    ] {
        let mut plan = sound.clone();
        change(&mut plan);
        let error = plan.prepare().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
