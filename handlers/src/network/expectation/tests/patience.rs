//! How long is looked, and what that means for what comes late.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::super::LOOKS;
use super::*;

/// Looks at a machine that is another at each look, counted from 1: what is said, and the looks it took.
fn watch(
    config: &Value,
    ids: &[&str],
    network: impl Fn(u32) -> Result<KernelNetwork, String> + Send + Sync + 'static,
) -> (Result<(), String>, u32) {
    let links =
        ids.iter().map(|id| expected_after(&json!({"version": 2}), config, id, &one_card())).collect();
    let count = AtomicU32::new(0);
    let system =
        MemorySystem::new().with_kernel(move |_, _| network(count.fetch_add(1, Ordering::Relaxed) + 1));
    let said = verify(&Expectation { files: Vec::new(), links }, &system);
    (said, u32::try_from(system.paused().as_millis() / 200).unwrap() + 1)
}

fn missing_address() -> Value {
    card(&json!({"addresses": ["192.0.2.6/24"]}))
}

#[test]
fn what_comes_up_is_waited_for() {
    let network =
        |look| Ok(with(|network| network.addresses.extend((look > 7).then(|| address(2, "192.0.2.6/24")))));
    assert_eq!(watch(&missing_address(), &["eth0"], network), (Ok(()), 8));
}

#[test]
fn ten_seconds_are_for_all_links_together() {
    let config = json!({"version": 2, "ethernets": {"eth0": {"mtu": 1400}, "eth1": {"mtu": 1400}}});
    // One comes up when the other goes down: at no moment is the machine as it should be.
    let network = |look| {
        let (eth0, eth1) = if look < 40 { (1400, 1500) } else { (1500, 1400) };
        let cards =
            vec![KernelLink { mtu: eth0, ..link(2, "eth0") }, KernelLink { mtu: eth1, ..link(3, "eth1") }];
        Ok(KernelNetwork { links: cards, ..KernelNetwork::default() })
    };
    let (said, looks) = watch(&config, &["eth0", "eth1"], network);
    assert_eq!((said.unwrap_err().as_str(), looks), ("link `eth0` has MTU 1500, expected 1400", LOOKS));
}

#[test]
fn a_carrier_that_comes_late_gives_no_verdict() {
    let plugged_in_at = |first: u32, config: &Value| {
        watch(config, &["eth0"], move |look| {
            Ok(with(|network| {
                (network.links[0].up, network.links[0].lower_up) = (look >= first, look >= first);
            }))
        })
    };
    let (said, looks) = plugged_in_at(10, &missing_address());
    assert_eq!(
        (said.unwrap_err().as_str(), looks),
        ("link `eth0` does not have the address 192.0.2.6/24", LOOKS)
    );
    // Five seconds before the end is in time, a look later is not.
    for config in [missing_address(), card(&json!({"mtu": 1400}))] {
        assert!(plugged_in_at(26, &config).0.is_err(), "{config}");
        assert_eq!(plugged_in_at(27, &config), (Ok(()), LOOKS), "{config}");
    }
}

#[test]
fn an_address_that_is_being_checked_is_waited_for() {
    let config = card(&json!({"addresses": ["2001:db8::5/64"], "gateway4": "192.0.2.1"}));
    let checked = |look, until, duplicate| {
        with(|network| {
            let tentative = look < until;
            let duplicate = !tentative && duplicate;
            network.addresses.push(KernelAddress { tentative, duplicate, ..address(2, "2001:db8::5/64") });
        })
    };
    assert_eq!(watch(&config, &["eth0"], move |look| Ok(checked(look, 9, false))), (Ok(()), 9));
    let (said, looks) = watch(&config, &["eth0"], move |look| Ok(checked(look, 9, true)));
    assert!(said.unwrap_err().contains("another machine on the network has it"));
    assert_eq!(looks, LOOKS);
    // Nobody has said that it is taken.
    assert_eq!(watch(&config, &["eth0"], move |look| Ok(checked(look, u32::MAX, false))), (Ok(()), LOOKS));
    // What else is missing is not hidden by it.
    let config = card(&json!({"addresses": ["192.0.2.5/24", "2001:db8::5/64"], "gateway4": "192.0.2.3"}));
    let (said, _) = watch(&config, &["eth0"], move |look| Ok(checked(look, u32::MAX, false)));
    assert!(said.unwrap_err().contains("the route to 0.0.0.0/0 via 192.0.2.3"));
}

#[test]
fn a_kernel_that_cannot_be_asked_is_asked_again_but_not_for_ever() {
    let config = card(&json!({"addresses": ["192.0.2.5/24"]}));
    let blind_until = |first: u32| {
        watch(&config, &["eth0"], move |look| if look < first { Err("busy".into()) } else { Ok(one_card()) })
    };
    assert_eq!(blind_until(3), (Ok(()), 3));
    let (said, looks) = blind_until(4);
    assert_eq!((said.unwrap_err().as_str(), looks), ("cannot read the kernel's network: busy", 3));
}
