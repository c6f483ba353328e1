//! A folder that looks like a small machine: netplan, users, one NIC from its boot.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// The NIC that gets plugged, as the examples have it.
pub(super) const NIC: &str = "ens0";
/// Its address.
pub(super) const MAC: &str = "00:11:22:33:44:55";
/// The NIC that was there before.
const BOOT_NIC: &str = "enp1s0";
const BOOT_MAC: &str = "52:54:00:12:34:56";

const NETPLAN: &str = "etc/netplan/50-cloud-init.yaml";
const SHADOW: &str = "etc/shadow";

/// As cloud-init writes it.
const NETPLAN_AT_BOOT: &str = "\
network:
  version: 2
  ethernets:
    enp1s0:
      dhcp4: true
      match:
        macaddress: '52:54:00:12:34:56'
      set-name: enp1s0
";
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash
";
const SHADOW_AT_BOOT: &str = "\
root:*:20300:0:99999:7:::
daemon:*:20300:0:99999:7:::
ubuntu:!:20300:0:99999:7:::
";

/// Path, content, mode.
const FILES: [(&str, &str, u32); 6] = [
    (
        "usr/sbin/netplan",
        "Its presence says that netplan configures this machine. No program of it runs.\n",
        0o755,
    ),
    ("etc/passwd", PASSWD, 0o644),
    (SHADOW, SHADOW_AT_BOOT, 0o600),
    ("etc/login.defs", "ENCRYPT_METHOD SHA512\n", 0o644),
    (NETPLAN, NETPLAN_AT_BOOT, 0o600),
    ("run/cloud-init/.instance-id", "instance-abc\n", 0o644),
];

/// The sandbox.
#[derive(Debug)]
pub(super) struct Machine {
    root: PathBuf,
    /// Removed at the end, if it is ours to remove.
    temporary: Option<TempDir>,
    keep: bool,
}

impl Machine {
    /// Makes it in a given folder that is empty or absent, or in a temporary one.
    pub(super) fn make(root: Option<&Path>, keep: bool) -> anyhow::Result<Self> {
        let (root, temporary) = match root {
            Some(root) => (empty_folder(root)?, None),
            None => {
                let folder = tempfile::Builder::new().prefix("cloud-channel-demo-").tempdir();
                let folder = folder.context("cannot make a temporary folder")?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let machine = Self { root, temporary, keep };
        for (path, content, mode) in FILES {
            machine.put(path, content, mode)?;
        }
        machine.plug(BOOT_NIC, BOOT_MAC)?;
        Ok(machine)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The daemon's log.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("cloud-channel.log")
    }

    /// What the kernel would show once the hardware is there.
    pub(super) fn plug(&self, name: &str, address: &str) -> anyhow::Result<()> {
        let folder = format!("sys/class/net/{name}");
        self.put(&format!("{folder}/address"), &format!("{address}\n"), 0o644)?;
        self.put(&format!("{folder}/mtu"), "1500\n", 0o644)
    }

    /// Both NICs are configured, and nothing else has changed in netplan's file.
    pub(super) fn check_network(&self) -> anyhow::Result<()> {
        let text = self.get(NETPLAN)?;
        for part in [NIC, MAC, BOOT_NIC, BOOT_MAC] {
            ensure!(text.contains(part), "`{NETPLAN}` of the sandbox has no {part} in it");
        }
        Ok(())
    }

    /// Root has this hash, and nobody else has changed.
    pub(super) fn check_password(&self, hash: &str) -> anyhow::Result<()> {
        let text = self.get(SHADOW)?;
        let others = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("root:")).map(str::to_owned).collect()
        };
        let root = text.lines().find_map(|line| line.strip_prefix("root:"));
        let set = root.and_then(|rest| rest.split(':').next()) == Some(hash);
        ensure!(set, "`{SHADOW}` of the sandbox does not have the pushed hash for root");
        ensure!(
            others(&text) == others(SHADOW_AT_BOOT),
            "`{SHADOW}` of the sandbox has changed for others than root"
        );
        Ok(())
    }

    /// Removes it, or leaves it and says so.
    pub(super) fn leave(self) -> io::Result<bool> {
        match self.temporary {
            Some(folder) if self.keep => {
                drop(folder.keep());
                Ok(true)
            }
            Some(folder) => folder.close().map(|()| false),
            None => Ok(true),
        }
    }

    fn put(&self, path: &str, content: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(path);
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, content)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let path = self.root.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }
}

/// The folder as an absolute path, made if it is not there.
fn empty_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{shown}`"))?;
    let mut entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{shown}`"))?;
    ensure!(entries.next().is_none(), "`{shown}` is not empty: give --root a folder that is empty or absent");
    folder.canonicalize().with_context(|| format!("cannot resolve `{shown}`"))
}
