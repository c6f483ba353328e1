//! A folder that plays a machine, and what can be seen of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::say;

/// The id of every sandbox's instance.
pub const INSTANCE: &str = "instance-abc";
/// Our network file below a sandbox.
pub const NETPLAN: &str = "etc/netplan/50-cloud-init.yaml";
/// Where passwords are below a sandbox.
pub const SHADOW: &str = "etc/shadow";
/// Root's password before any push, as it stands in the shadow file.
pub const OLD_HASH: &str = "$6$oldsalt$oldoldoldoldoldoldoldold";

/// What the daemon keeps for itself, which is not the machine.
const OWN_FOLDERS: [&str; 2] = ["var/lib/cloud-channel", "run/cloud-channel"];
/// What of the log a failed test shows.
const LOG_TAIL: usize = 60;

/// A machine in a folder of its own, removed at the end.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
}

/// Every file of the machine: path to kind, permissions and content.
pub type Tree = BTreeMap<PathBuf, String>;

impl Sandbox {
    /// A small Ubuntu-like machine with netplan, a card configured at boot, and the users root and ubuntu.
    #[must_use]
    pub fn machine() -> Self {
        let sandbox = Self::empty();
        sandbox.write("run/cloud-init/.instance-id", &format!("{INSTANCE}\n"));
        // The daemon's own folder lies in it; the machine has it anyway.
        fs::create_dir_all(sandbox.path("var/lib")).expect("a folder can be made in a new folder");
        sandbox.write("usr/sbin/netplan", "#!/bin/false\n");
        sandbox.set_mode("usr/sbin/netplan", 0o755);
        sandbox.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n",
        );
        sandbox.write(SHADOW, &format!("root:{OLD_HASH}:19000:0:99999:7:::\nubuntu:!:19000:0:99999:7:::\n"));
        sandbox.set_mode(SHADOW, 0o600);
        sandbox.write("etc/login.defs", "ENCRYPT_METHOD SHA512\n");
        let boot = "network:\n  version: 2\n  ethernets:\n    boot0:\n      match: {macaddress: \"52:54:00:00:00:01\"}\n      \
                    dhcp4: true\n      set-name: boot0\n";
        sandbox.write(NETPLAN, boot);
        sandbox.set_mode(NETPLAN, 0o600);
        sandbox
    }

    /// A folder with nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        let folder =
            tempfile::Builder::new().prefix("guest-").tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("root")).expect("a folder can be made in a new folder");
        Self { folder }
    }

    /// The folder that is the machine's `/`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A path beside the machine, for what only the test knows of.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the daemon's log goes.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.beside("guest.log")
    }

    /// The daemon's log of all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A path of the machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file, with its folders.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let folder = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .unwrap_or_else(|error| cannot(&path, &error));
    }

    /// Sets a file's permissions.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn set_mode(&self, path: &str, mode: u32) {
        let path = self.path(path);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .unwrap_or_else(|error| cannot(&path, &error));
    }

    /// A file's text.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| cannot(&path, &error))
    }

    /// A file's permissions.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn mode(&self, path: &str) -> u32 {
        let path = self.path(path);
        let metadata = fs::metadata(&path).unwrap_or_else(|error| cannot(&path, &error));
        metadata.permissions().mode() & 0o7777
    }

    /// Root's or another user's line of the shadow file, split.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn shadow(&self, user: &str) -> Vec<String> {
        let text = self.read(SHADOW);
        let line = text.lines().find(|line| line.split(':').next() == Some(user));
        let line = line.unwrap_or_else(|| panic!("`{SHADOW}` has no line of {user}"));
        line.split(':').map(ToOwned::to_owned).collect()
    }

    /// Everything of the machine but the daemon's own folders.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = self.whole_tree();
        tree.retain(|path, _| !OWN_FOLDERS.iter().any(|own| path.starts_with(own)));
        tree
    }

    /// Everything of the machine.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn whole_tree(&self) -> Tree {
        let mut tree = Tree::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap_or_else(|error| cannot(&folder, &error)) {
                let path = entry.unwrap_or_else(|error| cannot(&folder, &error)).path();
                let name = path.strip_prefix(self.root()).expect("it was found below the root").to_owned();
                tree.insert(name, describe(&path));
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                }
            }
        }
        tree
    }
}

fn describe(path: &Path) -> String {
    let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| cannot(path, &error));
    let mode = metadata.permissions().mode() & 0o7777;
    let content = if metadata.is_symlink() {
        fs::read_link(path).map(|target| format!("link to {}", target.display()))
    } else if metadata.is_file() {
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    } else {
        Ok(format!("{:?}", metadata.file_type()))
    };
    format!("{mode:04o} {}", content.unwrap_or_else(|error| cannot(path, &error)))
}

fn cannot<T>(path: &Path, error: &std::io::Error) -> T {
    panic!("`{}`: {error}", path.display())
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n");
            say(&format!("--- the end of the daemon's log ---\n{tail}\n---"));
        }
    }
}
