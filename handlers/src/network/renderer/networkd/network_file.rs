//! A `.network` file: what networkd does with a link.

use super::unit::{Section, UnitFile, yes_no};
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::document::route::{PolicyRule, Route};
use crate::network::document::settings::{LinkLocal, Settings, StaticAddress};

/// The metric of routes that DHCP gives, unless told otherwise: netplan's, so that a config means the same
/// with either renderer.
const DHCP_ROUTE_METRIC: u32 = 100;

/// The `.network` file of a device.
pub(super) fn network_file(id: &DeviceId, device: &Device, config: &NetworkConfig) -> UnitFile {
    let settings = &device.settings;
    let mut file = UnitFile::default();
    file.add(matching(id, device));
    file.add(link(settings));
    file.add(network(id, device, config));
    for address in settings.addresses.iter().filter(|address| has_options(address)) {
        file.add(address_section(address));
    }
    for route in &settings.routes {
        file.add(route_section(route));
    }
    for rule in &settings.rules {
        file.add(rule_section(rule));
    }
    file.add(dhcp4(settings));
    file.add(dhcp6(settings));
    file.add(router_advertisements(settings));
    file.add(bridge_port(id, config));
    file
}

/// Which link. The permanent address, because a bond changes the current one, and a VLAN or bridge borrows
/// it.
fn matching(id: &DeviceId, device: &Device) -> Section {
    let mut section = Section::new("Match");
    let Some(matching) = device.matching() else {
        section.set("Name", id);
        return section;
    };
    section.set_some("PermanentMACAddress", matching.macaddress);
    if !matching.drivers.is_empty() {
        let drivers: Vec<&str> = matching.drivers.iter().map(|driver| driver.as_str()).collect();
        section.set("Driver", drivers.join(" "));
    }
    match &device.link_name {
        // The hardware address says it all, whether the card could be renamed yet or not.
        Some(_) if matching.macaddress.is_some() => {}
        Some(name) => section.set("Name", name),
        None => section.set_some("Name", matching.name.as_ref().map(|name| name.as_str())),
    }
    section
}

fn link(settings: &Settings) -> Section {
    let mut section = Section::new("Link");
    section.set_some("MACAddress", settings.macaddress);
    section.set_some("MTUBytes", settings.mtu);
    let policy = settings.activation_mode.map(|mode| if mode == "off" { "always-down" } else { "manual" });
    section.set_some("ActivationPolicy", policy);
    if settings.optional || policy.is_some() {
        section.set("RequiredForOnline", "no");
    }
    section
}

fn network(id: &DeviceId, device: &Device, config: &NetworkConfig) -> Section {
    let settings = &device.settings;
    let master = config.master(id);
    let mut section = Section::new("Network");
    let dhcp = match (settings.dhcp4, settings.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    section.set("DHCP", dhcp);
    section.set("LinkLocalAddressing", link_local(settings.link_local, master.is_some()));
    section.set_bool("IPv6AcceptRA", settings.accept_ra);
    section.set_bool("IPv6PrivacyExtensions", settings.ipv6_privacy);
    section.set_some("IPv6LinkLocalAddressGenerationMode", settings.ipv6_address_generation);
    section.set_some("IPv6MTUBytes", settings.ipv6_mtu);
    section.set_bool("EmitLLDP", settings.emit_lldp);
    if settings.critical {
        section.set("KeepConfiguration", "yes");
    }
    // A bridge has no carrier until its first member has: its addresses do not wait for that.
    let without_carrier = settings.ignore_carrier.or_else(|| device.as_ethernet().is_none().then_some(true));
    section.set_bool("ConfigureWithoutCarrier", without_carrier);
    section.set_each("Address", settings.addresses.iter().filter(|a| !has_options(a)).map(|a| a.address));
    section.set_some("Gateway", settings.gateway4);
    section.set_some("Gateway", settings.gateway6);
    section.set_each("DNS", &settings.nameservers.addresses);
    if !settings.nameservers.search.is_empty() {
        section.set("Domains", settings.nameservers.search.join(" "));
    }
    section.set_each("VLAN", config.vlans_of(id));
    match master {
        Some((bridge, Device { kind: Kind::Bridge(_), .. })) => section.set("Bridge", bridge),
        Some((name, Device { kind: Kind::Bond(bond), .. })) => {
            section.set("Bond", name);
            if bond.parameters.primary.as_ref() == Some(id) {
                section.set("PrimarySlave", yes_no(true));
            }
        }
        _ => {}
    }
    section
}

/// IPv6 only, unless told otherwise; a member of a bond or bridge has no addresses of its own.
const fn link_local(families: Option<LinkLocal>, is_member: bool) -> &'static str {
    match families {
        _ if is_member => "no",
        None | Some(LinkLocal { ipv4: false, ipv6: true }) => "ipv6",
        Some(LinkLocal { ipv4: true, ipv6: true }) => "yes",
        Some(LinkLocal { ipv4: true, ipv6: false }) => "ipv4",
        Some(LinkLocal { ipv4: false, ipv6: false }) => "no",
    }
}

