//! Answers that no kernel should give: they end, they are told, and they hide nothing else.

use std::io;

use proptest::prelude::*;

use super::super::snapshot::{MOST_DATAGRAMS, MOST_RULES, MOST_TRIES};
use super::super::{KernelNetwork, KernelPart};
use super::{Sent, attribute, done, message, recorded, take, take_part};

const GET_LINK: u16 = 18;
const GET_RULE: u16 = 34;

/// A link, as the kernel tells of it.
fn link(sequence: u32, flags: u16, index: u32, name: &[u8]) -> Vec<u8> {
    let head = [[0; 4], index.to_ne_bytes(), [0; 4], [0; 4]].concat();
    message(16, flags, sequence, &[head, attribute(3, name)].concat())
}

fn names(network: &KernelNetwork) -> Vec<&str> {
    network.links.iter().map(|link| link.name.as_str()).collect()
}

fn told(result: io::Result<KernelNetwork>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_message_that_makes_no_sense_hides_no_other() {
    let network = take_part(GET_LINK, |n| {
        let nameless = message(16, 2, n, &[[0; 4], [9, 0, 0, 0], [0; 4], [0; 4]].concat());
        let mut lying = link(n, 2, 3, b"eth1\0");
        // The attribute says that it is longer than the message.
        lying[32] = 200;
        let bytes =
            [link(n, 2, 1, b"lo\0"), nameless, lying, message(16, 2, n, &[0; 3]), link(n, 2, 2, b"eth0\0")];
        vec![Sent::whole(bytes.concat()), Sent::whole(done(n))]
    });
    let network = network.unwrap();
    assert_eq!(names(&network), ["lo", "eth0"]);
    let [gap] = network.gaps.as_slice() else { panic!("{:?}", network.gaps) };
    assert_eq!((gap.part, gap.count), (KernelPart::Links, 3));
    assert_eq!(gap.reason, "they cannot be understood: a link has no index, or no name");
}

#[test]
fn lengths_that_cannot_be_end_the_snapshot() {
    for length in [0, 15, 17, 4096, u32::MAX] {
        let error = told(take_part(GET_LINK, |n| {
            let mut bytes = done(n);
            bytes.truncate(16);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            vec![Sent::whole(bytes)]
        }));
        let why = "cannot read the kernel's links by netlink: a message has a length that cannot be";
        assert_eq!(error, why, "{length}");
    }
}

#[test]
fn a_cut_datagram_is_seen() {
    let cut = |n| vec![Sent { bytes: done(n), sender: 0, is_cut: true }];
    let error = told(take_part(GET_LINK, cut));
    assert_eq!(
        error,
        "cannot read the kernel's links by netlink: a datagram is longer than the 20 bytes there is room for"
    );
}

#[test]
fn nobody_but_the_kernel_is_believed() {
    let network = take_part(GET_LINK, |n| {
        let forged = [link(n, 2, 5, b"evil0\0"), done(n)].concat();
        let stale = [link(n + 7, 2, 6, b"stale0\0"), done(n + 7)].concat();
        let own = [link(n, 2, 2, b"eth0\0"), done(n)].concat();
        vec![Sent { bytes: forged, sender: 4711, is_cut: false }, Sent::whole(stale), Sent::whole(own)]
    });
    assert_eq!(names(&network.unwrap()), ["eth0"]);
}

#[test]
fn an_answer_without_an_end_ends() {
    let mut asked = 0;
    let error = told(take_part(GET_LINK, |n| {
        asked += 1;
        vec![Sent::whole(link(n, 2, 2, b"eth0\0"))]
    }));
    let why = format!("the answer has no end after {MOST_DATAGRAMS} datagrams");
    assert_eq!(error, format!("cannot read the kernel's links by netlink: {why}"));
    assert_eq!(asked, 1);
}

#[test]
fn what_changes_meanwhile_is_read_again_but_not_for_ever() {
    const INTERRUPTED: u16 = 2 | 0x10;
    let mut tries = 0;
    let network = take_part(GET_LINK, |n| {
        tries += 1;
        let flags = if tries < 3 { INTERRUPTED } else { 2 };
        vec![Sent::whole([link(n, flags, 2, b"eth0\0"), done(n)].concat())]
    });
    assert_eq!((tries, network.unwrap()), (3, take_once()));
    // The mark may be on the end alone.
    let mut tries = 0;
    let network = take_part(GET_LINK, |n| {
        tries += 1;
        let end = message(3, INTERRUPTED, n, &0_i32.to_ne_bytes());
        vec![Sent::whole([link(n, 2, 2, b"eth0\0"), end].concat())]
    });
    let network = network.unwrap();
    assert_eq!((tries, names(&network)), (MOST_TRIES, vec!["eth0"]));
    assert_eq!(network.gaps[0].reason, "something changed each of the 8 times that they were read");
    assert!(!network.has_all(KernelPart::Links) && network.has_all(KernelPart::Routes));
}

fn take_once() -> KernelNetwork {
    take_part(GET_LINK, |n| vec![Sent::whole([link(n, 2, 2, b"eth0\0"), done(n)].concat())]).unwrap()
}

#[test]
fn more_than_there_is_room_for_is_left_out_and_counted() {
    let network = take_part(GET_RULE, |n| {
        let rule = message(32, 2, n, &[2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0]);
        let many = rule.repeat(MOST_RULES + 5);
        vec![Sent::whole(many), Sent::whole(done(n))]
    });
    let network = network.unwrap();
    assert_eq!(network.rules.len(), MOST_RULES);
    assert_eq!((network.gaps[0].count, network.gaps[0].reason.as_str()), (5, "there are more than 8192"));
}

#[test]
fn a_refusal_is_told_and_absence_is_none() {
    let refuse = |n, kind, errno: i32| {
        message(kind, 2, n, &[(-errno).to_ne_bytes(), [0; 4], [0; 4], [0; 4], [0; 4]].concat())
    };
    for kind in [2, 3] {
        let error = take_part(GET_LINK, |n| vec![Sent::whole(refuse(n, kind, 1))]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the kernel's links by netlink: operation not permitted");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
    // A kernel without routing tables has no rules.
    let network = take_part(GET_RULE, |n| vec![Sent::whole(refuse(n, 2, 95))]);
    assert_eq!(network.unwrap(), KernelNetwork::default());
    // The smallest number has no opposite.
    let odd = message(2, 2, 1, &i32::MIN.to_ne_bytes());
    assert!(take_part(GET_LINK, |_| vec![Sent::whole(odd.clone())]).is_err());
}

proptest! {
    /// Any bytes at all: a snapshot or an error, and no panic.
    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _either = take(|_, n, _| vec![Sent::whole(bytes.clone()), Sent::whole(done(n))]);
    }

    /// What a kernel did send, with some bytes changed: what is wrong is counted, or it is an error.
    #[test]
    fn no_damage_is_too_strange(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let damaged = take(|kind, n, family| {
            let mut bytes = recorded::answer(kind, family).to_vec();
            for (place, byte) in &places {
                *place.get_mut(&mut bytes) = *byte;
            }
            vec![Sent::whole(bytes), Sent::whole(done(n))]
        });
        if let Ok(network) = damaged {
            prop_assert!(network.links.len() <= 5 && network.routes.len() <= 34);
        }
    }

    /// Payloads right behind a message's head, so that the parsers see them.
    #[test]
    fn no_payload_is_too_strange(payload in proptest::collection::vec(any::<u8>(), 0..200), family in 0_usize..3) {
        let family = [0, 2, 10][family];
        let _either = take(|kind, n, _| {
            let mut payload = payload.clone();
            if let Some(first) = payload.first_mut() {
                *first = family;
            }
            vec![Sent::whole(message(kind - 2, 2, n, &payload)), Sent::whole(done(n))]
        });
    }
}
