//! What sysconfig files cannot say: each program that reads them has words that the others lack, and none has all.

use super::interfaces::{Interface, is_pattern};
use super::stack::Stack;
use crate::network::document::device::{Device, Kind};
use crate::network::document::settings::{DhcpOverrides, Settings};
use crate::network::document::virtual_device::{BondParameters, BridgeParameters, Interval};

/// Something that the files would not say.
#[derive(Debug)]
pub(super) struct Loss {
    /// The device's key that it stands under.
    pub(super) key: &'static str,
    /// Where it is, below the device.
    pub(super) path: String,
    /// What would be right.
    pub(super) expected: String,
    /// True if the device works all the same.
    pub(super) is_harmless: bool,
}

/// Collects them for one device.
struct Losses {
    found: Vec<Loss>,
    stack: Stack,
}

/// What the files of a device lose.
pub(super) fn losses(interface: &Interface<'_>) -> Vec<Loss> {
    let settings = &interface.device.settings;
    let mut losses = Losses { found: Vec::new(), stack: interface.stack };
    losses.membership(interface);
    losses.addresses(settings);
    losses.link(settings);
    losses.ipv6(settings);
    losses.dhcp(settings);
    losses.overrides("dhcp4-overrides", &settings.dhcp4_overrides, settings);
    losses.overrides("dhcp6-overrides", &settings.dhcp6_overrides, settings);
    losses.dhcp6(&settings.dhcp6_overrides);
    if !settings.ra_overrides.is_empty() {
        let expected = format!("nothing: {} cannot say it", losses.stack.name());
        losses.refuse("ra-overrides", "ra-overrides".to_owned(), expected);
    }
    losses.dns(settings);
    losses.routes(settings);
    match &interface.device.kind {
        Kind::Bond(bond) => losses.bond(&bond.parameters),
        Kind::Bridge(bridge) => bridge.parameters.iter().for_each(|parameters| losses.bridge(parameters)),
        Kind::Vlan(_) => losses.vlan(interface),
        Kind::Ethernet(_) if is_pattern(interface.device) && !interface.interfaces.is_told(interface.id) => {
            let names = interface.interfaces.names(interface.id).join(", ");
            let expected =
                format!("one card by its name: the files are for the cards that match now, {names}");
            losses.warn("match", "match".to_owned(), expected);
        }
        Kind::Ethernet(_) => {}
    }
    losses.found
}

impl Losses {
    fn add(&mut self, key: &'static str, path: String, expected: impl Into<String>, is_harmless: bool) {
        self.found.push(Loss { key, path, expected: expected.into(), is_harmless });
    }

    fn refuse(&mut self, key: &'static str, path: String, expected: impl Into<String>) {
        self.add(key, path, expected, false);
    }

    fn warn(&mut self, key: &'static str, path: String, expected: impl Into<String>) {
        self.add(key, path, expected, true);
    }

    /// The key is lost as a whole, if it is set at all.
    fn unless(&mut self, fits: bool, key: &'static str, expected: &str) {
        if !fits {
            self.refuse(
                key,
                key.to_owned(),
                format!("{expected}, which is all that {} knows", self.stack.name()),
            );
        }
    }

