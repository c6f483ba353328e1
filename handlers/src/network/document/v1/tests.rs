//! Whatever is sent as version 1 becomes a config that version 2 takes, or a refusal at a place of what was sent.

use proptest::prelude::*;
use serde_json::json;

use super::super::config::NetworkConfig;
use super::super::merge::{canonical, merge};
use super::*;

const TOP: &str = "network";

fn converted(document: &Value) -> Result<Converted, Refusal> {
    convert(document, &Place::top(TOP, Reading::Push), Some(&Known::default()))
}

/// Numbers, texts that stand for something elsewhere in a document, and nonsense.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..200).prop_map(Value::from),
        prop::sample::select(vec![
            "e0",
            "e1",
            "br0",
            "bond0",
            "lo",
            "none",
            "dhcp4",
            "static",
            "manual",
            "192.0.2.5/24",
            "192.0.2.5",
            "2001:db8::5/64",
            "255.255.255.0",
            "fe80::1",
            "192.0.2.1",
            "default",
            "on",
            "0",
            "100",
            "e0 5",
            "52:54:00:00:00:0a",
            "a\nb",
            "",
            "auto",
            "physical",
        ])
        .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ]
}

/// A map with keys that version 1 has, and values that it may not have.
fn hostile_entry() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "type",
        "name",
        "mac_address",
        "mtu",
        "subnets",
        "params",
        "bond_interfaces",
        "bridge_interfaces",
        "vlan_id",
        "vlan_link",
        "address",
        "search",
        "interface",
        "destination",
        "gateway",
        "netmask",
        "metric",
        "accept-ra",
        "routes",
        "control",
        "dns_nameservers",
        "bond-mode",
        "bridge_pathcost",
        "bond-miimon",
    ]);
    let value = scalar().prop_recursive(4, 48, 6, move |inner| {
        let keys = key.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    (prop::sample::select(TYPES.to_vec()), "e[0-2]", value).prop_map(|(kind, name, mut entry)| {
        if let Value::Object(entry) = &mut entry {
            entry.entry("type").or_insert_with(|| kind.into());
            entry.entry("name").or_insert_with(|| name.into());
        }
        entry
    })
}

/// A subnet that is right.
fn subnet() -> impl Strategy<Value = Value> {
    let dynamic = prop::sample::select(vec![
        "dhcp",
        "dhcp4",
        "dhcp6",
        "manual",
        "ipv6_slaac",
        "ipv6_dhcpv6-stateful",
        "ipv6_dhcpv6-stateless",
    ])
    .prop_map(|kind| json!({"type": kind, "metric": 20}));
    let ipv4 = (1_u8..=254, 1_u8..=32).prop_map(|(host, prefix)| {
        json!({
            "type": "static", "address": format!("192.0.2.{host}"), "prefix": prefix, "gateway": "192.0.2.1",
            "dns_nameservers": "192.0.2.53 192.0.2.54", "dns_search": ["example.com"],
            "routes": [{"network": format!("10.{host}.0.0"), "netmask": "255.255.0.0", "gateway": "192.0.2.2"}],
        })
    });
    let ipv6 = (1_u16.., 1_u8..=128).prop_map(|(host, prefix)| {
        json!({"type": "static6", "address": format!("2001:db8::{host:x}/{prefix}"), "mtu": 1400})
    });
    prop_oneof![2 => dynamic, 2 => ipv4, 1 => ipv6]
}

/// A document that is right: cards, and on top of them a bond, a bridge and a VLAN.
fn right_document() -> impl Strategy<Value = Value> {
    let subnets = || prop::collection::vec(subnet(), 0..4);
    (
        prop::collection::vec((subnets(), any::<bool>(), 68_u32..=9000), 3..6),
        subnets(),
        0_u32..=4094,
        0_u32..=6,
    )
        .prop_map(|(cards, other, vlan, mode)| {
            let card = |(index, (subnets, by_address, mtu)): (usize, (Vec<Value>, bool, u32))| {
                let mut card = json!({"type": "physical", "name": format!("e{index}"), "mtu": mtu});
                card["subnets"] = subnets.into();
                if by_address {
                    card["mac_address"] = format!("52:54:00:00:00:{index:02X}").into();
                }
                card
            };
            let mut entries: Vec<Value> = cards.into_iter().enumerate().map(card).collect();
            entries.push(json!({
                "type": "bond", "name": "bond0", "bond_interfaces": ["e0", "e9"], "subnets": other,
                "params": {"bond-mode": mode, "bond_miimon": "100"},
            }));
            entries.push(json!({"type": "bridge", "name": "br0", "bridge_interfaces": ["e1"],
                "params": {"bridge_stp": "off", "bridge_pathcost": ["e1 5"]}}));
            entries.push(json!({"type": "vlan", "name": "v0", "vlan_id": vlan, "vlan_link": "bond0"}));
            json!({"version": 1, "config": entries})
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_right_is_taken(document in right_document()) {
        let converted = converted(&document).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        NetworkConfig::check_push(&converted.document, TOP).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        let config = NetworkConfig::whole(&canonical(&converted.document), TOP)
            .map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        let entries = document["config"].as_array().unwrap();
        // Each device, and the member that nobody defined.
        prop_assert_eq!(config.devices().len(), entries.len() + 1);
        for (entry, (kind, key)) in entries.iter().flat_map(|entry| [(entry, ("static", false)), (entry, ("dhcp4", true))]) {
            let subnets = entry["subnets"].as_array().into_iter().flatten();
            let sent: BTreeSet<&str> = subnets
                .filter(|subnet| subnet["type"].as_str().unwrap().starts_with(kind))
                .map(|subnet| subnet["address"].as_str().unwrap_or_default().split('/').next().unwrap())
                .collect();
            let (_, device) = config.devices().find(|(id, _)| id.as_str() == entry["name"]).unwrap();
            if key {
                prop_assert!(device.settings.dhcp4 || sent.is_empty());
            } else {
                let has: BTreeSet<String> =
                    device.settings.addresses.iter().map(|address| address.address.address.to_string()).collect();
                prop_assert_eq!(has, sent.into_iter().map(str::to_owned).collect::<BTreeSet<_>>());
            }
        }
    }

    #[test]
    fn what_is_right_twice_changes_nothing(document in right_document()) {
        let push = |base: &Value| {
            let place = Place::top(TOP, Reading::Push);
            merge(base, &convert(&document, &place, Some(&Known::of(base))).unwrap().document)
        };
        let once = push(&json!({}));
        let twice = push(&once);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_was_sent(entries in prop::collection::vec(hostile_entry(), 0..5)) {
        let document = json!({"version": 1, "config": entries});
        let refusal = match converted(&document) {
            Err(refusal) => Some(refusal),
            Ok(converted) => {
                let whole = NetworkConfig::check_push(&converted.document, TOP)
                    .and_then(|()| NetworkConfig::whole(&canonical(&converted.document), TOP).map(drop));
                whole.err().map(|refusal| converted.trace.tell(refusal, TOP))
            }
        };
        if let Some(refusal) = refusal {
            prop_assert!(refusal.path().starts_with("network.config["), "{}", refusal);
        }
    }

    #[test]
    fn files_of_the_machine_are_taken_or_refused(entries in prop::collection::vec(hostile_entry(), 0..5)) {
        let document = json!({"version": 1, "config": entries});
        let place = Place::top(TOP, Reading::Whole);
        if let Ok(converted) = convert(&document, &place, None) {
            let document = canonical(&converted.document);
            prop_assert_eq!(document["version"].as_u64(), Some(2));
            if let Err(refusal) = NetworkConfig::whole(&document, TOP) {
                let told = converted.trace.tell(refusal, TOP);
                prop_assert!(told.path().starts_with("network.config["), "{}", told);
            }
        }
    }
}
