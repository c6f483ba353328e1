//! What a profile cannot say, or NetworkManager would not read: told by name, never left out in silence.

use std::net::IpAddr;

use super::ip::{Family, Method};
use super::losses::Losses;
use super::stacked_limits;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::network::document::settings::Settings;

/// Types of routes that NetworkManager makes.
const ROUTE_TYPES: [&str; 6] = ["unicast", "local", "blackhole", "unreachable", "prohibit", "throw"];

/// Types of routes that lead nowhere, and so have no next hop.
const DEAD_ENDS: [&str; 4] = ["blackhole", "unreachable", "prohibit", "throw"];

impl Losses {
    /// Looks for what is lost of a device.
    pub(super) fn of(id: &DeviceId, device: &Device, config: &NetworkConfig) -> Self {
        let mut losses = Self::none(id, device);
        let settings = &device.settings;
        losses.judge_link(device);
        if config.master(id).is_some() {
            losses.judge_port(settings);
        } else {
            losses.judge_addresses(settings);
            for family in [Family::ipv4(settings), Family::ipv6(settings)] {
                losses.judge_routes(family);
                losses.judge_rules(family);
                losses.judge_dhcp(family, settings);
            }
            losses.judge_names(settings, config);
        }
        stacked_limits::judge(device, config, &mut losses);
        losses
    }

    fn judge_link(&mut self, device: &Device) {
        let settings = &device.settings;
        if settings.activation_mode == Some("off") {
            let expected = "`manual`, or none: NetworkManager keeps no link down";
            self.refuse("activation-mode", "off", expected, "");
        }
        if settings.emit_lldp == Some(true) {
            let expected = "`false`: NetworkManager sends no LLDP";
            self.refuse("emit-lldp", "true", expected, "leave it to lldpd");
        }
        if !settings.ra_overrides.is_empty() {
            let expected = "none: NetworkManager has one answer for what routers and DHCPv6 say";
            self.refuse("ra-overrides", "", expected, "`dhcp6-overrides` may do");
        }
        let is_card = device.as_ethernet().is_some();
        if settings.ignore_carrier == Some(is_card) {
            let expected =
                "no `ignore-carrier`: NetworkManager waits for the carrier of cards, and of nothing else";
            let hint = "`ignore-carrier` in a `[device]` section of NetworkManager.conf decides";
            self.refuse("ignore-carrier", &is_card.to_string(), expected, hint);
        }
        if settings.optional {
            self.warn(
                "optional",
                "NetworkManager-wait-online.service waits for every device that it brings up",
            );
        }
    }

