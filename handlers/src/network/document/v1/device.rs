//! Devices of version 1: `physical`, `bond`, `bridge`, `vlan` and `loopback`.

use serde_json::{Map, Value};

use super::super::address::MacAddress;
use super::super::device::Section;
use super::super::name::{DeviceId, LinkName};
use super::super::object::Object;
use super::super::place::{Place, Reading};
use super::super::value::{LONGEST_LIST, list, text};
use super::draft::Draft;
use super::parameters;
use super::scalar::{boolean, number};
use crate::Refusal;

/// Parses the device at a place; `kind` is its `type`.
pub(super) fn parse(kind: &str, value: &Value, place: &Place) -> Result<Draft, Refusal> {
    let mut object = Object::open(value, place)?;
    for key in ["type", "id"] {
        object.read(key, |_, _| Ok(()))?;
    }
    let Some((name, name_at)) =
        object.read("name", |value, at| Ok((LinkName::parse(value, at)?, at.clone())))?
    else {
        return Err(place.key("name").lacks("the name that the device's link has, or is to have"));
    };
    let section = match kind {
        "bond" => Section::Bonds,
        "bridge" => Section::Bridges,
        "vlan" => Section::Vlans,
        _ => Section::Ethernets,
    };
    let mut draft = Draft::new(section, name.as_str(), place);
    draft.notes.push(("set-name".to_owned(), name_at.clone(), false));
    let address = object.read("mac_address", |value, at| {
        let parse = if section == Section::Ethernets { MacAddress::parse_match } else { MacAddress::parse };
        Ok((parse(value, at)?, at.clone()))
    })?;
    match kind {
        "physical" => read_physical(&mut object, address, name.as_str(), &name_at, &mut draft)?,
        "loopback" => {
            if name.as_str() != "lo" {
                return Err(name_at.refuse_text(name.as_str(), "lo, the one loopback device"));
            }
        }
        _ => {
            if let Some((address, at)) = address {
                draft.set("macaddress", address.to_string(), &at);
            }
            read_virtual(kind, &mut object, &mut draft)?;
        }
    }
    draft.read_common(&mut object)?;
    object.finish()?;
    Ok(draft)
}

fn read_physical(
    object: &mut Object<'_>,
    address: Option<(MacAddress, Place)>,
    name: &str,
    name_at: &Place,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    if let Some((wake, at)) = object.read("wakeonlan", |value, at| Ok((boolean(value, at)?, at.clone())))? {
        draft.set("wakeonlan", wake, &at);
    }
    // cloud-init's own conversions leave the driver here, to tell a card from its virtual function.
    let driver = object.read("params", |value, at| {
        let mut params = Object::open(value, at)?;
        let driver = params.read("driver", |value, at| Ok((text(value, at)?.to_owned(), at.clone())))?;
        params.finish()?;
        Ok(driver)
    })?;
    let Some((address, at)) = address else { return Ok(()) };
    draft.card = Some(address);
    draft.set("match.macaddress", address.to_string(), &at);
    draft.set("set-name", name, name_at);
    if let Some((driver, at)) = driver.flatten() {
        draft.set("match.driver", driver, &at);
    }
    Ok(())
}

fn read_virtual(kind: &str, object: &mut Object<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    match kind {
        "vlan" => {
            let id = object.read("vlan_id", |value, at| Ok((number(0..=4094)(value, at)?, at.clone())))?;
            let link = object.read("vlan_link", name_at)?;
            for (key, given) in [("vlan_id", id.is_some()), ("vlan_link", link.is_some())] {
                if !given {
                    let expected =
                        "what the VLAN is made of: `vlan_id`, a number to 4094, and `vlan_link`, a name";
                    return Err(object.place().key(key).lacks(expected));
                }
            }
            if let Some((id, at)) = id {
                draft.set("id", id, &at);
            }
            if let Some((link, at)) = link {
                draft.set("link", link, &at);
            }
        }
        "bond" => {
            read_members("bond_interfaces", object, draft)?;
            object.read("params", |value, at| parameters::read_bond(value, at, draft))?;
        }
        _ => {
            read_members("bridge_interfaces", object, draft)?;
            object.read("params", |value, at| parameters::read_bridge(value, at, draft))?;
        }
    }
    Ok(())
}

fn read_members(key: &'static str, object: &mut Object<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    let members = object
        .read(key, |value, at| Ok((list(value, at, |name, at| Ok(name_at(name, at)?.0))?, at.clone())))?;
    match members {
        Some((members, at)) => draft.set_same("interfaces", members, &at),
        // A file of the machine has to be whole.
        None if object.place().reading() == Reading::Whole => {
            draft.set("interfaces", Vec::<String>::new(), object.place());
        }
        None => {}
    }
    Ok(())
}

fn name_at(value: &Value, place: &Place) -> Result<(String, Place), Refusal> {
    Ok((DeviceId::parse(value, place)?.as_str().to_owned(), place.clone()))
}

/// Members that nobody defines are cards of that name, of which nothing else is said.
pub(super) fn members_of(device: &Map<String, Value>) -> Vec<String> {
    let members = device.get("interfaces").and_then(Value::as_array).into_iter().flatten();
    members.take(LONGEST_LIST).filter_map(Value::as_str).map(str::to_owned).collect()
}
