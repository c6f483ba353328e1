//! What one peer may take of what is for all.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::PeerAddress;
use super::{Driver, assert_success, connect, error};
use crate::limits::Limits;

fn handshake() -> Value {
    json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket", "long-polling"]})
}

fn tcp(address: &str) -> PeerAddress {
    PeerAddress::Tcp(address.parse().unwrap())
}

#[test]
fn one_peer_leaves_room_for_the_others() {
    let mut driver = Driver::with(|config| config.limits.sessions_per_peer = 2);
    for (id, address) in [(1, "192.0.2.1:1"), (2, "192.0.2.1:2")] {
        driver.open_as(id, tcp(address));
        assert_success(&driver.ask_one(id, &handshake()));
    }
    driver.open_as(3, tcp("[::ffff:192.0.2.1]:3"));
    let reply = driver.ask_one(3, &handshake());
    assert_eq!(
        error(&reply),
        "503::Too many sessions of one peer, the limit is 2: end one, or come back later"
    );
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    // By requests it is no other.
    driver.request_as(4, tcp("192.0.2.1:4"), &handshake());
    assert!(error(&driver.take(4)[0]).starts_with("503::Too many sessions of one peer"));
    let others = [
        tcp("192.0.2.2:1"),
        tcp("[2001:db8::1]:1"),
        PeerAddress::Unix { uid: 0 },
        PeerAddress::Vsock { cid: 2, port: 1 },
    ];
    for (id, other) in (5..).zip(others) {
        driver.open_as(id, other);
        assert_success(&driver.ask_one(id, &handshake()));
    }
    assert_eq!(driver.server.stats().sessions, 6);
}

#[test]
fn every_end_of_a_session_gives_its_place_back() {
    let mut driver = Driver::with(|config| config.limits.sessions_per_peer = 1);
    driver.open(1);
    driver.open(2);
    let is_full = |driver: &mut Driver| error(&driver.ask_one(2, &handshake())).starts_with("503::");
    // Replaced by its own client: no more than it had.
    driver.handshake(1, &json!({}));
    let client = driver.handshake(1, &json!({}));
    assert!(is_full(&mut driver));
    // Without its stream it lives on for a while.
    driver.cut(1);
    driver.open(3);
    assert!(is_full(&mut driver));
    assert_success(&driver.ask_one(3, &connect(&client)));
    assert!(is_full(&mut driver));
    driver.ask(3, &json!({"channel": "/meta/disconnect", "clientId": client}));
    driver.handshake(2, &json!({}));
    driver.cut(2);
    driver.advance(60.0);
    assert_eq!(driver.server.stats().sessions, 0, "expired");
    driver.open(4);
    driver.handshake(4, &json!({}));
}

#[test]
fn a_part_is_kept_for_others_by_default() {
    for (all, one) in [(0, 0), (1, 1), (2, 1), (8, 7), (9, 7), (128, 112), (1_024, 1_008), (20_000, 19_984)] {
        assert_eq!(Limits::sessions_for_one(all), one, "of {all}");
    }
    assert_eq!(Limits::default().sessions_per_peer, 1_008);
}

proptest! {
    /// A handshake is refused exactly when the server is full, or its peer is.
    #[test]
    fn whoever_is_below_both_limits_gets_in(
        limit in 1..4_usize,
        steps in prop::collection::vec((0..4_u32, 0..3_u8, 0..6_usize), 1..60),
    ) {
        let mut driver = Driver::with(|config| {
            config.limits.sessions = 6;
            config.limits.sessions_per_peer = limit;
        });
        let mut sessions: BTreeMap<u32, Vec<(u64, String)>> = BTreeMap::new();
        for (id, (uid, kind, nth)) in (1..).zip(steps) {
            if kind == 0 {
                let of_peer = sessions.entry(uid).or_default();
                if !of_peer.is_empty() {
                    let (stream, client) = of_peer.remove(nth % of_peer.len());
                    driver.ask(stream, &json!({"channel": "/meta/disconnect", "clientId": client}));
                }
                continue;
            }
            let all: usize = sessions.values().map(Vec::len).sum();
            let of_peer = sessions.entry(uid).or_default();
            driver.open_as(id, PeerAddress::Unix { uid });
            let reply = driver.ask_one(id, &handshake());
            if all < 6 && of_peer.len() < limit {
                assert_success(&reply);
                of_peer.push((id, reply["clientId"].as_str().unwrap().to_owned()));
            } else {
                prop_assert!(error(&reply).starts_with("503::Too many sessions"), "{}", reply);
                prop_assert_eq!(all < 6, reply["error"].as_str().unwrap().contains("of one peer"));
            }
        }
    }
}