    /// A port has no part of these.
    fn judge_port(&mut self, settings: &Settings) {
        let nameservers = &settings.nameservers;
        let given = [
            ("dhcp4", settings.dhcp4),
            ("dhcp6", settings.dhcp6),
            ("addresses", !settings.addresses.is_empty()),
            ("gateway4", settings.gateway4.is_some()),
            ("gateway6", settings.gateway6.is_some()),
            ("nameservers", !nameservers.addresses.is_empty() || !nameservers.search.is_empty()),
            ("routes", !settings.routes.is_empty()),
            ("routing-policy", !settings.rules.is_empty()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let expected = "none: NetworkManager gives a member of a bond or bridge no addresses of its own";
            self.refuse(key, "", expected, "give it to the bond or bridge");
        }
    }

    fn judge_addresses(&mut self, settings: &Settings) {
        for (index, address) in settings.addresses.iter().enumerate() {
            let key = format!("addresses[{index}].{}", address.address);
            if address.lifetime == Some("0") {
                let expected = "`forever`: NetworkManager makes no address that is deprecated from the start";
                self.refuse(&format!("{key}.lifetime"), "0", expected, "");
            }
            if let Some(label) = &address.label {
                let expected = "no label: a profile has none for addresses";
                self.refuse(&format!("{key}.label"), label, expected, "");
            }
        }
        let ipv6 = Family::ipv6(settings).method();
        let refuses = settings.link_local.is_some_and(|families| !families.ipv6);
        if refuses && ipv6 != Method::Disabled {
            self.warn(
                "link-local",
                "NetworkManager gives a link with IPv6 its link-local address all the same",
            );
        }
        if settings.ipv6_mtu.is_some() && ipv6 == Method::Disabled {
            self.warn("ipv6-mtu", "the link has no IPv6");
        }
        if settings.ipv6_address_token.is_some() && settings.ipv6_address_generation == Some("stable-privacy")
        {
            let expected = "`eui64` beside `ipv6-address-token`: NetworkManager takes a token with no other";
            self.refuse("ipv6-address-generation", "stable-privacy", expected, "");
        }
    }

    fn judge_routes(&mut self, family: Family<'_>) {
        let method = family.method();
        if let Some(gateway) = family.gateway().filter(|_| method == Method::Disabled) {
            let key = if gateway.is_ipv4() { "gateway4" } else { "gateway6" };
            self.refuse(key, &gateway.to_string(), WITH_ADDRESSES, "");
        }
        for (index, route) in family.routes() {
            let key = format!("routes[{index}]");
            if method == Method::Disabled {
                self.refuse(&format!("{key}.to"), &route.to.network().to_string(), WITH_ADDRESSES, "");
            }
            if let Some(size) = route.segment_size {
                let expected = "none: NetworkManager has it since 1.46 alone, and leaves it out before";
                self.refuse(
                    &format!("{key}.advertised-mss"),
                    &size.to_string(),
                    expected,
                    "`mtu` bounds it too",
                );
            }
            let Some(kind) = route.kind else { continue };
            if !ROUTE_TYPES.contains(&kind) {
                let expected = format!("a type that NetworkManager knows: one of {}", ROUTE_TYPES.join(", "));
                self.refuse(&format!("{key}.type"), kind, &expected, "");
            }
            if let Some(via) = route.via.filter(|_| DEAD_ENDS.contains(&kind)) {
                let expected = format!("no next hop for a route of type {kind}");
                self.refuse(&format!("{key}.via"), &via.to_string(), &expected, "");
            }
        }
    }

    fn judge_rules(&mut self, family: Family<'_>) {
        for (index, rule) in family.rules() {
            let key = format!("routing-policy[{index}]");
            if let Some(network) = rule.from.or(rule.to).filter(|_| family.method() == Method::Disabled) {
                self.refuse(&key, &network.to_string(), WITH_ADDRESSES, "");
            }
            if rule.priority.is_none() {
                let expected = "the rule's priority: NetworkManager has no rule without";
                self.refuse(
                    &format!("{key}.priority"),
                    "",
                    expected,
                    "32765 comes right before the main table",
                );
            }
            if let Some(to) = rule.to.filter(|to| !family.has(to.address)) {
                self.refuse(&format!("{key}.to"), &to.to_string(), "a network of the family of `from`", "");
            }
        }
    }

    fn judge_dhcp(&mut self, family: Family<'_>, settings: &Settings) {
        let Some(overrides) = family.overrides() else { return };
        let is_ipv4 = family.is_ipv4();
        let key = |key: &str| format!("dhcp{}-overrides.{key}", if is_ipv4 { 4 } else { 6 });
        match overrides.use_domains {
            Some("route") => {
                let expected = "a boolean: NetworkManager takes no domains of DHCP for routing alone";
                self.refuse(
                    &key("use-domains"),
                    "route",
                    expected,
                    "name them in `nameservers.search` as `~domain`",
                );
            }
            Some("no") if overrides.use_dns != Some(false) => {
                let expected = "`use-dns: false` with it: NetworkManager ignores both or none";
                self.refuse(&key("use-domains"), "false", expected, "");
            }
            _ => {}
        }
        match overrides.use_mtu {
            Some(false) if settings.mtu.is_none() => {
                let expected = "`mtu` with it: NetworkManager takes the MTU of DHCP where none is given";
                self.refuse(&key("use-mtu"), "false", expected, "");
            }
            Some(true) if settings.mtu.is_some() => {
                self.warn(&key("use-mtu"), "the MTU is the one that `mtu` gives");
            }
            _ => {}
        }
        if overrides.use_ntp.is_some() {
            self.warn(
                &key("use-ntp"),
                "NetworkManager leaves the time servers of DHCP to its dispatcher's scripts",
            );
        }
        let other = if is_ipv4 { Family::ipv6(settings) } else { Family::ipv4(settings) };
        let differs = |wish: bool| {
            let wishes = other.overrides().and_then(|other| other.use_hostname);
            wishes.is_some_and(|other| other != wish)
        };
        if is_ipv4 && overrides.use_hostname.is_some_and(differs) {
            let expected = "the same of DHCPv4 and DHCPv6: NetworkManager has one answer for a link";
            self.refuse(&key("use-hostname"), "", expected, "");
        }
    }

    /// A name server that another device has and takes is not lost: those of version 1 are often for every device.
    fn judge_names(&mut self, settings: &Settings, config: &NetworkConfig) {
        let families = [Family::ipv4(settings), Family::ipv6(settings)];
        let takes = |family: Family<'_>| family.method().takes_dns();
        let is_taken = |server: IpAddr| {
            let devices = config.devices().filter(|(id, _)| config.master(id).is_none());
            let mut having = devices
                .map(|(_, device)| &device.settings)
                .filter(|settings| settings.nameservers.addresses.contains(&server));
            having.any(|settings| {
                Family::ipv4(settings).takes_server(server) || Family::ipv6(settings).takes_server(server)
            })
        };
        for (index, address) in settings.nameservers.addresses.iter().enumerate() {
            if !is_taken(*address) {
                let key = format!("nameservers.addresses[{index}]");
                let hint = "give it to a device that has such addresses";
                self.refuse(&key, &address.to_string(), WITH_ADDRESSES, hint);
            }
        }
        if !settings.nameservers.search.is_empty() && !families.into_iter().any(takes) {
            let expected = "none on a device without addresses: NetworkManager takes none there";
            self.refuse("nameservers.search", "", expected, "give it to a device that has addresses");
        }
    }
}

const WITH_ADDRESSES: &str =
    "none of a family that the device has no addresses of: NetworkManager takes none there";
