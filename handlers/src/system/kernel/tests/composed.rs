//! Messages put together by the kernel's headers: bonds, VLANs and what else the recorded namespace has not.

use super::super::{KernelHop, KernelLink, KernelNetwork};
use super::{Sent, attribute, done, message, take_part};

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

fn link_head(index: u32, flags: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), [0; 4]].concat()
}

/// A part that holds one message.
fn network(question: u16, kind: u16, payload: &[Vec<u8>]) -> KernelNetwork {
    let payload = payload.concat();
    let answer = |sequence| {
        let bytes = [message(kind, 2, sequence, &payload), done(sequence)].concat();
        vec![Sent::whole(bytes)]
    };
    take_part(question, answer).unwrap()
}

fn link(attributes: &[Vec<u8>]) -> KernelLink {
    let payload = [&[link_head(7, 0)], attributes].concat();
    let network = network(18, NEW_LINK, &payload);
    assert_eq!(network.gaps, []);
    network.links[0].clone()
}

#[test]
fn a_vlan_has_its_id_and_what_it_is_on() {
    let protocol = attribute(5, &0x8100_u16.to_be_bytes());
    let data = [protocol, attribute(1, &100_u16.to_ne_bytes())].concat();
    // Nested attributes come with the bit that says so, or without.
    let info = [attribute(1, b"vlan\0"), attribute(0x8000 | 2, &data)].concat();
    let own = [attribute(3, b"eth0.100\0"), attribute(5, &2_u32.to_ne_bytes()), attribute(18, &info)];
    let vlan = link(&own);
    assert_eq!((vlan.kind.as_deref(), vlan.vlan_id, vlan.parent), (Some("vlan"), Some(100), Some(2)));
    // In another namespace the number is another link's.
    let far = link(&[own.as_slice(), &[attribute(37, &0_i32.to_ne_bytes())]].concat());
    assert_eq!((far.vlan_id, far.parent), (Some(100), None));
    // The number is a VLAN's only there.
    let info = [attribute(1, b"macvlan\0"), attribute(2, &attribute(1, &4_u32.to_ne_bytes()))].concat();
    assert_eq!(link(&[attribute(3, b"m0\0"), attribute(18, &info)]).vlan_id, None);
}

#[test]
fn a_member_of_a_bond_has_the_address_it_had_before() {
    let own = [2, 0, 0, 0, 0, 9];
    let info = [attribute(4, b"bond\0"), attribute(0x8000 | 5, &attribute(4, &own))].concat();
    let named = attribute(3, b"eth1\0");
    let master = attribute(10, &3_u32.to_ne_bytes());
    let member = link(&[
        named.clone(),
        master,
        attribute(1, &[2, 0, 0, 0, 0, 8]),
        attribute(54, &own),
        attribute(18, &info),
    ]);
    assert_eq!((member.master, member.address), (Some(3), Some([2, 0, 0, 0, 0, 8])));
    assert_eq!((member.permanent_address, member.address_before_bond), (Some(own), Some(own)));
    // A bridge's port has other things there.
    let info = [attribute(4, b"bridge\0"), attribute(5, &attribute(4, &own))].concat();
    assert_eq!(link(&[named.clone(), attribute(18, &info)]).address_before_bond, None);
    // InfiniBand's addresses have 20 bytes, a tunnel's four.
    assert_eq!(link(&[named.clone(), attribute(1, &[7; 20])]).address, None);
    assert_eq!(link(&[named, attribute(1, &[192, 0, 2, 1])]).address, None);
}

#[test]
fn an_address_that_somebody_else_has_is_seen_in_either_place() {
    let address = attribute(1, &[0x20; 16]);
    let head = |flags: u8| vec![10, 64, flags, 0, 1, 0, 0, 0];
    let failed = network(22, NEW_ADDRESS, &[head(0x48), address.clone()]);
    assert!(failed.addresses[0].duplicate && failed.addresses[0].tentative);
    let wide = attribute(8, &0x288_u32.to_ne_bytes());
    let failed = network(22, NEW_ADDRESS, &[head(0x80), address, wide]);
    assert!(failed.addresses[0].duplicate && failed.addresses[0].permanent && !failed.addresses[0].tentative);
    // Phonet has addresses as well.
    assert_eq!(network(22, NEW_ADDRESS, &[vec![35, 0, 0, 0, 1, 0, 0, 0]]), KernelNetwork::default());
}

#[test]
fn routes_that_are_nobodys_setup_are_left_out() {
    let head = |prefix, table, protocol, flags: u32| {
        let mut head = vec![2, prefix, 0, 0, table, protocol, 0, 1];
        head.extend(flags.to_ne_bytes());
        head
    };
    let hop = attribute(4, &2_u32.to_ne_bytes());
    let to = attribute(1, &[192, 0, 2, 0]);
    let count = |head: Vec<u8>| network(26, NEW_ROUTE, &[head, to.clone(), hop.clone()]).routes.len();
    assert_eq!(count(head(24, 254, 4, 0)), 1);
    assert_eq!(count(head(24, 254, 4, 0x200)), 0, "a cached one");
    assert_eq!(count(head(24, 255, 4, 0)), 0, "of the table `local`");
    assert_eq!(count(head(24, 254, 12, 0)), 0, "learnt by a routing daemon");
    // The way out counts, whoever has found it.
    let way_out = network(26, NEW_ROUTE, &[head(0, 254, 12, 0), hop]);
    assert!(way_out.routes[0].is_default());
    assert_eq!(way_out.routes[0].hops, [KernelHop { gateway: None, link: Some(2) }]);
    // Asked for IPv6, a kernel without it answers with IPv4; so each route is there once.
    assert_eq!(way_out.routes.len(), 1);
}
