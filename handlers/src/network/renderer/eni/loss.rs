//! What a config says and ifupdown cannot be told: refused where a push asks for it, rather than lost.

use super::definition::{Names, offload_key};
use super::layers;
use crate::Refusal;
use crate::network::document::config::NetworkConfig;
use crate::network::document::device::{Device, Kind};
use crate::network::document::name::DeviceId;
use crate::network::document::settings::{DhcpOverrides, Settings};
use crate::network::document::virtual_device::{Bond, Bridge, Interval};

/// What would be lost of one device, in the order of its settings.
#[derive(Debug)]
pub(super) struct Losses {
    path: String,
    found: Vec<Refusal>,
}

impl Losses {
    /// Looks through a device.
    pub(super) fn of(id: &DeviceId, device: &Device, config: &NetworkConfig, names: &Names) -> Self {
        let path = format!("network.{}.{id}", device.section().key());
        let mut losses = Self { path, found: Vec::new() };
        losses.naming(id, device, names);
        losses.settings(&device.settings);
        losses.dhcp("dhcp4-overrides", &device.settings.dhcp4_overrides, true);
        losses.dhcp("dhcp6-overrides", &device.settings.dhcp6_overrides, false);
        if !device.settings.ra_overrides.is_empty() {
            losses.add(
                "ra-overrides",
                "the kernel itself hears routers here, and takes their addresses and routes alone",
            );
        }
        losses.routes(&device.settings);
        match &device.kind {
            Kind::Ethernet(card) => {
                let all = card.offloads.iter();
                if all.clone().any(|(offload, _)| offload_key(*offload).is_none()) {
                    losses.add("tcp6-segmentation-offload", "ethtool's hook has no word for it");
                }
            }
            Kind::Bond(bond) => losses.bond(bond, names),
            Kind::Bridge(bridge) => losses.bridge(bridge, names),
            Kind::Vlan(vlan) => losses.vlan(id, vlan, config, names),
        }
        losses
    }

    /// Refuses the first loss that is not one already: what cloud-init could not tell ifupdown either is no fault of the
    /// push. Gives back warnings of these.
    pub(super) fn judge(self, inherited: Option<&Self>) -> Result<Vec<String>, Refusal> {
        let is_old = |loss: &Refusal| inherited.is_some_and(|inherited| inherited.found.contains(loss));
        let (old, new): (Vec<_>, Vec<_>) = self.found.into_iter().partition(is_old);
        match new.into_iter().next() {
            Some(loss) => Err(loss),
            None => Ok(old
                .iter()
                .map(|loss| format!("`{}`, which was there before, has no effect", loss.path()))
                .collect()),
        }
    }

    fn add(&mut self, key: &str, why: &str) {
        let refusal = Refusal::at(format!("{}.{key}", self.path), "what ifupdown can be told");
        self.found.push(refusal.hint(why));
    }

    fn naming(&mut self, id: &DeviceId, device: &Device, names: &Names) {
        if names.all(id).iter().any(|name| name.as_str() == "lo") {
            let refusal = Refusal::at(&self.path, "a device other than the loopback link").given("lo");
            self.found.push(refusal.hint("it is the machine's own, and stays as it is"));
        }
        let Some(matching) = device.matching() else { return };
        if device.link_name.is_some() && matching.macaddress.is_none() {
            self.add("set-name", "the rule that renames the card goes by `match.macaddress`: add it");
        }
        if names.all(id).is_empty() {
            self.add("match", "the card is not there, and its id is no name for a link: add `set-name`");
        }
    }

    fn settings(&mut self, settings: &Settings) {
        let checks = [
            ("dhcp-identifier", settings.dhcp_identifier.is_some(), "it is a matter of dhclient.conf"),
            ("emit-lldp", settings.emit_lldp == Some(true), "it takes a daemon such as lldpd"),
            ("ignore-carrier", settings.ignore_carrier == Some(false), "ifupdown never waits for a carrier"),
            (
                "ipv6-address-generation",
                settings.ipv6_address_generation == Some("stable-privacy"),
                "the kernel's secret for it has to be set; `eui64` works",
            ),
            (
                "link-local",
                settings.link_local.is_some_and(|families| families.ipv4),
                "IPv4 link-local addresses take avahi-autoipd; `[ipv6]` works",
            ),
        ];
        for (key, lost, why) in checks {
            if lost {
                self.add(key, why);
            }
        }
        for address in &settings.addresses {
            let key = format!("addresses.{}", address.address);
            if address.label.is_some() {
                self.add(&format!("{key}.label"), "ifupdown labels an address with its link's name");
            }
            if address.lifetime == Some("0") && address.address.address.is_ipv4() {
                self.add(&format!("{key}.lifetime"), "ifupdown has lifetimes for IPv6 addresses alone");
            }
        }
    }

