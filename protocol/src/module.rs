//! Config modules: how a channel spells them, and what cloud-init calls them.

use std::fmt;
use std::sync::Arc;

/// A module that this project applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    /// Network configuration, of version 1 or 2.
    Network,
    /// cloud-init's `cc_set_passwords`.
    SetPasswords,
}

/// One row a module: the one place that knows the names.
struct Names {
    module: Module,
    /// First the canonical name, then the aliases a channel may use.
    channel: &'static [&'static str],
    /// The last part of `name` in a reporting event.
    event: &'static str,
}

const NAMES: &[Names] = &[
    Names { module: Module::Network, channel: &["network"], event: "config-network" },
    Names {
        module: Module::SetPasswords,
        // The design note says `cc_set_password`; the module's file is `cc_set_passwords`.
        channel: &[
            "cc_set_passwords",
            "cc_set_password",
            "set_passwords",
            "set-passwords",
            "cc-set-passwords",
        ],
        event: "config-set-passwords",
    },
];

impl Module {
    /// Every module, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|row| row.module)
    }

    /// The name to use where nobody has chosen a spelling.
    #[must_use]
    pub fn canonical(self) -> &'static str {
        self.names().channel[0]
    }

    /// cloud-init's name of the step in a reporting event: `config-set-passwords`.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        self.names().event
    }

    fn names(self) -> &'static Names {
        NAMES.iter().find(|row| row.module == self).expect("the table has a row for every module")
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.canonical())
    }
}

/// A module's name as a channel spells it. The spelling is kept, because results go back under it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ModuleName(Arc<str>);

impl ModuleName {
    /// Takes one channel segment.
    #[must_use]
    pub(crate) fn from_segment(segment: &str) -> Self {
        Self(segment.into())
    }

    /// The module it stands for, if it is one that we apply.
    #[must_use]
    pub fn module(&self) -> Option<Module> {
        NAMES.iter().find(|row| row.channel.contains(&&*self.0)).map(|row| row.module)
    }

    /// The spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Module> for ModuleName {
    fn from(module: Module) -> Self {
        Self(module.canonical().into())
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_its_module() {
        for (spelling, module) in [
            ("network", Some(Module::Network)),
            ("cc_set_passwords", Some(Module::SetPasswords)),
            ("cc_set_password", Some(Module::SetPasswords)),
            ("set-passwords", Some(Module::SetPasswords)),
            ("cc_runcmd", None),
            ("Network", None),
        ] {
            assert_eq!(ModuleName::from_segment(spelling).module(), module, "{spelling}");
        }
        for module in Module::all() {
            assert_eq!(ModuleName::from(module).module(), Some(module));
        }
    }
}
