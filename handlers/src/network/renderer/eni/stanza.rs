//! A file of interfaces(5) as a value: stanzas of options and commands.

use std::fmt;

/// One file: stanzas in order.
#[derive(Debug, Default)]
pub(crate) struct InterfacesFile {
    pub(crate) stanzas: Vec<Stanza>,
}

/// One `iface` stanza, with the lines that say when it is brought up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stanza {
    /// Lines before the stanza: `auto`, `allow-hotplug`, `no-auto-down`, or a class of its own.
    classes: Vec<String>,
    interface: String,
    family: Family,
    method: &'static str,
    entries: Vec<(&'static str, String)>,
}

/// The address family of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Inet,
    Inet6,
}

/// When a command of a stanza runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    PreUp,
    PostUp,
    PreDown,
    PostDown,
}

/// A command of a stanza. ifupdown gives it to a shell, so it is made of constant words and of values that are
/// parsed: numbers, addresses, and names of a narrow alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command(String);

impl Command {
    /// A command, with its constant words.
    pub(crate) fn new(words: &'static str) -> Self {
        Self(words.to_owned())
    }

    /// Adds constant words.
    pub(crate) fn words(mut self, words: &'static str) -> Self {
        self.0.push(' ');
        self.0.push_str(words);
        self
    }

    /// Adds a constant word and a value, if there is one.
    pub(crate) fn option(self, word: &'static str, value: Option<impl ShellSafe>) -> Self {
        match value {
            Some(value) => Self(format!("{} {word} {value}", self.0)),
            None => self,
        }
    }

    /// Adds a value.
    pub(crate) fn value(self, value: impl ShellSafe) -> Self {
        Self(format!("{} {value}", self.0))
    }

    /// The command, whose failure does not matter: what it takes away may be gone.
    pub(crate) fn or_true(self) -> Self {
        self.words("|| true")
    }
}

/// Types whose text cannot mean anything to a shell.
pub(crate) trait ShellSafe: fmt::Display {}

impl ShellSafe for u32 {}
impl ShellSafe for u64 {}
impl ShellSafe for &'static str {}
impl ShellSafe for std::net::IpAddr {}
impl ShellSafe for std::net::Ipv4Addr {}
impl ShellSafe for std::net::Ipv6Addr {}
impl ShellSafe for crate::network::document::address::Cidr {}
impl ShellSafe for &crate::network::document::name::LinkName {}

impl Stanza {
    /// A stanza without options.
    pub(crate) fn new(interface: &impl fmt::Display, family: Family, method: &'static str) -> Self {
        Self { classes: Vec::new(), interface: interface.to_string(), family, method, entries: Vec::new() }
    }

    /// Adds a line `<class> <interface>` before the stanza.
    pub(crate) fn class(&mut self, class: impl fmt::Display) {
        self.classes.push(class.to_string());
    }

    /// Adds an option.
    pub(crate) fn set(&mut self, key: &'static str, value: impl fmt::Display) {
        self.entries.push((key, value.to_string()));
    }

    /// Adds an option, if there is a value.
    pub(crate) fn set_some(&mut self, key: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds an option whose value is a list, unless that is empty.
    pub(crate) fn set_list(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = impl fmt::Display>,
    ) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if !values.is_empty() {
            self.set(key, values.join(" "));
        }
    }

    /// Adds a command.
    pub(crate) fn run(&mut self, phase: Phase, command: Command) {
        let key = match phase {
            Phase::PreUp => "pre-up",
            Phase::PostUp => "post-up",
            Phase::PreDown => "pre-down",
            Phase::PostDown => "post-down",
        };
        self.entries.push((key, command.0));
    }

    /// The family.
    pub(crate) const fn family(&self) -> Family {
        self.family
    }

    /// True if a DHCP client runs for it.
    pub(crate) fn is_dhcp(&self) -> bool {
        self.method == "dhcp"
    }

    /// The method.
    pub(crate) const fn method(&self) -> &'static str {
        self.method
    }
}

impl fmt::Display for InterfacesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Written by cloud-channel: what cloud-init configured here, with what was pushed since merged in.\n")?;
        for stanza in &self.stanzas {
            write!(f, "\n{stanza}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in &self.classes {
            writeln!(f, "{class} {}", self.interface)?;
        }
        let family = if self.family == Family::Inet { "inet" } else { "inet6" };
        writeln!(f, "iface {} {family} {}", self.interface, self.method)?;
        for (key, value) in &self.entries {
            writeln!(f, "    {key} {value}")?;
        }
        Ok(())
    }
}
