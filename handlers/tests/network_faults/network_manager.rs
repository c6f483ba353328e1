//! A machine that NetworkManager configures: what it has read, and what each command does.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Invocation};

use super::{Files, Stack, has_card, one_card, with_cards};

/// Effects: two files, what makes them known, rename, what brings the card up.
pub(super) const STACK: Stack =
    Stack { name: "network-manager", machine, push: one_card, effects: 6, is_done: has_card };

const FOLDER: &str = "/etc/NetworkManager/system-connections/";

/// Profiles as NetworkManager has read them.
const READ: &str = "/test/read/";

/// The profile of the card of the push, while it is up.
const UP: &str = "/test/up";

const OLD_PROFILE: &str = "[connection]\nuuid=1dd9a779-d327-56e1-8454-c65e2556c12c\ninterface-name=eth0\n";
const OLD_CONFIG: &str = r#"{"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}"#;

/// One card configured by cloud-init and another just plugged in.
pub(super) fn machine() -> MemorySystem {
    let profile = FileState::of_root(OLD_PROFILE, 0o600);
    let system = MemorySystem::new()
        .with_program("/usr/bin/dbus-daemon")
        .with_file("/run/NetworkManager/devices/1", "[device]\n")
        .with_file("/etc/cloud/cloud.cfg", "system_info: {network: {renderers: [network-manager]}}\n")
        .with_file("/etc/NetworkManager/NetworkManager.conf", "[main]\n")
        .with_file("/var/lib/cloud/instance/network-config.json", OLD_CONFIG)
        .with_file_state(&format!("{FOLDER}cloud-init-eth0.nmconnection"), profile.clone())
        .with_file_state(&format!("{READ}cloud-init-eth0.nmconnection"), profile)
        .with_command("/usr/bin/nmcli", nmcli);
    with_cards(system)
}

fn nmcli(invocation: &Invocation, files: &mut Files) -> Result<String, String> {
    let args: Vec<&str> = invocation.args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["connection", "load", paths @ ..] => paths.iter().try_for_each(|path| load(path, files))?,
        ["connection", "reload"] => reload(files)?,
        ["--wait", "20", "connection", "up", "uuid", uuid, "ifname", link] => up(uuid, link, files)?,
        other => return Err(format!("unknown: {other:?}")),
    }
    Ok(String::new())
}

fn load(path: &str, files: &mut Files) -> Result<(), String> {
    let name = path.strip_prefix(FOLDER).ok_or_else(|| format!("{path} is no profile's"))?;
    let file = files.get(path).cloned().ok_or_else(|| format!("no file {path}"))?;
    if file.mode != 0o600 {
        return Err(format!("others may read {path}"));
    }
    files.insert(format!("{READ}{name}"), file);
    Ok(())
}

/// Reads every file, and takes down what has no profile any more.
fn reload(files: &mut Files) -> Result<(), String> {
    files.retain(|path, _| !path.starts_with(READ));
    let paths: Vec<String> = files.keys().filter(|path| path.starts_with(FOLDER)).cloned().collect();
    paths.iter().try_for_each(|path| load(path, files))?;
    let is_left = |uuid: &[u8], files: &Files| {
        let uuid = format!("uuid={}\n", String::from_utf8_lossy(uuid));
        let mut read = files.iter().filter(|(path, _)| path.starts_with(READ));
        read.any(|(_, file)| String::from_utf8_lossy(&file.content).contains(&uuid))
    };
    if files.get(UP).is_some_and(|up| !is_left(&up.content, files)) {
        files.remove(UP);
        files.remove("/test/configured");
        for link in ["eth1", "ens0"] {
            if let Some(mtu) = files.get_mut(&format!("/sys/class/net/{link}/mtu")) {
                mtu.content = b"1500\n".to_vec();
            }
        }
    }
    Ok(())
}

fn up(uuid: &str, link: &str, files: &mut Files) -> Result<(), String> {
    let read = files.iter().find(|(path, file)| {
        let content = String::from_utf8_lossy(&file.content);
        path.starts_with(READ) && content.contains(&format!("uuid={uuid}\n"))
    });
    let (_, profile) = read.ok_or_else(|| format!("no profile {uuid}"))?;
    let content = String::from_utf8_lossy(&profile.content).into_owned();
    let mtu = format!("/sys/class/net/{link}/mtu");
    if !files.contains_key(&mtu) {
        return Err(format!("no link {link}"));
    }
    for line in ["mac-address=00:11:22:33:44:55", "address1=192.0.2.5/24", "mtu=1400"] {
        if !content.lines().any(|other| other == line) {
            return Err(format!("the profile does not say {line}"));
        }
    }
    files.insert(mtu, FileState::of_root("1400\n", 0o644));
    files.insert("/test/configured".into(), FileState::of_root("", 0o644));
    files.insert(UP.into(), FileState::of_root(uuid, 0o644));
    Ok(())
}
