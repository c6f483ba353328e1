//! What a device cannot have both of, and what of a push is right but not wise.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::config::NetworkConfig;
use super::device::{Device, Kind};
use super::name::DeviceId;
use super::place::{Place, Reading};
use super::route::Route;
use crate::Refusal;

/// The kernel's main routing table.
const MAIN_TABLE: u32 = 254;

/// Finds what devices of a push say twice and differently, once merged. Devices that the push leaves alone are not
/// judged: they are as they were.
pub(crate) fn check(config: &NetworkConfig, pushed: &BTreeSet<DeviceId>, top: &str) -> Result<(), Refusal> {
    for (id, device) in pushed.iter().filter_map(|id| Some((id, config.device(id)?))) {
        let place = Place::top(top, Reading::Whole).key(device.section().key()).key(id.as_str());
        check_token(device, &place)?;
        for (place, port) in strangers(device, &place) {
            if config.device(port).is_none() {
                let refusal = place.refuse_text(port.as_str(), "one of the device's `interfaces`");
                return Err(refusal.hint("no device of the config has that id"));
            }
        }
    }
    Ok(())
}

/// The devices that parameters of a bond or bridge name as its members, and that are none.
fn strangers<'a>(device: &'a Device, place: &Place) -> Vec<(Place, &'a DeviceId)> {
    let place = place.key("parameters");
    let (members, named): (&[DeviceId], Vec<(Place, &DeviceId)>) = match &device.kind {
        Kind::Bond(bond) => {
            let primary = bond.parameters.primary.iter();
            (&bond.interfaces, primary.map(|id| (place.key("primary"), id)).collect())
        }
        Kind::Bridge(bridge) => {
            let parameters = bridge.parameters.iter();
            let maps = parameters
                .flat_map(|own| [("path-cost", &own.path_cost), ("port-priority", &own.port_priority)]);
            let named = maps.flat_map(|(key, map)| map.keys().map(move |id| (key, id)));
            (&bridge.interfaces, named.map(|(key, id)| (place.key(key).key(id.as_str()), id)).collect())
        }
        Kind::Ethernet(_) | Kind::Vlan(_) => return Vec::new(),
    };
    named.into_iter().filter(|(_, id)| !members.contains(id)).collect()
}

fn check_token(device: &Device, place: &Place) -> Result<(), Refusal> {
    let settings = &device.settings;
    let (Some(token), Some(_)) = (settings.ipv6_address_token, settings.ipv6_address_generation) else {
        return Ok(());
    };
    let refusal = place.key("ipv6-address-token").refuse_text(&token.to_string(), "no token");
    Err(refusal.hint(
        "`ipv6-address-generation` says already how addresses are made; remove one of the two (`null`)",
    ))
}

fn check_gateways(device: &Device, place: &Place) -> Result<(), Refusal> {
    let settings = &device.settings;
    let gateways = [
        ("gateway4", settings.gateway4.map(IpAddr::from)),
        ("gateway6", settings.gateway6.map(IpAddr::from)),
    ];
    for (key, gateway) in gateways {
        let Some(gateway) = gateway else { continue };
        let same = |route: &&Route| {
            is_default(route) && route.via.is_some_and(|via| via.is_ipv4() == gateway.is_ipv4())
        };
        let plain = settings.routes.iter().filter(same).find(|route| is_main(route) && metric(route) == 0);
        if let Some(route) = plain.filter(|route| route.via != Some(gateway)) {
            let via = route.via.map(|via| via.to_string()).unwrap_or_default();
            let refusal =
                place.key(key).refuse_text(&gateway.to_string(), format!("{via}, as `routes` have it"));
            return Err(refusal.hint(format!("remove `{key}` (`null`): the default route is in `routes`")));
        }
    }
    Ok(())
}

/// The kernel has one IPv4 route for a destination, table and metric. (Of IPv6 it has as many as there are next hops.)
fn check_routes(device: &Device, place: &Place) -> Result<(), Refusal> {
    for (index, route) in device.settings.routes.iter().enumerate() {
        let network = route.to.network();
        if network.address.is_ipv6() {
            continue;
        }
        let earlier = &device.settings.routes[..index];
        let other = earlier.iter().find(|other| {
            other.to == route.to
                && table(other) == table(route)
                && metric(other) == metric(route)
                && other.via != route.via
        });
        if let Some(other) = other {
            let told = |via: Option<IpAddr>| via.map_or_else(|| "the link".to_owned(), |via| via.to_string());
            let expected = format!("{}, as the route before to the same network has it", told(other.via));
            let refusal = place.key("routes").index(index).key("via").refuse_text(&told(route.via), expected);
            return Err(refusal.hint("give one of them another `metric` or `table`"));
        }
    }
    Ok(())
}

/// What the sender should know: cards that cannot be, routes that the kernel will not have both of, default routes that
/// compete. netplan and cloud-init write them all the same, and what is there may depend on one of them.
pub(crate) fn warnings(config: &NetworkConfig, pushed: &BTreeSet<DeviceId>, top: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let top = Place::top(top, Reading::Whole);
    for (id, device) in pushed.iter().filter_map(|id| Some((id, config.device(id)?))) {
        if let Some(address) = device.identity().filter(|address| address.is_of_group()) {
            warnings.push(format!("`{id}` is found by {address}, a group's address, which no card has"));
        }
        let place = top.key(device.section().key()).key(id.as_str());
        warnings.extend(strangers(device, &place).into_iter().map(|(place, port)| {
            format!("`{}` is nothing to `{id}`: `{port}` is none of its `interfaces`", place.path())
        }));
        let told = [check_gateways(device, &place), check_routes(device, &place)];
        warnings.extend(told.into_iter().filter_map(Result::err).map(|refusal| refusal.to_string()));
    }
    warnings.extend(competing(config, pushed));
    warnings
}

/// Default routes of one metric on two devices: which of them is used is the kernel's choice.
fn competing(config: &NetworkConfig, pushed: &BTreeSet<DeviceId>) -> Vec<String> {
    let mut defaults: BTreeMap<(bool, u32, u32), Vec<&DeviceId>> = BTreeMap::new();
    for (id, device) in config.devices() {
        let settings = &device.settings;
        let routes = settings.routes.iter().filter(|route| is_default(route));
        let mut keys: BTreeSet<(bool, u32, u32)> =
            routes.map(|route| (route.to.network().address.is_ipv4(), table(route), metric(route))).collect();
        keys.extend(settings.gateway4.map(|_| (true, MAIN_TABLE, 0)));
        keys.extend(settings.gateway6.map(|_| (false, MAIN_TABLE, 0)));
        for key in keys {
            defaults.entry(key).or_default().push(id);
        }
    }
    let rivals =
        defaults.into_iter().filter(|(_, ids)| ids.len() > 1 && ids.iter().any(|id| pushed.contains(*id)));
    rivals
        .map(|((is_ipv4, ..), ids)| {
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            let ids: Vec<&str> = ids.into_iter().map(DeviceId::as_str).collect();
            format!("default routes of {family} with one metric on several devices: {}", ids.join(", "))
        })
        .collect()
}

const fn is_default(route: &Route) -> bool {
    route.to.network().prefix == 0
}

fn is_main(route: &Route) -> bool {
    table(route) == MAIN_TABLE
}

fn table(route: &Route) -> u32 {
    route.table.unwrap_or(MAIN_TABLE)
}

fn metric(route: &Route) -> u32 {
    route.metric.unwrap_or(0)
}
