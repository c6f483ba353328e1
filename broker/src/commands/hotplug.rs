//! `hotplug`: a udev hook's one message.

use anyhow::{Context, bail};
use cloud_channel_protocol::{Publication, Subsystem, Topic};
use serde_json::{Map, Value};

use super::arguments::HotplugArguments;
use super::client::with_session;
use super::{OK, refused};

/// What udev says beside ACTION and SUBSYSTEM, and what we call it (udev(7), systemd.net-naming-scheme(7)).
const UDEV_ATTRS: [(&str, &str); 8] = [
    ("INTERFACE", "name"),
    ("IFINDEX", "ifindex"),
    ("ID_NET_DRIVER", "driver"),
    ("ID_PATH", "path"),
    ("DEVNAME", "devname"),
    ("DEVTYPE", "devtype"),
    ("ID_SERIAL_SHORT", "serial"),
    ("DEVPATH", "devpath"),
];

pub(super) async fn run(arguments: HotplugArguments) -> anyhow::Result<u8> {
    let (subsystem, data) = describe(&arguments)?;
    let reply = with_session(&arguments.target, async |session| {
        let channel = Topic::Hotplug(subsystem).channel(&session.instance().await?);
        let id = Some(session.next_id());
        let data = serde_json::value::to_raw_value(&data)?;
        session.publish(&Publication { channel, id, data, ext: None }).await
    })
    .await?;
    match reply {
        Ok(()) => Ok(OK),
        Err(error) => Ok(refused(&error)),
    }
}

fn describe(arguments: &HotplugArguments) -> anyhow::Result<(Subsystem, Value)> {
    let action = arguments.action.clone().unwrap_or_else(|| "add".to_owned());
    let mut attrs = Map::new();
    let (subsystem, action) = match (&arguments.what.nic, &arguments.what.storage) {
        (Some(mac), _) => {
            check_mac(mac)?;
            attrs.insert("address".to_owned(), mac.to_lowercase().into());
            (Subsystem::Network, action)
        }
        (None, Some(name)) => {
            attrs.insert("name".to_owned(), name.as_str().into());
            (Subsystem::Block, action)
        }
        (None, None) => from_udev(&mut attrs)?,
    };
    for attr in &arguments.attrs {
        let (name, value) = attr.split_once('=').with_context(|| format!("`{attr}`: expected NAME=VALUE"))?;
        attrs.insert(name.to_owned(), value.into());
    }
    Ok((
        subsystem,
        serde_json::json!({ "subsystem": subsystem.kernel_name(), "action": action, "attrs": attrs }),
    ))
}

fn check_mac(mac: &str) -> anyhow::Result<()> {
    let pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if mac.split(':').count() == 6 && mac.split(':').all(pair) {
        return Ok(());
    }
    bail!("`{mac}` is no MAC address: expected six hexadecimal pairs with colons, as 00:11:22:33:44:55");
}

fn from_udev(attrs: &mut Map<String, Value>) -> anyhow::Result<(Subsystem, String)> {
    let variable = |name: &str| {
        std::env::var(name)
            .with_context(|| format!("udev's {name} is not in the environment; run it from a rule"))
    };
    let subsystem = match variable("SUBSYSTEM")?.as_str() {
        "net" => Subsystem::Network,
        "block" => Subsystem::Block,
        other => bail!("subsystem `{other}` is not reported, expected net or block"),
    };
    for (name, ours) in UDEV_ATTRS {
        if let Ok(value) = std::env::var(name) {
            attrs.insert(ours.to_owned(), value.into());
        }
    }
    // The kernel's uevent has no MAC; sysfs does, while the device is there (sysfs-class-net).
    if let Some(devpath) = attrs.get("devpath").and_then(Value::as_str)
        && let Ok(address) = std::fs::read_to_string(format!("/sys{devpath}/address"))
    {
        attrs.insert("address".to_owned(), address.trim().into());
    }
    Ok((subsystem, variable("ACTION")?))
}
