//! `hotplug`: whether the daemon hears of hardware itself, and of which it does not tell.

use super::read::{Field, show_bytes};
use super::value::{Row, Value};
use crate::hotplug::NameGlob;

/// Sixty cards make some thousand uevents, each of which counts as up to 2 KiB, and a machine in trouble makes more; what
/// finds no room is lost. The memory is taken only while something waits.
const BUFFER: u64 = 16 << 20;
/// Patterns at most.
const MOST_IGNORED: usize = 64;

/// What is listened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotplugSettings {
    /// The kernel's events are listened to.
    pub listen: bool,
    /// Names of devices that are not told of.
    pub ignore: Vec<NameGlob>,
    /// What of the kernel's events may wait to be read, in bytes.
    pub buffer: usize,
}

/// The keys, while files are put together.
#[derive(Debug)]
pub(super) struct HotplugDraft {
    listen: Value<bool>,
    ignore: Value<Vec<NameGlob>>,
    buffer: Value<u64>,
}

impl HotplugDraft {
    pub(super) const KEYS: &[&str] = &["listen", "ignore", "buffer"];

    /// The kernel speaks of its own machine, never of a sandbox.
    pub(super) fn new(sandbox: bool) -> Self {
        Self {
            listen: Value::new("hotplug.listen", !sandbox),
            ignore: Value::new("hotplug.ignore", Vec::new()),
            buffer: Value::new("hotplug.buffer", BUFFER),
        }
    }

    pub(super) fn set(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        match field.key {
            "listen" => self.listen.set(field.truth()?, from),
            "buffer" => self.buffer.set(field.bytes(4 << 10..=1 << 30)?, from),
            _ => {
                let ignore = field.list("names", |item| item.parsed(NameGlob::parse))?;
                if ignore.len() > MOST_IGNORED {
                    let given = ignore.len();
                    return Err(field.wrong(format!("expected at most {MOST_IGNORED} names, got {given}")));
                }
                self.ignore.set(ignore, from);
            }
        }
        Ok(())
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let show = |names: &Vec<NameGlob>| {
            let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
            if texts.is_empty() { "(none)".to_owned() } else { texts.join(" ") }
        };
        rows.push(self.listen.row(ToString::to_string));
        rows.push(self.ignore.row(show));
        rows.push(self.buffer.row(|bytes| show_bytes(*bytes)));
    }

    pub(super) fn finish(self, sandbox: bool) -> Result<HotplugSettings, String> {
        if sandbox && self.listen.value {
            let Value { name, from, .. } = &self.listen;
            return Err(format!(
                "`{name}` (from {from}) is true: with `--root` there is no hardware to listen to, expected false or nothing"
            ));
        }
        // Within the range that was read, so it fits.
        let buffer = usize::try_from(self.buffer.value).unwrap_or(usize::MAX);
        Ok(HotplugSettings { listen: self.listen.value, ignore: self.ignore.value, buffer })
    }
}
