//! The links that the kernel has now, as sysfs shows them.

use std::io;

use super::address::MacAddress;
use super::config::NetworkConfig;
use super::device::{Device, Match};
use super::name::DeviceId;
use crate::{Refusal, System};

/// Where the kernel shows its links.
const LINKS: &str = "/sys/class/net";

/// The kernel's IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// The flag of a link that is up, from `linux/if.h`.
const IFF_UP: u32 = 1;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    /// The address it has now.
    pub(super) address: Option<MacAddress>,
    /// The address it had before a bond gave it another.
    permanent: Option<MacAddress>,
    pub(super) mtu: Option<u32>,
    driver: Option<String>,
    /// A bond, bridge or VLAN: these borrow the hardware address of what is below them.
    stacked: bool,
    /// True if it was brought up, with a carrier or without.
    pub(super) up: bool,
}

impl Link {
    /// True if the link carries traffic: it is up, and has a route or a global address.
    pub(super) fn is_in_use(&self, system: &dyn System) -> bool {
        let has_route = lines(system, ROUTES).any(|line| line.split('\t').next() == Some(&self.name));
        // `fe80…` is in every IPv6 link's table; 00 is the global scope.
        let has_address = lines(system, "/proc/net/if_inet6").any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(5) == Some(&self.name.as_str()) && fields.get(3) == Some(&"00")
        });
        self.up && (has_route || has_address)
    }

    /// True if this link has a default route and no other has one.
    pub(super) fn is_only_way_out(&self, system: &dyn System) -> bool {
        let ipv4 = lines(system, ROUTES).filter_map(|line| {
            let mut fields = line.split('\t');
            let link = fields.next()?.to_owned();
            (fields.next() == Some("00000000")).then_some(link)
        });
        let ipv6 = lines(system, "/proc/net/ipv6_route").filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let default = fields.first()?.bytes().all(|digit| digit == b'0') && fields.get(1) == Some(&"00");
            // The kernel keeps an unreachable default on the loopback link.
            fields.last().filter(|link| default && **link != "lo").map(|link| (*link).to_owned())
        });
        let ways: Vec<String> = ipv4.chain(ipv6).collect();
        !ways.is_empty() && ways.iter().all(|link| *link == self.name)
    }

    fn read(name: &str, system: &dyn System) -> Self {
        let attribute = |attribute: &str| text(system, &format!("{LINKS}/{name}/{attribute}"));
        let mac =
            |attribute_name: &str| attribute(attribute_name).and_then(|text| MacAddress::from_text(&text));
        let uevent = attribute("uevent").unwrap_or_default();
        let flags = attribute("flags").unwrap_or_default();
        Self {
            address: mac("address"),
            permanent: mac("bonding_slave/perm_hwaddr"),
            mtu: attribute("mtu").and_then(|text| text.parse().ok()),
            driver: attribute("device/uevent").and_then(|text| value_of(&text, "DRIVER")),
            stacked: value_of(&uevent, "DEVTYPE")
                .is_some_and(|kind| ["bond", "bridge", "vlan"].contains(&kind.as_str())),
            up: u32::from_str_radix(flags.trim_start_matches("0x"), 16)
                .is_ok_and(|flags| flags & IFF_UP != 0),
            name: name.to_owned(),
        }
    }

    /// True if the address is the link's own, or the one it has for the time being.
    pub(super) fn has_address(&self, address: MacAddress) -> bool {
        [self.permanent, self.address].contains(&Some(address))
    }
}

/// The links of the machine, or nothing to say about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links {
    links: Vec<Link>,
    known: bool,
}

impl Links {
    /// Looks at the machine. A sandbox without `/sys/class/net` says nothing: there every device counts as
    /// present.
    pub(super) fn look(system: &dyn System) -> Result<Self, Refusal> {
        let names = system.list(LINKS).map_err(|error| unreadable(&error))?;
        let known = !names.is_empty() || !system.is_sandbox();
        // `bonding_masters` is a file among the links.
        let links =
            names.iter().filter(|name| *name != "bonding_masters").map(|name| Link::read(name, system));
        Ok(Self { links: links.collect(), known })
    }

    /// Every link.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The link of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The links that a device of the config stands for. A card is found by what its `match` says, its
    /// hardware address above all; everything else by its name.
    pub(super) fn of<'a>(&'a self, id: &DeviceId, device: &Device, config: &NetworkConfig) -> Vec<&'a Link> {
        let matching = device.matching();
        let Some(matching) = matching else { return self.named(id.as_str()).into_iter().collect() };
        let ours = |link: &Link| {
            config.devices().any(|(_, other)| {
                other.as_ethernet().is_none()
                    && other.link_name.as_ref().is_some_and(|name| name.as_str() == link.name)
            })
        };
        // After a rename, `match.name` has done its work.
        let renamed = |link: &Link| device.link_name.as_ref().is_some_and(|name| name.as_str() == link.name);
        self.links
            .iter()
            .filter(|link| !link.stacked && !ours(link))
            .filter(|link| has_identity(device, link) && fits(matching, link, renamed(link)))
            .collect()
    }

    /// True if a device has no link to act on yet. Bonds and bridges are made, so they are never late; a VLAN
    /// is as late as what it is on.
    pub(super) fn is_late(&self, id: &DeviceId, config: &NetworkConfig) -> bool {
        if !self.known {
            return false;
        }
        let mut id = id;
        // A config has no circles, so this ends; the bound says so to whoever reads it.
        for _ in 0..config.devices().count() {
            let Some(device) = config.device(id) else { return false };
            match &device.kind {
                super::device::Kind::Ethernet(_) => return self.of(id, device, config).is_empty(),
                super::device::Kind::Bond(_) | super::device::Kind::Bridge(_) => return false,
                super::device::Kind::Vlan(vlan) => id = &vlan.link,
            }
        }
        false
    }
}

/// The hardware address the card is found by, or the one that the config has given it since: sysfs shows the
/// latter alone.
fn has_identity(device: &Device, link: &Link) -> bool {
    let given = device.settings.macaddress.is_some_and(|given| link.address == Some(given));
    given || device.identity().is_none_or(|identity| link.has_address(identity))
}

fn fits(matching: &Match, link: &Link, renamed: bool) -> bool {
    let name = renamed || matching.name.as_ref().is_none_or(|pattern| pattern.matches(&link.name));
    let driver = matching.drivers.is_empty()
        || (link.driver.as_ref())
            .is_some_and(|driver| matching.drivers.iter().any(|pattern| pattern.matches(driver)));
    name && driver
}

/// A file's text without its last newline. What sysfs and procfs will not show (a link that is down has no
/// carrier to read) counts as not there.
pub(super) fn text(system: &dyn System, path: &str) -> Option<String> {
    let file = system.read(path).ok().flatten()?;
    String::from_utf8(file.content).ok().map(|text| text.trim_end().to_owned())
}

/// The path of a link's attribute in sysfs.
pub(super) fn attribute(link: &str, attribute: &str) -> String {
    format!("{LINKS}/{link}/{attribute}")
}

/// A refusal because the machine cannot be read. The error names the path.
pub(super) fn unreadable(error: &io::Error) -> Refusal {
    Refusal::at("network", "a machine whose network files can be read").given(error.to_string())
}

fn lines(system: &dyn System, path: &str) -> impl Iterator<Item = String> {
    text(system, path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.split_once('=').filter(|(name, _)| *name == key))
        .map(|(_, value)| value.to_owned())
}