    /// What a DHCP client does unless told otherwise is no loss.
    fn dhcp(&mut self, key: &str, overrides: &DhcpOverrides, is_ipv4: bool) {
        const WHY: &str = "it is a matter of the DHCP client's own configuration";
        let checks = [
            ("use-dns", overrides.use_dns == Some(false)),
            ("use-ntp", overrides.use_ntp == Some(false)),
            ("use-mtu", overrides.use_mtu == Some(false)),
            ("use-routes", overrides.use_routes == Some(false)),
            ("use-hostname", overrides.use_hostname.is_some()),
            ("use-domains", overrides.use_domains.is_some_and(|domains| domains != "yes")),
            ("send-hostname", overrides.send_hostname == Some(false)),
            ("hostname", overrides.hostname.is_some()),
            ("route-metric", overrides.route_metric.is_some() && !is_ipv4),
        ];
        for (name, _) in checks.into_iter().filter(|(_, lost)| *lost) {
            self.add(&format!("{key}.{name}"), WHY);
        }
    }

    fn routes(&mut self, settings: &Settings) {
        for (index, route) in settings.routes.iter().enumerate() {
            if route.kind.is_some_and(|kind| ["nat", "xresolve"].contains(&kind)) {
                self.add(&format!("routes[{index}].type"), "iproute2 makes no such routes");
            }
        }
    }

    fn bond(&mut self, bond: &Bond, names: &Names) {
        let parameters = &bond.parameters;
        let milliseconds = [
            ("mii-monitor-interval", &parameters.mii_monitor_interval),
            ("arp-interval", &parameters.arp_interval),
            ("up-delay", &parameters.up_delay),
            ("down-delay", &parameters.down_delay),
        ];
        for (key, interval) in milliseconds {
            let fits = |interval: &Interval| layers::milliseconds(interval).is_some();
            if interval.as_ref().is_some_and(|interval| !fits(interval)) {
                self.add(&format!("parameters.{key}"), "the kernel takes whole milliseconds");
            }
        }
        if parameters.learn_packet_interval.as_ref().is_some_and(|time| layers::whole_seconds(time).is_none())
        {
            self.add("parameters.learn-packet-interval", "the kernel takes whole seconds");
        }
        if parameters.primary.as_ref().is_some_and(|primary| names.one(primary).is_none()) {
            self.add("parameters.primary", NO_NAME);
        }
        self.members(&bond.interfaces, names);
    }

    fn bridge(&mut self, bridge: &Bridge, names: &Names) {
        self.members(&bridge.interfaces, names);
        for (index, member) in bridge.interfaces.iter().enumerate() {
            // bridge-utils-interfaces(5): these words start patterns.
            let reserved = ["none", "regex", "noregex"];
            if names.one(member).is_some_and(|name| reserved.contains(&name.as_str())) {
                self.add(
                    &format!("interfaces[{index}]"),
                    "bridge-utils has a meaning of its own for this name",
                );
            }
        }
        let Some(parameters) = &bridge.parameters else { return };
        let times = [
            ("ageing-time", &parameters.ageing_time),
            ("forward-delay", &parameters.forward_delay),
            ("hello-time", &parameters.hello_time),
            ("max-age", &parameters.max_age),
        ];
        for (key, interval) in times {
            if interval.as_ref().is_some_and(|interval| layers::seconds(interval).is_none()) {
                self.add(&format!("parameters.{key}"), "the kernel counts hundredths of a second");
            }
        }
    }

    fn members(&mut self, members: &[DeviceId], names: &Names) {
        for (index, _) in members.iter().enumerate().filter(|(_, member)| names.one(member).is_none()) {
            self.add(&format!("interfaces[{index}]"), NO_NAME);
        }
    }

    fn vlan(
        &mut self,
        id: &DeviceId,
        vlan: &crate::network::document::virtual_device::Vlan,
        config: &NetworkConfig,
        names: &Names,
    ) {
        let Some(below) = names.one(&vlan.link) else { return self.add("link", NO_NAME) };
        let name = config.device(id).and_then(|device| device.link_name.as_ref());
        let Some(name) = name.filter(|name| name.as_str().contains('.')) else { return };
        if !layers::is_made_by_name(name, vlan, &below) {
            let why = format!(
                "ifupdown reads link and number out of a name with a dot: call it `{below}.{}`, or without a dot",
                vlan.id
            );
            self.found
                .push(Refusal::at(&self.path, "what ifupdown can be told").given(id.as_str()).hint(why));
        }
    }
}

const NO_NAME: &str = "the device has no name of its own to write down: give it `set-name`";
