//! The `[ipv4]` and `[ipv6]` sections of a profile: nm-settings-keyfile(5), nm-settings(5).

use std::net::IpAddr;

use super::keyfile::Section;
use crate::network::document::route::{PolicyRule, Route};
use crate::network::document::settings::{DhcpOverrides, Settings};

/// Where addresses of a family come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// IPv4: DHCP. IPv6: router advertisements, and DHCPv6 as they say.
    Auto,
    /// DHCPv6 without router advertisements.
    Dhcp,
    /// Static addresses alone.
    Manual,
    /// An address of the link's own.
    LinkLocal,
    /// None at all.
    Disabled,
}

impl Method {
    const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dhcp => "dhcp",
            Self::Manual => "manual",
            Self::LinkLocal => "link-local",
            Self::Disabled => "disabled",
        }
    }

    /// True if NetworkManager takes DNS servers for a family of this method.
    pub(super) const fn takes_dns(self) -> bool {
        matches!(self, Self::Auto | Self::Dhcp | Self::Manual)
    }
}

/// One of the two families of addresses, with what a device is told of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family<'a> {
    settings: &'a Settings,
    is_ipv4: bool,
}

impl<'a> Family<'a> {
    /// IPv4 of a device.
    pub(super) const fn ipv4(settings: &'a Settings) -> Self {
        Self { settings, is_ipv4: true }
    }

    /// IPv6 of a device.
    pub(super) const fn ipv6(settings: &'a Settings) -> Self {
        Self { settings, is_ipv4: false }
    }

    /// Where its addresses come from.
    ///
    /// A link that is told nothing of IPv6 listens to routers, as it does with the kernel, networkd and cloud-init's own
    /// profiles; not so one that is told nothing of IPv4 either: it would count as failed where no router answers.
    pub(super) fn method(self) -> Method {
        let Settings { dhcp4, dhcp6, accept_ra, link_local, .. } = *self.settings;
        let has_addresses = self.has_addresses();
        if self.is_ipv4 {
            return match () {
                () if dhcp4 => Method::Auto,
                () if has_addresses => Method::Manual,
                () if link_local.is_some_and(|families| families.ipv4) => Method::LinkLocal,
                () => Method::Disabled,
            };
        }
        let ipv4 = Self::ipv4(self.settings).method();
        match () {
            () if dhcp6 && accept_ra == Some(false) => Method::Dhcp,
            () if dhcp6 || accept_ra == Some(true) => Method::Auto,
            () if has_addresses => Method::Manual,
            () if link_local.is_some_and(|families| !families.ipv6) => Method::Disabled,
            () if accept_ra == Some(false) || !ipv4.takes_dns() => Method::LinkLocal,
            () => Method::Auto,
        }
    }

    /// True if the config asks for addresses of this family.
    pub(super) fn is_asked_for(self) -> bool {
        let auto =
            if self.is_ipv4 { self.settings.dhcp4 } else { self.settings.dhcp6 || self.accepts_routers() };
        auto || self.has_addresses()
    }

    fn accepts_routers(self) -> bool {
        self.settings.accept_ra == Some(true)
    }

    fn has_addresses(self) -> bool {
        self.settings.addresses.iter().any(|address| self.has(address.address.address))
    }

