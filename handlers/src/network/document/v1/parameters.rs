//! Parameters of bonds and bridges: names and spellings of ifupdown, those of netplan beside them.

use serde_json::{Map, Value};

use super::super::address::MacAddress;
use super::super::object::unknown_key;
use super::super::place::{Place, Reading};
use super::draft::Draft;
use super::scalar::{boolean, number, words};
use crate::Refusal;

/// How a value is spelt in version 1.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A number, or digits.
    Number,
    /// A word, or the number that the kernel has for it: its place in the list.
    Word(&'static [&'static str]),
    /// A boolean, or a number for it.
    Boolean,
    /// The name of a device.
    Name,
    /// Addresses in one text, or a list of them.
    Addresses,
    /// `eth0 50`, in a list or one text.
    Ports,
    /// The hardware address of the device itself.
    Card,
    /// The list of members again.
    Members,
    /// The kernel's own value, which is the only one we can have: said again, it is right.
    Only(&'static str),
    /// Something for ifupdown's scripts that no other renderer needs.
    Script,
    /// Nothing that version 2 has.
    Unserved,
}

/// A parameter: its name without `bond-` or `bridge_`, with hyphens; its path in version 2; its spelling.
type Parameter = (&'static str, &'static str, Shape);

const MODES: &[&str] =
    &["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// Of bonds: kernel documentation, networking/bonding.
const BOND: &[Parameter] = &[
    ("mode", "parameters.mode", Shape::Word(MODES)),
    ("miimon", "parameters.mii-monitor-interval", Shape::Number),
    ("updelay", "parameters.up-delay", Shape::Number),
    ("downdelay", "parameters.down-delay", Shape::Number),
    ("lacp-rate", "parameters.lacp-rate", Shape::Word(&["slow", "fast"])),
    (
        "xmit-hash-policy",
        "parameters.transmit-hash-policy",
        Shape::Word(&["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"]),
    ),
    ("ad-select", "parameters.ad-select", Shape::Word(&["stable", "bandwidth", "count"])),
    ("min-links", "parameters.min-links", Shape::Number),
    ("all-slaves-active", "parameters.all-slaves-active", Shape::Boolean),
    ("arp-interval", "parameters.arp-interval", Shape::Number),
    ("arp-ip-target", "parameters.arp-ip-targets", Shape::Addresses),
    ("arp-validate", "parameters.arp-validate", Shape::Word(&["none", "active", "backup", "all"])),
    ("arp-all-targets", "parameters.arp-all-targets", Shape::Word(&["any", "all"])),
    ("fail-over-mac", "parameters.fail-over-mac-policy", Shape::Word(&["none", "active", "follow"])),
    // The kernel has one number for both families.
    ("num-grat-arp", "parameters.gratuitous-arp", Shape::Number),
    ("num-unsol-na", "parameters.gratuitous-arp", Shape::Number),
    ("packets-per-slave", "parameters.packets-per-slave", Shape::Number),
    ("primary", "parameters.primary", Shape::Name),
    ("primary-reselect", "parameters.primary-reselect-policy", Shape::Word(&["always", "better", "failure"])),
    ("resend-igmp", "parameters.resend-igmp", Shape::Number),
    ("lp-interval", "parameters.learn-packet-interval", Shape::Number),
    ("learn-packet-interval", "parameters.learn-packet-interval", Shape::Number),
    ("slaves", "interfaces", Shape::Members),
    ("use-carrier", "", Shape::Only("1")),
    ("tlb-dynamic-lb", "", Shape::Only("1")),
    ("peer-notif-delay", "", Shape::Only("0")),
    ("queue-id", "", Shape::Only("0")),
    ("ad-actor-sys-prio", "", Shape::Only("65535")),
    ("ad-user-port-key", "", Shape::Only("0")),
    ("ad-actor-system", "", Shape::Unserved),
    ("ad-actor-key", "", Shape::Unserved),
    ("ad-aggregator", "", Shape::Unserved),
    ("ad-num-ports", "", Shape::Unserved),
    ("ad-partner-key", "", Shape::Unserved),
    ("ad-partner-mac", "", Shape::Unserved),
    ("active-slave", "", Shape::Unserved),
    ("mii-status", "", Shape::Unserved),
];

/// Of bridges: bridge-utils-interfaces(5).
const BRIDGE: &[Parameter] = &[
    ("ageing", "parameters.ageing-time", Shape::Number),
    ("bridgeprio", "parameters.priority", Shape::Number),
    ("fd", "parameters.forward-delay", Shape::Number),
    ("hello", "parameters.hello-time", Shape::Number),
    ("maxage", "parameters.max-age", Shape::Number),
    ("pathcost", "parameters.path-cost", Shape::Ports),
    ("portprio", "parameters.port-priority", Shape::Ports),
    ("stp", "parameters.stp", Shape::Boolean),
    ("hw", "macaddress", Shape::Card),
    ("ports", "interfaces", Shape::Members),
    ("gcint", "", Shape::Script),
    ("maxwait", "", Shape::Script),
    ("waitport", "", Shape::Script),
];

/// Reads the `params` of a bond.
pub(super) fn read_bond(value: &Value, place: &Place, draft: &mut Draft) -> Result<(), Refusal> {
    read("bond", BOND, value, place, draft)
}

/// Reads the `params` of a bridge.
pub(super) fn read_bridge(value: &Value, place: &Place, draft: &mut Draft) -> Result<(), Refusal> {
    read("bridge", BRIDGE, value, place, draft)
}

fn read(
    kind: &'static str,
    table: &'static [Parameter],
    value: &Value,
    place: &Place,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    let map = value.as_object().ok_or_else(|| place.refuse(value, "a map of parameters"))?;
    for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let spelt = key.replace('_', "-");
        let bare = spelt.strip_prefix(kind).map_or(spelt.as_str(), |rest| rest.trim_start_matches('-'));
        let at = place.key(key);
        match table.iter().find(|(name, ..)| *name == bare) {
            Some(parameter) => take(*parameter, value, &at, draft)?,
            None if place.reading() == Reading::Whole => {}
            None => {
                let known: Vec<&'static str> = table.iter().map(|(name, ..)| *name).collect();
                // The nearest is looked for without the prefix, the path is told with it.
                let unknown = unknown_key(place, bare, &known);
                return Err(unknown.given(key).moved_to(at.path()));
            }
        }
    }
    Ok(())
}

