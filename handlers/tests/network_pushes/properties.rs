//! What holds for any pushes, whatever renderer writes their files.

use cloud_channel_handlers::Held;
use cloud_channel_handlers::system::MemorySystem;
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::machine::{Machine, carry_out, files, machines, network, plug, revert};

/// Two cards, and what is made of them: nobody else speaks of these.
#[derive(Debug, Clone, Copy)]
struct Corner {
    cards: [&'static str; 2],
    bridge: &'static str,
    vlan: &'static str,
    /// The third byte of its addresses.
    net: u8,
}

const LEFT: Corner = Corner { cards: ["eth1", "eth2"], bridge: "br1", vlan: "eth1.5", net: 11 };
const RIGHT: Corner = Corner { cards: ["eth3", "eth4"], bridge: "br2", vlan: "eth3.5", net: 12 };

/// What every renderer can write, or that it is to go. There is always an address: NetworkManager takes no name server and no
/// route without.
fn settings(net: u8) -> impl Strategy<Value = Value> {
    let address = move |host: u8| json!(format!("10.{net}.{host}.1/24"));
    let addresses = prop::collection::btree_set(0..4_u8, 1..3);
    let addresses = addresses.prop_map(move |hosts| hosts.into_iter().map(address).collect::<Value>());
    let route = move |host: u8| json!([{"to": format!("10.{net}.9{host}.0/24"), "via": format!("10.{net}.0.{host}")}]);
    let servers = |host: u8| json!({"addresses": [format!("192.0.2.{host}")], "search": ["example.org"]});
    let keys = (
        setting(prop_oneof![Just(json!(1400)), Just(json!(1450))]),
        setting(any::<bool>().prop_map(Value::from)),
        addresses.prop_map(Some),
        setting((2..5_u8).prop_map(route)),
        setting((1..4_u8).prop_map(servers)),
    );
    keys.prop_map(|(mtu, dhcp4, addresses, routes, nameservers)| {
        let keys = [mtu, dhcp4, addresses, routes, nameservers];
        let names = ["mtu", "dhcp4", "addresses", "routes", "nameservers"];
        let said = names.into_iter().zip(keys).filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(said.collect())
    })
}

/// Nothing, something, or `null`.
fn setting(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![2 => Just(None), 3 => value.prop_map(Some), 1 => Just(Some(Value::Null))]
}

/// A push that speaks of one corner alone: of cards, of what is made of them, or that these are to go.
fn pushes(corner: Corner) -> impl Strategy<Value = Value> {
    let cards = prop::collection::btree_map(0..2_usize, settings(corner.net), 1..3);
    let upper = (setting(settings(corner.net)), setting(settings(corner.net)));
    (cards, upper).prop_map(move |(cards, (bridge, vlan))| {
        let cards = cards.into_iter().map(|(nth, settings)| (corner.cards[nth].to_owned(), settings));
        let mut document = json!({"ethernets": cards.collect::<Map<_, _>>()});
        for (section, name, upper, below) in [
            ("bridges", corner.bridge, bridge, json!({"interfaces": [corner.cards[1]]})),
            ("vlans", corner.vlan, vlan, json!({"id": 5, "link": corner.cards[0]})),
        ] {
            let Some(mut upper) = upper else { continue };
            if let (Some(upper), Value::Object(below)) = (upper.as_object_mut(), below) {
                upper.extend(below);
                // What it stands on may not be configured otherwise yet.
                for card in corner.cards {
                    document["ethernets"].as_object_mut().unwrap().entry(card).or_insert(json!({}));
                }
            }
            document[section] = json!({ name: upper });
        }
        document
    })
}

/// Does a push, unless the renderer refuses it, for something that it cannot write: then all is as it was.
fn attempt(held: &Held, document: &Value, system: &MemorySystem) -> Held {
    match network().plan(held, &to_raw_value(document).unwrap(), system) {
        Ok(plan) => carry_out(&plan, system),
        Err(_) => held.clone(),
    }
}

/// A machine with all cards, in the state in which cloud-init left it.
fn system(machine: &Machine) -> MemorySystem {
    let system = machine.configured();
    for (nth, name) in LEFT.cards.into_iter().chain(RIGHT.cards).enumerate() {
        plug(&system, name, &format!("52:54:00:00:01:{nth:02x}"));
    }
    system
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A push of nothing does nothing, and so does a push that was done before.
    #[test]
    fn what_is_there_is_not_done_again(first in pushes(LEFT), second in pushes(LEFT)) {
        for machine in machines() {
            let system = system(&machine);
            let mut held = Held::nothing();
            for document in [json!({}), first.clone(), second.clone()] {
                held = attempt(&held, &document, &system);
                let before = files(&system);
                for again in [&document, &json!({}), &json!({"version": 2})] {
                    held = attempt(&held, again, &system);
                    prop_assert_eq!(&files(&system), &before, "{}: {}", machine.renderer, again);
                }
            }
        }
    }

    /// The order of pushes that are about different devices makes no difference.
    #[test]
    fn independent_pushes_commute(left in pushes(LEFT), right in pushes(RIGHT)) {
        for machine in machines() {
            let [one, other] = [[&left, &right], [&right, &left]].map(|order| {
                let system = system(&machine);
                order.into_iter().fold(Held::nothing(), |held, document| attempt(&held, document, &system));
                files(&system)
            });
            prop_assert_eq!(one, other, "{}", machine.renderer);
        }
    }

    /// Taken back, a push leaves what was there, and taken back again what it had made of it.
    #[test]
    fn back_and_forth(first in pushes(LEFT), second in pushes(LEFT)) {
        for machine in machines() {
            let system = system(&machine);
            let held = attempt(&Held::nothing(), &first, &system);
            let before = files(&system);
            let next = attempt(&held, &second, &system);
            let after = files(&system);
            if before == after {
                continue;
            }
            let held = revert(&next, &system);
            prop_assert_eq!(&files(&system), &before, "{}", machine.renderer);
            revert(&held, &system);
            prop_assert_eq!(&files(&system), &after, "{}", machine.renderer);
        }
    }
}