    /// True if the address is of this family.
    pub(super) const fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4
    }

    /// True if it is IPv4.
    pub(super) const fn is_ipv4(self) -> bool {
        self.is_ipv4
    }

    /// The next hop of the default route.
    pub(super) fn gateway(self) -> Option<IpAddr> {
        if self.is_ipv4 {
            self.settings.gateway4.map(IpAddr::V4)
        } else {
            self.settings.gateway6.map(IpAddr::V6)
        }
    }

    /// What is taken from DHCP, if there is any.
    pub(super) const fn overrides(self) -> Option<&'a DhcpOverrides> {
        let settings = self.settings;
        match self.is_ipv4 {
            true if settings.dhcp4 => Some(&settings.dhcp4_overrides),
            false if settings.dhcp6 => Some(&settings.dhcp6_overrides),
            _ => None,
        }
    }

    /// Its routes, with their places in the list.
    pub(super) fn routes(self) -> impl Iterator<Item = (usize, &'a Route)> {
        let routes = self.settings.routes.iter().enumerate();
        routes.filter(move |(_, route)| self.has(route.to.network().address))
    }

    /// Its routing rules, with their places in the list.
    pub(super) fn rules(self) -> impl Iterator<Item = (usize, &'a PolicyRule)> {
        let rules = self.settings.rules.iter().enumerate();
        rules.filter(move |(_, rule)| rule.from.or(rule.to).is_some_and(|network| self.has(network.address)))
    }

    /// The section of the profile.
    pub(super) fn section(self) -> Section {
        let mut section = Section::new(if self.is_ipv4 { "ipv4" } else { "ipv6" });
        let method = self.method();
        section.set("method", method.word());
        if method == Method::Disabled {
            return section;
        }
        self.add_failure(&mut section);
        self.add_kind(&mut section);
        self.add_addresses(&mut section);
        self.add_dhcp(&mut section);
        self.add_names(&mut section);
        for (number, (_, rule)) in (1..).zip(self.rules()) {
            section.set_parts(format!("routing-rule{number}"), ' ', rule_words(rule));
        }
        section
    }

    /// The link is up without this family, unless it is the only one that is asked for. cloud-init asks for both or
    /// nothing: then a network without DHCPv6 takes IPv4 away as well.
    fn add_failure(self, section: &mut Section) {
        let other = Self { is_ipv4: !self.is_ipv4, ..self };
        if self.is_asked_for() && !other.is_asked_for() && !self.settings.optional {
            section.set("may-fail", false);
        }
    }

    /// What one family has alone.
    fn add_kind(self, section: &mut Section) {
        let settings = self.settings;
        if self.is_ipv4 {
            let own = settings.link_local.is_some_and(|families| families.ipv4);
            // NM_SETTING_IP4_LL_ENABLED: beside what DHCP or the config gives.
            section.set_some("link-local", (own && self.method() != Method::LinkLocal).then_some(3));
            return;
        }
        // Said of each profile, as cloud-init says it for all of them: without, NetworkManager's own choice changed
        // between versions, and addresses with it.
        section.set("addr-gen-mode", settings.ipv6_address_generation.unwrap_or("eui64"));
        section.set_some("token", settings.ipv6_address_token);
        section.set_some("ip6-privacy", settings.ipv6_privacy.map(|on| if on { 2 } else { 0 }));
        section.set_some("mtu", settings.ipv6_mtu);
    }

    fn add_addresses(self, section: &mut Section) {
        let addresses = self.settings.addresses.iter().map(|address| address.address);
        for (number, address) in (1..).zip(addresses.filter(|address| self.has(address.address))) {
            section.set_parts(format!("address{number}"), ',', vec![address.to_string()]);
        }
        let gateway = self.gateway();
        section.set_some("gateway", gateway.filter(|_| self.has_addresses()));
        // NetworkManager takes a gateway with static addresses only; a route says the same.
        let everything = if self.is_ipv4 { "0.0.0.0/0" } else { "::/0" };
        let route = gateway.filter(|_| !self.has_addresses());
        let first = route.map(|gateway| (vec![everything.to_owned(), gateway.to_string()], Vec::new()));
        let routes = self.routes().map(|(_, route)| (self.route_parts(route), self.route_options(route)));
        for (number, (parts, options)) in (1..).zip(first.into_iter().chain(routes)) {
            section.set_parts(format!("route{number}"), ',', parts);
            section.set_parts(format!("route{number}_options"), ',', options);
        }
    }

    /// Destination, next hop, metric.
    fn route_parts(self, route: &Route) -> Vec<String> {
        let mut parts = vec![route.to.network().to_string()];
        let nowhere = if self.is_ipv4 { "0.0.0.0" } else { "::" };
        match (route.via, route.metric) {
            (None, None) => {}
            (via, metric) => {
                parts.push(via.map_or_else(|| nowhere.to_owned(), |via| via.to_string()));
                parts.extend(metric.map(|metric| metric.to_string()));
            }
        }
        parts
    }

    fn route_options(self, route: &Route) -> Vec<String> {
        let option = |key: &str, value: Option<String>| value.map(|value| format!("{key}={value}"));
        let number = |key: &str, value: Option<u32>| option(key, value.map(|value| value.to_string()));
        // IPv6 routes have no scope. These are the kernel's, from rtnetlink(7).
        let scope = route.scope.filter(|_| self.is_ipv4).map(|scope| match scope {
            "host" => 254,
            "link" => 253,
            _ => 0,
        });
        let options = [
            number("table", route.table),
            option("onlink", route.on_link.filter(|on_link| *on_link).map(|_| "true".to_owned())),
            option("src", route.from.map(|from| from.to_string())),
            number("scope", scope),
            option("type", route.kind.filter(|kind| *kind != "unicast").map(str::to_owned)),
            number("mtu", route.mtu),
            number("initcwnd", route.congestion_window),
            number("initrwnd", route.receive_window),
        ];
        options.into_iter().flatten().collect()
    }

    fn add_dhcp(self, section: &mut Section) {
        let Some(overrides) = self.overrides() else { return };
        if self.is_ipv4 {
            section.set_some("dhcp-client-id", self.settings.dhcp_identifier);
        }
        section.set_some("dhcp-send-hostname", overrides.send_hostname);
        section.set_some("dhcp-hostname", overrides.hostname.as_ref());
        section.set_some("route-metric", overrides.route_metric);
        section.set_some("ignore-auto-dns", (overrides.use_dns == Some(false)).then_some(true));
        if overrides.use_routes == Some(false) {
            section.set("ignore-auto-routes", true);
            let has_default = self.routes().any(|(_, route)| route.to.network().prefix == 0);
            // For the default route of DHCP; it would take away one's own as well.
            section.set_some("never-default", (self.gateway().is_none() && !has_default).then_some(true));
        }
    }

    fn add_names(self, section: &mut Section) {
        let nameservers = &self.settings.nameservers;
        section.set_list("dns", nameservers.addresses.iter().filter(|address| self.takes_server(**address)));
        if self.is_first_with_dns() {
            section.set_list("dns-search", &nameservers.search);
        }
    }

    /// True if a name server is of this family, and NetworkManager takes some for it.
    pub(super) fn takes_server(self, address: IpAddr) -> bool {
        self.has(address) && self.method().takes_dns()
    }

    /// Search domains are of the link, and stand with the first family that takes them.
    fn is_first_with_dns(self) -> bool {
        let takes = self.method().takes_dns();
        takes && (self.is_ipv4 || !Self::ipv4(self.settings).method().takes_dns())
    }
}

/// A rule as `ip rule` has it.
fn rule_words(rule: &PolicyRule) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([key.to_owned(), value]);
        }
    };
    add("priority", rule.priority.map(|priority| priority.to_string()));
    add("from", rule.from.map(|network| network.to_string()));
    add("to", rule.to.map(|network| network.to_string()));
    add("tos", rule.type_of_service.map(|tos| format!("{tos:#x}")));
    add("fwmark", rule.mark.map(|mark| format!("{mark:#x}")));
    add("table", rule.table.map(|table| table.to_string()));
    words
}