fn take((name, path, shape): Parameter, value: &Value, at: &Place, draft: &mut Draft) -> Result<(), Refusal> {
    let taken: Value = match shape {
        Shape::Number => number(0..=u32::MAX)(value, at)?.into(),
        Shape::Boolean => truth(name, value, at)?.into(),
        Shape::Word(list) => word(list, value),
        Shape::Name => super::super::value::text(value, at)?.into(),
        Shape::Addresses => {
            let addresses = words(value, at, super::super::address::ipv4)?;
            addresses.iter().map(ToString::to_string).collect()
        }
        Shape::Ports => ports(value, at)?.into(),
        Shape::Card => MacAddress::parse(value, at)?.to_string().into(),
        Shape::Members => return take_members(value, at, draft),
        Shape::Only(only) => return check_only(only, value, at),
        Shape::Script => {
            let warning = "means something to ifupdown's scripts alone; it was left out";
            draft.warnings.push(format!("`{}`: {warning}", at.path()));
            return Ok(());
        }
        Shape::Unserved if at.reading() == Reading::Whole => return Ok(()),
        Shape::Unserved => {
            let refusal = at.refuse_text(name, "no such parameter: version 2 has no word for it");
            return Err(refusal.hint("leave it out"));
        }
    };
    if draft.has(path) && !draft.is_at(path, &taken) {
        return Err(at.refuse(value, "the same as the other spelling of this parameter beside it"));
    }
    draft.set_same(path, taken, at);
    Ok(())
}

/// The kernel's word for a number; any other value stays, to be judged where version 2 is.
fn word(list: &[&'static str], value: &Value) -> Value {
    // cloud-init's schema has a boolean for `arp_validate`.
    let index = match value {
        Value::Bool(truth) => Some(if *truth { list.len() - 1 } else { 0 }),
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    index.and_then(|index| list.get(index)).map_or_else(|| value.clone(), |word| (*word).into())
}

/// A boolean; of `all_slaves_active` also by the kernel's words.
fn truth(name: &str, value: &Value, at: &Place) -> Result<bool, Refusal> {
    match (name, value.as_str()) {
        ("all-slaves-active", Some("dropped")) => Ok(false),
        ("all-slaves-active", Some("delivered")) => Ok(true),
        _ => boolean(value, at),
    }
}

fn ports(value: &Value, at: &Place) -> Result<Map<String, Value>, Refusal> {
    let expected = "a device and a number for each port, as in `eth0 50`";
    let one;
    let items: &[Value] = match value {
        Value::Array(items) => items,
        text => {
            one = [text.clone()];
            &one
        }
    };
    let mut ports = Map::new();
    for (index, item) in items.iter().enumerate() {
        let at = if value.is_array() { at.index(index) } else { at.clone() };
        let words: Vec<&str> = item.as_str().unwrap_or_default().split_whitespace().collect();
        let [name, digits] = words.as_slice() else { return Err(at.refuse(item, expected)) };
        let number: u32 = digits.parse().map_err(|_| at.refuse(item, expected))?;
        if ports.insert((*name).to_owned(), number.into()).is_some() {
            return Err(at.refuse(item, "each device once"));
        }
    }
    Ok(ports)
}

/// The members are said beside the parameters; here they can only be said again.
fn take_members(value: &Value, at: &Place, draft: &mut Draft) -> Result<(), Refusal> {
    let names = words(value, at, |name, at| Ok(super::super::value::text(name, at)?.to_owned()))?;
    let names: Vec<String> = names.into_iter().filter(|name| name != "none").collect();
    if names.is_empty() || draft.is_at("interfaces", &names.clone().into()) {
        return Ok(());
    }
    if draft.has("interfaces") {
        let key = if draft.section == super::super::device::Section::Bonds { "bond" } else { "bridge" };
        return Err(at.refuse(value, format!("the same devices as in `{key}_interfaces`")));
    }
    draft.set_same("interfaces", names, at);
    Ok(())
}

fn check_only(only: &str, value: &Value, at: &Place) -> Result<(), Refusal> {
    let given = match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        other => other.to_string(),
    };
    if given == only || at.reading() == Reading::Whole {
        return Ok(());
    }
    let refusal = at.refuse(value, format!("{only}, the kernel's own value: version 2 has no word for it"));
    Err(refusal.hint("leave it out"))
}
