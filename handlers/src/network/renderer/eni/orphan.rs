//! Which links cloud-init's file configures, by its stanzas: interfaces(5).

use super::present::logical_lines;
use crate::Refusal;
use crate::network::document::address::MacAddress;
use crate::network::machine::orphan_link::{OrphanLink, untold};

/// Options of what is made of others.
const MAKING: [&str; 8] = [
    "vlan-raw-device",
    "vlan_raw_device",
    "bond-slaves",
    "bond_slaves",
    "bond-mode",
    "bond_mode",
    "bridge_ports",
    "bridge-ports",
];

/// The links of a file; each once, however many stanzas and aliases it has.
pub(super) fn links(path: &str, content: &str) -> Result<Vec<OrphanLink>, Refusal> {
    let mut links: Vec<OrphanLink> = Vec::new();
    let mut open: Option<usize> = None;
    for line in logical_lines(content) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["iface", name, ..] => {
                let name = name.split(':').next().unwrap_or_default();
                let known = links.iter().position(|link| link.name.as_deref() == Some(name));
                open = Some(known.unwrap_or(links.len()));
                if known.is_none() {
                    let is_made = name.contains('.');
                    let name = Some(name.to_owned());
                    links.push(OrphanLink { path: path.to_owned(), name, address: None, is_made });
                }
            }
            // They lead to what is not in the file, or say it of links by patterns.
            ["source" | "source-directory" | "mapping" | "template" | "rename", ..] => {
                return Err(untold(path));
            }
            ["auto" | "no-auto-down" | "no-scripts", ..] => open = None,
            [word, ..] if word.starts_with("allow-") => open = None,
            [option, values @ ..] => {
                // What stands before the first stanza is not understood by ifupdown either.
                let Some(link) = open.and_then(|open| links.get_mut(open)) else { return Err(untold(path)) };
                link.is_made |= MAKING.contains(option);
                if *option == "hwaddress" {
                    link.address = values.last().and_then(|value| MacAddress::from_text(value));
                }
            }
            [] => {}
        }
    }
    links.retain(|link| link.name.as_deref() != Some("lo"));
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(content: &str) -> String {
        match links("f", content) {
            Err(refusal) => refusal.to_string(),
            Ok(links) => {
                let told = |link: OrphanLink| {
                    let address = link.address.map(|address| format!(" {address}")).unwrap_or_default();
                    format!("{}{address}{}", link.name.unwrap(), if link.is_made { " made" } else { "" })
                };
                links.into_iter().map(told).collect::<Vec<_>>().join(", ")
            }
        }
    }

    #[test]
    fn every_stanza_but_the_loopbacks_is_a_link() {
        for (content, expected) in [
            ("auto lo\niface lo inet loopback\n    dns-nameservers 192.0.2.1\n", ""),
            ("iface eth0 inet dhcp\niface eth0 inet6 dhcp\niface eth0:1 inet static\n address x\n", "eth0"),
            (
                "allow-hotplug eth1\niface eth1 inet manual\n  hwaddress ether 52:54:00:00:00:01\n",
                "eth1 52:54:00:00:00:01",
            ),
            ("iface eth1 inet manual\n  hwaddress 52:54:00:00:00:01\n", "eth1 52:54:00:00:00:01"),
            (
                "iface bond0 inet manual\n  bond-slaves none\nauto b\niface b inet manual\n bridge_ports \\\n  bond0\n",
                "bond0 made, b made",
            ),
            ("# auto x\niface eth0.7 inet manual\n", "eth0.7 made"),
            (
                "  address 192.0.2.5\n",
                "`network`: expected files of cloud-init's that tell which links they configure, got `f`; there is no network-config.json either: remove `f`, and push what is wanted",
            ),
        ] {
            assert_eq!(told(content), expected, "{content}");
        }
        for line in ["source /etc/other", "mapping eth*", "template x", "source-directory d", "rename a=b"] {
            assert!(told(&format!("iface eth0 inet dhcp\n{line}\n")).contains("expected files"), "{line}");
        }
    }
}
