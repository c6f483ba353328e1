//! MAC addresses that links keep though the config says nothing of them any more: no network stack gives a link back what it
//! had before, but NetworkManager, to cards, and for as long as it runs.

use crate::network::document::config::NetworkConfig;
use crate::network::document::device::Device;
use crate::network::document::name::DeviceId;
use crate::network::machine::link::{Link, Links};
use crate::network::renderer::kind::RendererKind;

/// What the sender should know of each such link.
pub(super) fn warnings(
    old: &NetworkConfig,
    new: &NetworkConfig,
    links: &Links,
    renderer: RendererKind,
) -> Vec<String> {
    let left = |(id, had): (&DeviceId, &Device)| {
        let address = had.settings.macaddress?;
        let now = new.device(id);
        let says_it = now.is_some_and(|device| device.settings.macaddress.is_some());
        // What is made of others goes with its config.
        let is_gone = now.is_none() && had.as_ethernet().is_none();
        let has_it = |link: &&Link| link.address == Some(address) && !link.is_made_with(address);
        let link = links.of(id, had, old).into_iter().find(has_it)?;
        let is_given_back = renderer == RendererKind::NetworkManager && had.as_ethernet().is_some();
        let condition =
            if is_given_back { ", if NetworkManager was started anew since it has it" } else { "" };
        let keeps = || {
            format!(
                "`{}` keeps the MAC address {address} until the next boot, or until one is pushed{condition}",
                link.name
            )
        };
        (!says_it && !is_gone).then(keeps)
    };
    old.devices().filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::system::MemorySystem;

    fn told_by(renderer: RendererKind, old: &Value, new: &Value, has: &str) -> Vec<String> {
        let system = MemorySystem::new().with_file("/sys/class/net/eth0/address", format!("{has}\n"));
        let config = |card: &Value| {
            NetworkConfig::whole(&json!({"version": 2, "ethernets": {"eth0": card}}), "").unwrap()
        };
        warnings(&config(old), &config(new), &Links::look(&system).unwrap(), renderer)
    }

    fn told(old: &Value, new: &Value, has: &str) -> Vec<String> {
        told_by(RendererKind::Netplan, old, new, has)
    }

    #[test]
    fn who_takes_an_address_out_of_the_config_is_told_that_it_stays() {
        let (plain, own) = (json!({}), json!({"macaddress": "02:00:00:00:00:77"}));
        let keeps =
            "`eth0` keeps the MAC address 02:00:00:00:00:77 until the next boot, or until one is pushed";
        assert_eq!(told(&own, &plain, "02:00:00:00:00:77"), [keeps]);
        assert_eq!(told(&own, &Value::Null, "02:00:00:00:00:77"), [keeps]);
        assert_eq!(told(&own, &plain, "52:54:00:00:00:01"), [""; 0]);
        assert_eq!(told(&own, &own, "02:00:00:00:00:77"), [""; 0]);
        assert_eq!(told(&plain, &own, "02:00:00:00:00:77"), [""; 0]);
        let condition = ", if NetworkManager was started anew since it has it";
        let nm = told_by(RendererKind::NetworkManager, &own, &plain, "02:00:00:00:00:77");
        assert_eq!(nm, [format!("{keeps}{condition}")]);
    }
}
