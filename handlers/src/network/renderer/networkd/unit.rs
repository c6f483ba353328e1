//! A systemd configuration file as a value: sections of keys.

use std::fmt;

/// One file: sections in order. A name may come more than once, as `[Route]` does.
#[derive(Debug, Default)]
pub(super) struct UnitFile {
    sections: Vec<Section>,
}

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    name: &'static str,
    entries: Vec<(&'static str, String)>,
}

impl UnitFile {
    /// Adds a section, unless there is nothing in it.
    pub(super) fn add(&mut self, section: Section) {
        if !section.entries.is_empty() {
            self.sections.push(section);
        }
    }
}

impl Section {
    /// A section without keys.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, entries: Vec::new() }
    }

    /// Adds a key.
    pub(super) fn set(&mut self, key: &'static str, value: impl fmt::Display) {
        self.entries.push((key, value.to_string()));
    }

    /// Adds a key, if there is a value.
    pub(super) fn set_some(&mut self, key: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds a boolean as systemd spells it, if there is one.
    pub(super) fn set_bool(&mut self, key: &'static str, value: Option<bool>) {
        self.set_some(key, value.map(yes_no));
    }

    /// Adds a key once for each value.
    pub(super) fn set_each(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = impl fmt::Display>,
    ) {
        for value in values {
            self.set(key, value);
        }
    }
}

/// systemd's spelling of a boolean.
pub(super) const fn yes_no(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}

impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Written by cloud-channel.\n")?;
        for section in &self.sections {
            writeln!(f, "\n[{}]", section.name)?;
            for (key, value) in &section.entries {
                writeln!(f, "{key}={value}")?;
            }
        }
        Ok(())
    }
}