const fn has_options(address: &StaticAddress) -> bool {
    address.lifetime.is_some() || address.label.is_some()
}

fn address_section(address: &StaticAddress) -> Section {
    let mut section = Section::new("Address");
    section.set("Address", address.address);
    section.set_some("PreferredLifetime", address.lifetime);
    section.set_some("Label", address.label.as_ref());
    section
}

fn route_section(route: &Route) -> Section {
    let mut section = Section::new("Route");
    section.set("Destination", route.to.network());
    section.set_some("Gateway", route.via);
    section.set_bool("GatewayOnLink", route.on_link);
    section.set_some("PreferredSource", route.from);
    section.set_some("Scope", route.scope);
    section.set_some("Type", route.kind.filter(|kind| *kind != "unicast"));
    section.set_some("Metric", route.metric);
    section.set_some("Table", route.table);
    section.set_some("MTUBytes", route.mtu);
    section.set_some("InitialCongestionWindow", route.congestion_window);
    section.set_some("InitialAdvertisedReceiveWindow", route.receive_window);
    section.set_some("TCPAdvertisedMaximumSegmentSize", route.segment_size);
    section
}

fn rule_section(rule: &PolicyRule) -> Section {
    let mut section = Section::new("RoutingPolicyRule");
    section.set_some("From", rule.from);
    section.set_some("To", rule.to);
    section.set_some("Table", rule.table);
    section.set_some("Priority", rule.priority);
    section.set_some("FirewallMark", rule.mark);
    section.set_some("TypeOfService", rule.type_of_service);
    section
}

fn dhcp4(settings: &Settings) -> Section {
    let mut section = Section::new("DHCPv4");
    if !settings.dhcp4 {
        return section;
    }
    let overrides = &settings.dhcp4_overrides;
    section.set_some("ClientIdentifier", settings.dhcp_identifier);
    section.set("RouteMetric", overrides.route_metric.unwrap_or(DHCP_ROUTE_METRIC));
    // The server knows the network's MTU; a configured one is better still.
    section.set("UseMTU", yes_no(overrides.use_mtu.unwrap_or_else(|| settings.mtu.is_none())));
    section.set_bool("UseRoutes", overrides.use_routes);
    section.set_bool("UseDNS", overrides.use_dns);
    section.set_some("UseDomains", overrides.use_domains);
    section.set_bool("UseNTP", overrides.use_ntp);
    section.set_bool("UseHostname", overrides.use_hostname);
    section.set_bool("SendHostname", overrides.send_hostname);
    section.set_some("Hostname", overrides.hostname.as_ref());
    section
}

fn dhcp6(settings: &Settings) -> Section {
    let mut section = Section::new("DHCPv6");
    let overrides = &settings.dhcp6_overrides;
    if settings.dhcp6 {
        section.set_bool("UseDNS", overrides.use_dns);
        section.set_some("UseDomains", overrides.use_domains);
        section.set_bool("UseNTP", overrides.use_ntp);
        section.set_bool("UseHostname", overrides.use_hostname);
    }
    section
}

/// DHCPv6 gives no routes: they come of router advertisements, and so does their metric.
fn router_advertisements(settings: &Settings) -> Section {
    let mut section = Section::new("IPv6AcceptRA");
    section.set_some("Token", settings.ipv6_address_token.map(|token| format!("static:{token}")));
    if settings.dhcp6 {
        section.set_some("RouteMetric", settings.dhcp6_overrides.route_metric);
    }
    let overrides = &settings.ra_overrides;
    section.set_bool("UseDNS", overrides.use_dns);
    section.set_some("UseDomains", overrides.use_domains);
    section.set_some("RouteTable", overrides.table);
    section
}

/// What a bridge says of this one of its members.
fn bridge_port(id: &DeviceId, config: &NetworkConfig) -> Section {
    let mut section = Section::new("Bridge");
    if let Some((_, Device { kind: Kind::Bridge(bridge), .. })) = config.master(id) {
        let parameters = bridge.parameters.as_ref();
        section.set_some("Cost", parameters.and_then(|parameters| parameters.path_cost.get(id)));
        section.set_some("Priority", parameters.and_then(|parameters| parameters.port_priority.get(id)));
    }
    section
}
