//! Who reads sysconfig files on this machine: three programs do, with one spelling and three vocabularies.

use crate::network::machine::reading::{text, unreadable};
use crate::{Refusal, System};

/// A program that reads `ifcfg-*` files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    /// Red Hat's `ifup` and `ifdown`.
    NetworkScripts,
    /// NetworkManager's ifcfg-rh plugin.
    NetworkManager,
    /// SUSE's wicked.
    Wicked,
}

/// Families of distributions that have such files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    RedHat,
    Suse,
}

/// What `ID` and `ID_LIKE` of os-release say of them; prefixes, because SUSE's are many (`opensuse-leap`, `sles`).
const FAMILIES: [(&str, Family); 15] = [
    ("almalinux", Family::RedHat),
    ("amzn", Family::RedHat),
    ("centos", Family::RedHat),
    ("cloudlinux", Family::RedHat),
    ("eurolinux", Family::RedHat),
    ("fedora", Family::RedHat),
    ("miraclelinux", Family::RedHat),
    ("openEuler", Family::RedHat),
    ("openmandriva", Family::RedHat),
    ("rhel", Family::RedHat),
    ("rocky", Family::RedHat),
    ("virtuozzo", Family::RedHat),
    ("opensuse", Family::Suse),
    ("sle", Family::Suse),
    ("suse", Family::Suse),
];

/// Where NetworkManager's plugins are, in a folder for each of its versions.
const PLUGIN_FOLDERS: [&str; 2] = ["/usr/lib64/NetworkManager", "/usr/lib/NetworkManager"];

const PLUGIN: &str = "libnm-settings-plugin-ifcfg-rh.so";

/// Folders of programs.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

impl Stack {
    /// Who reads the files here. A folder without os-release is taken for a Red Hat, unless it has wicked's folder.
    pub(crate) fn of(system: &dyn System) -> Result<Self, Refusal> {
        let family = match Family::of(system) {
            Some(family) => family,
            None if has_file(WICKED_CONFIG, system)? => Family::Suse,
            None => Family::RedHat,
        };
        Ok(match family {
            Family::Suse => Self::Wicked,
            Family::RedHat if has_plugin(system)? => Self::NetworkManager,
            Family::RedHat => Self::NetworkScripts,
        })
    }

    /// True if cloud-init would choose sysconfig here: a distribution that it knows, with a program that reads the
    /// files.
    pub(crate) fn is_available(system: &dyn System) -> bool {
        let has = |program: &str| {
            PROGRAM_FOLDERS.iter().any(|folder| system.has_program(&format!("{folder}/{program}")))
        };
        let configs =
            ["/etc/sysconfig/network-scripts/network-functions", "/etc/sysconfig/config", WICKED_CONFIG];
        let scripts = || configs.iter().any(|path| has_file(path, system).unwrap_or_default());
        Family::of(system).is_some()
            && ((has("ifup") && has("ifdown") && scripts()) || has_plugin(system).unwrap_or_default())
    }

    /// The folder of `ifcfg-*`.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::NetworkScripts | Self::NetworkManager => "/etc/sysconfig/network-scripts",
            Self::Wicked => "/etc/sysconfig/network",
        }
    }

    /// The file of udev rules that cloud-init names cards with.
    pub(crate) const fn udev_rules(self) -> &'static str {
        match self {
            Self::NetworkScripts | Self::NetworkManager => "/etc/udev/rules.d/70-persistent-net.rules",
            Self::Wicked => "/etc/udev/rules.d/85-persistent-net-cloud-init.rules",
        }
    }

    /// The name of the program, for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NetworkScripts => "network-scripts",
            Self::NetworkManager => "NetworkManager's ifcfg-rh",
            Self::Wicked => "wicked",
        }
    }
}

/// wicked's own settings, on every machine that has it.
const WICKED_CONFIG: &str = "/etc/sysconfig/network/config";

impl Family {
    fn of(system: &dyn System) -> Option<Self> {
        let release = text(system, "/etc/os-release").or_else(|| text(system, "/usr/lib/os-release"))?;
        let value = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        // What the distribution is comes before what it is like.
        let words = [value("ID"), value("ID_LIKE")].join(" ");
        words.split_whitespace().find_map(|word| {
            FAMILIES.iter().find(|(prefix, _)| word.starts_with(prefix)).map(|(_, family)| *family)
        })
    }
}

fn has_file(path: &str, system: &dyn System) -> Result<bool, Refusal> {
    system.read(path).map(|file| file.is_some()).map_err(|error| unreadable(&error))
}

/// NetworkManager's command, if it is there.
pub(crate) fn nmcli(system: &dyn System) -> Option<&'static str> {
    ["/usr/bin/nmcli", "/bin/nmcli"].into_iter().find(|path| system.has_program(path))
}

/// True if NetworkManager is there and reads ifcfg files.
fn has_plugin(system: &dyn System) -> Result<bool, Refusal> {
    if nmcli(system).is_none() {
        return Ok(false);
    }
    for folder in PLUGIN_FOLDERS {
        for version in system.list(folder).map_err(|error| unreadable(&error))? {
            let plugins = system.list(&format!("{folder}/{version}"));
            // A file beside the versions is no folder, and has no plugin in it.
            if plugins.is_ok_and(|names| names.iter().any(|name| name == PLUGIN)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    #[test]
    fn os_release_tells_the_family() {
        for (release, expected) in [
            ("NAME=x\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some(Family::RedHat)),
            ("ID=opensuse-leap\nID_LIKE='suse opensuse'\n", Some(Family::Suse)),
            ("ID=sles\n", Some(Family::Suse)),
            ("ID=mine\nID_LIKE=\"fedora\"\n", Some(Family::RedHat)),
            ("ID=debian\nVERSION_ID=12\n", None),
            ("", None),
        ] {
            let system = MemorySystem::new().with_file("/etc/os-release", release);
            assert_eq!(Family::of(&system), expected, "{release}");
        }
    }

    #[test]
    fn network_manager_counts_if_it_has_the_plugin() {
        let system = MemorySystem::new()
            .with_file("/etc/os-release", "ID=rhel\n")
            .with_file("/usr/lib64/NetworkManager/conf.d/x.conf", "")
            .with_program("/usr/bin/nmcli");
        assert_eq!(Stack::of(&system).unwrap(), Stack::NetworkScripts);
        assert!(!Stack::is_available(&system));
        let system = system.with_file(&format!("/usr/lib64/NetworkManager/1.40.16-1.el9/{PLUGIN}"), "");
        assert_eq!(Stack::of(&system).unwrap(), Stack::NetworkManager);
        assert!(Stack::is_available(&system));
    }
}