    /// A member of a bond or bridge is set up by it.
    fn membership(&mut self, interface: &Interface<'_>) {
        let Some((master, _)) = interface.master() else { return };
        let settings = &interface.device.settings;
        let nameservers = &settings.nameservers;
        let keys = [
            ("addresses", !settings.addresses.is_empty()),
            ("dhcp4", settings.dhcp4),
            ("dhcp6", settings.dhcp6),
            ("gateway4", settings.gateway4.is_some()),
            ("gateway6", settings.gateway6.is_some()),
            ("nameservers", !nameservers.addresses.is_empty() || !nameservers.search.is_empty()),
            ("routes", !settings.routes.is_empty()),
            ("routing-policy", !settings.rules.is_empty()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            self.refuse(key, key.to_owned(), format!("nothing, because `{master}` has it as a member"));
        }
    }

    fn addresses(&mut self, settings: &Settings) {
        for (index, address) in settings.addresses.iter().enumerate() {
            let is_ipv4 = address.address.address.is_ipv4();
            let wicked = self.stack == Stack::Wicked;
            if address.lifetime == Some("0") && (is_ipv4 || !wicked) {
                let place = format!("addresses[{index}].{}.lifetime", address.address);
                let expected = if wicked { "`forever` for IPv4" } else { "`forever`" };
                self.refuse("addresses", place, format!("{expected}, which is all that the files know"));
            }
            if address.label.is_some() && !(is_ipv4 && wicked) {
                let place = format!("addresses[{index}].{}.label", address.address);
                self.refuse("addresses", place, "no label, for which the files have no word");
            }
        }
    }

    fn link(&mut self, settings: &Settings) {
        let wicked = self.stack == Stack::Wicked;
        let off = settings.activation_mode == Some("off");
        self.unless(!off || wicked, "activation-mode", "`manual`");
        self.unless(settings.emit_lldp != Some(true), "emit-lldp", "false");
        self.unless(settings.ignore_carrier != Some(true), "ignore-carrier", "false");
        if settings.optional && !wicked {
            self.warn(
                "optional",
                "optional".to_owned(),
                "false: the files cannot say that boot need not wait",
            );
        }
        if settings.critical && !wicked {
            self.warn(
                "critical",
                "critical".to_owned(),
                "false: the files cannot say that the link must stay up",
            );
        }
    }

    fn ipv6(&mut self, settings: &Settings) {
        let (scripts, manager) = (self.stack == Stack::NetworkScripts, self.stack == Stack::NetworkManager);
        let families = settings.link_local;
        let ipv4 = families.is_some_and(|families| families.ipv4);
        let off = families.is_some_and(|families| !families.ipv6);
        self.unless(!(scripts && (ipv4 || off)), "link-local", "[ipv6]");
        let has_ipv6 = settings.dhcp6
            || settings.gateway6.is_some()
            || settings.accept_ra == Some(true)
            || settings.addresses.iter().any(|address| address.address.address.is_ipv6());
        if off && has_ipv6 {
            let expected =
                "`ipv6` in it: the files can only switch IPv6 off as a whole, and the device uses it";
            self.refuse("link-local", "link-local".to_owned(), expected);
        }
        self.unless(
            settings.ipv6_mtu.is_none() || scripts,
            "ipv6-mtu",
            "nothing, or `mtu` for both families",
        );
        let generation = settings.ipv6_address_generation;
        let wicked_knows = generation == Some("eui64") && self.stack == Stack::Wicked;
        let fits = generation.is_none() || manager || wicked_knows;
        self.unless(fits, "ipv6-address-generation", if scripts { "nothing" } else { "eui64" });
        self.unless(settings.ipv6_address_token.is_none() || manager, "ipv6-address-token", "nothing");
    }

    fn dhcp(&mut self, settings: &Settings) {
        let scripts = self.stack == Stack::NetworkScripts;
        let is_duid = settings.dhcp_identifier == Some("duid");
        self.unless(!(scripts && is_duid && settings.dhcp4), "dhcp-identifier", "`mac`");
    }

    /// What both families have in common.
    fn overrides(&mut self, key: &'static str, overrides: &DhcpOverrides, settings: &Settings) {
        let wicked = self.stack == Stack::Wicked;
        let name = self.stack.name();
        let mut refuse = |word: &str, expected: &str| {
            let expected = format!("{expected}, which is all that {name} knows");
            self.found.push(Loss { key, path: format!("{key}.{word}"), expected, is_harmless: false });
        };
        // An MTU that is configured is taken before the server's.
        if overrides.use_mtu.is_some_and(|used| used == settings.mtu.is_some()) {
            refuse("use-mtu", if settings.mtu.is_some() { "false" } else { "true, or `mtu` on the device" });
        }
        if overrides.use_domains.is_some_and(|used| used != "yes") {
            refuse("use-domains", "true");
        }
        if overrides.use_hostname == Some(false) && !wicked {
            refuse("use-hostname", "true");
        }
        let is_word = |name: &String| ["auto", "fqdn"].iter().any(|word| name.eq_ignore_ascii_case(word));
        if wicked && overrides.hostname.as_ref().is_some_and(is_word) {
            let expected = "a host name: `AUTO` and `FQDN` are wicked's words for this machine's own";
            self.refuse(key, format!("{key}.hostname"), expected);
        }
        if wicked && key == "dhcp4-overrides" && overrides.use_routes == Some(false) {
            let expected = "true: wicked leaves out the server's default route, and takes its others";
            self.warn(key, format!("{key}.use-routes"), expected);
        }
        if self.stack == Stack::NetworkScripts
            && overrides.send_hostname == Some(true)
            && overrides.hostname.is_none()
        {
            let path = format!("{key}.send-hostname");
            self.refuse(key, path, "`hostname` beside it: network-scripts send no other");
        }
    }

    fn dhcp6(&mut self, overrides: &DhcpOverrides) {
        let given = [
            ("use-dns", overrides.use_dns == Some(false)),
            ("use-ntp", overrides.use_ntp == Some(false)),
            ("use-routes", overrides.use_routes == Some(false)),
            ("route-metric", overrides.route_metric.is_some()),
            ("send-hostname", overrides.send_hostname == Some(false)),
            ("hostname", overrides.hostname.is_some()),
        ];
        for (word, _) in given.into_iter().filter(|(_, given)| *given) {
            let known = match self.stack {
                Stack::NetworkScripts => false,
                Stack::NetworkManager => word != "use-ntp",
                Stack::Wicked => !["use-routes", "route-metric"].contains(&word),
            };
            if !known {
                let path = format!("dhcp6-overrides.{word}");
                self.refuse("dhcp6-overrides", path, format!("nothing: {} cannot say it", self.stack.name()));
            }
        }
    }

    fn dns(&mut self, settings: &Settings) {
        let nameservers = &settings.nameservers;
        match self.stack {
            Stack::Wicked if !(nameservers.addresses.is_empty() && nameservers.search.is_empty()) => {
                let expected = "nothing: ifcfg files have no DNS, NETCONFIG_DNS_STATIC_SERVERS and \
                                NETCONFIG_DNS_STATIC_SEARCHLIST in `/etc/sysconfig/network/config` are for the \
                                whole machine";
                self.refuse("nameservers", "nameservers".to_owned(), expected);
            }
            Stack::NetworkScripts => {
                if nameservers.addresses.len() > 3 {
                    let expected = "at most three, which is all that network-scripts and resolv.conf(5) take";
                    self.refuse("nameservers", "nameservers.addresses".to_owned(), expected);
                }
                if let Some(index) = nameservers.search.iter().position(|domain| domain.contains('~')) {
                    let expected = "a domain to search, without the `~` of those for routing alone";
                    self.refuse("nameservers", format!("nameservers.search[{index}]"), expected);
                }
            }
            Stack::NetworkManager | Stack::Wicked => {}
        }
    }

    fn routes(&mut self, settings: &Settings) {
        const TYPES: [&str; 6] = ["unicast", "local", "blackhole", "unreachable", "prohibit", "throw"];
        let manager = self.stack == Stack::NetworkManager;
        for (index, route) in settings.routes.iter().enumerate() {
            let kind = route.kind.filter(|kind| !TYPES.contains(kind));
            if kind.is_some_and(|kind| manager || ["nat", "xresolve"].contains(&kind)) {
                let expected = format!("one of {}", TYPES.join(", "));
                self.refuse("routes", format!("routes[{index}].type"), expected);
            }
            if manager && route.segment_size.is_some() {
                let expected = "none: NetworkManager has it since 1.46 alone, and leaves it out before";
                self.refuse("routes", format!("routes[{index}].advertised-mss"), expected);
            }
        }
        for (index, rule) in settings.rules.iter().enumerate() {
            if rule.from.zip(rule.to).is_some_and(|(from, to)| from.address.is_ipv4() != to.address.is_ipv4())
            {
                let expected = "networks of one family: the rule would be in the file of the other";
                self.refuse("routing-policy", format!("routing-policy[{index}]"), expected);
            }
            if manager && rule.priority.is_none() {
                let expected = "a number: NetworkManager leaves out rules without one";
                self.refuse("routing-policy", format!("routing-policy[{index}].priority"), expected);
            }
            if manager && rule.table.is_none() {
                let expected = "a table: NetworkManager leaves out rules without one";
                self.refuse("routing-policy", format!("routing-policy[{index}].table"), expected);
            }
        }
    }

    fn whole(
        &mut self,
        word: &str,
        time: Option<&Interval>,
        unit: &str,
        whole: fn(&Interval) -> Option<u64>,
    ) {
        if time.is_some_and(|time| whole(time).is_none()) {
            self.refuse("parameters", format!("parameters.{word}"), format!("a whole number of {unit}"));
        }
    }

    fn bond(&mut self, parameters: &BondParameters) {
        for (word, time) in [
            ("mii-monitor-interval", &parameters.mii_monitor_interval),
            ("arp-interval", &parameters.arp_interval),
            ("up-delay", &parameters.up_delay),
            ("down-delay", &parameters.down_delay),
        ] {
            self.whole(word, time.as_ref(), "milliseconds", Interval::whole_milliseconds);
        }
        let learn = parameters.learn_packet_interval.as_ref();
        self.whole("learn-packet-interval", learn, "seconds", Interval::whole_seconds);
    }

    fn bridge(&mut self, parameters: &BridgeParameters) {
        for (word, time) in [
            ("ageing-time", &parameters.ageing_time),
            ("forward-delay", &parameters.forward_delay),
            ("hello-time", &parameters.hello_time),
            ("max-age", &parameters.max_age),
        ] {
            self.whole(word, time.as_ref(), "seconds", Interval::whole_seconds);
        }
        // NetworkManager reads these only with the protocol that they are for.
        if self.stack == Stack::NetworkManager && !parameters.stp {
            for (word, given) in [
                ("forward-delay", parameters.forward_delay.is_some()),
                ("hello-time", parameters.hello_time.is_some()),
                ("max-age", parameters.max_age.is_some()),
                ("priority", parameters.priority.is_some()),
            ] {
                if given {
                    let expected = "`stp: true` beside it: without, it has no meaning";
                    self.warn("parameters", format!("parameters.{word}"), expected);
                }
            }
        }
    }

    /// network-scripts read the VLAN's number, and mostly its link too, in its name.
    fn vlan(&mut self, interface: &Interface<'_>) {
        let (Device { kind: Kind::Vlan(vlan), .. }, Stack::NetworkScripts) = (interface.device, self.stack)
        else {
            return;
        };
        let below = interface.interfaces.names(&vlan.link).first().map(String::as_str).unwrap_or_default();
        let is_number = |digits: &str| digits.len() <= 4 && digits.parse() == Ok(vlan.id);
        let dotted = interface.name.rsplit_once('.').is_some_and(|(link, id)| link == below && is_number(id));
        if !dotted && !interface.name.strip_prefix("vlan").is_some_and(is_number) {
            let expected =
                format!("a VLAN called `{below}.{0}` or `vlan{0}`, as network-scripts need it", vlan.id);
            self.refuse("id", "id".to_owned(), expected);
        }
    }
}
