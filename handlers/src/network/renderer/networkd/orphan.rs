//! Which links cloud-init's files configure: by `[Match]`, and by `[NetDev]` for what is made.

use crate::Refusal;
use crate::network::document::address::MacAddress;
use crate::network::machine::orphan_link::{OrphanLink, untold};

/// The link of a file; none of a `.link` file, which names one.
pub(super) fn link(path: &str, content: &str) -> Result<Option<OrphanLink>, Refusal> {
    let is_made = path.ends_with(".netdev");
    if !is_made && !path.ends_with(".network") {
        return Ok(None);
    }
    let wanted = if is_made { "[NetDev]" } else { "[Match]" };
    let mut section = "";
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for line in content.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == wanted) else { continue };
        match key.trim() {
            "Name" => names.extend(value.split_whitespace().map(str::to_owned)),
            "MACAddress" | "PermanentMACAddress" if !is_made => {
                addresses.extend(value.replace('-', ":").split_whitespace().map(MacAddress::from_text));
            }
            _ => {}
        }
    }
    // More than one of each is more than one link, and cloud-init does not write that.
    let (name, address) = match (names.as_slice(), addresses.as_slice()) {
        ([], [Some(address)]) => (None, Some(*address)),
        ([name], []) => (Some(name.clone()), None),
        ([name], [Some(address)]) => (Some(name.clone()), Some(*address)),
        _ => return Err(untold(path)),
    };
    Ok(Some(OrphanLink { path: path.to_owned(), name, address, is_made }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_one_link_or_not_understood() {
        let told = |path: &str, content: &str| match link(path, content) {
            Err(_) => "untold".to_owned(),
            Ok(None) => "none".to_owned(),
            Ok(Some(OrphanLink { name, address, is_made, .. })) => {
                format!("{name:?} {:?} {is_made}", address.map(|address| address.to_string()))
            }
        };
        let eth0 = "Some(\"eth0\")";
        let mac = "Some(\"52:54:00:00:00:01\")";
        for (path, content, expected) in [
            ("x.network", "[Match]\nName=eth0\n[Network]\nName=no\n", format!("{eth0} None false")),
            ("x.network", "[Match]\nMACAddress=52-54-00-00-00-01\n", format!("None {mac} false")),
            (
                "x.network",
                "[Match]\nName = eth0\nPermanentMACAddress=52:54:00:00:00:01\n",
                format!("{eth0} {mac} false"),
            ),
            ("x.netdev", "[NetDev]\nName=eth0\nMACAddress=52:54:00:00:00:01\n", format!("{eth0} None true")),
            ("x.link", "[Match]\nMACAddress=52:54:00:00:00:01\n", "none".to_owned()),
            ("x.network", "[Match]\nName=eth0 eth1\n", "untold".to_owned()),
            ("x.network", "[Match]\nDriver=virtio_net\n", "untold".to_owned()),
            ("x.network", "[Match]\nMACAddress=what\n", "untold".to_owned()),
            ("x.network", "", "untold".to_owned()),
        ] {
            assert_eq!(told(path, content), expected, "{content}");
        }
    }
}
