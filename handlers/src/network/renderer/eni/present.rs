//! What the machine's `/etc/network/interfaces` defines, with every file that it sources: interfaces(5).

use std::collections::BTreeSet;

use crate::network::document::name::Pattern;
use crate::network::machine::reading::unreadable;
use crate::{Refusal, System};

/// Where ifupdown starts to read.
pub(super) const TOP: &str = "/etc/network/interfaces";

/// Files that are read: far more than anyone has, and few enough to be read for each push.
const MOST_FILES: usize = 256;

/// What is configured.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Each `iface` line's name, with its file.
    pub(super) interfaces: Vec<(String, String)>,
    /// Each pattern of an `auto`, `allow-…` or `mapping` line, with its file.
    pub(super) patterns: Vec<(Pattern, String)>,
    /// True if our file is one that is read, or would be if it were there.
    pub(super) reads_ours: bool,
    /// `source` lines that are not followed, with their file.
    pub(super) unfollowed: Vec<(String, String)>,
    seen: BTreeSet<String>,
}

impl Present {
    /// Reads everything that ifupdown would; `ours` is our file.
    pub(super) fn read(ours: &str, system: &dyn System) -> Result<Self, Refusal> {
        let mut present = Self::default();
        let mut open = vec![TOP.to_owned()];
        while let Some(path) = open.pop() {
            if !present.seen.insert(path.clone()) {
                continue;
            }
            if present.seen.len() > MOST_FILES {
                let expected = format!("at most {MOST_FILES} files sourced by `{TOP}`");
                return Err(Refusal::at("network", expected).given(&path));
            }
            let Some(file) = system.read(&path).map_err(|error| unreadable(&error))? else { continue };
            for line in logical_lines(&String::from_utf8_lossy(&file.content)) {
                present.read_line(&line, &path, ours, &mut open, system)?;
            }
        }
        Ok(present)
    }

    fn read_line(
        &mut self,
        line: &str,
        path: &str,
        ours: &str,
        open: &mut Vec<String>,
        system: &dyn System,
    ) -> Result<(), Refusal> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("iface") => {
                self.interfaces.extend(words.next().map(|name| (name.to_owned(), path.to_owned())));
            }
            Some(keyword @ ("source" | "source-directory")) => {
                for word in words {
                    let of_folder = keyword == "source-directory";
                    self.source(word, of_folder, (path, ours), open, system)?;
                }
            }
            Some("mapping") => {
                self.patterns.extend(words.map(|word| (Pattern::from_file(word), path.to_owned())));
            }
            Some(keyword) if keyword == "auto" || keyword.starts_with("allow-") => {
                // `/en*=logical`; with something before the slash it is no name that is matched.
                let patterns = words.filter_map(|word| word.strip_prefix('/'));
                let patterns =
                    patterns.map(|word| Pattern::from_file(word.split(['/', '=']).next().unwrap_or("")));
                self.patterns.extend(patterns.map(|pattern| (pattern, path.to_owned())));
            }
            _ => {}
        }
        Ok(())
    }

    fn source(
        &mut self,
        word: &str,
        of_folder: bool,
        (path, ours): (&str, &str),
        open: &mut Vec<String>,
        system: &dyn System,
    ) -> Result<(), Refusal> {
        let base = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let word = if word.starts_with('/') { word.to_owned() } else { format!("{base}/{word}") };
        let word = if of_folder { format!("{}/*", word.trim_end_matches('/')) } else { word };
        let Some((folder, last)) = word.rsplit_once('/') else { return Ok(()) };
        if folder.contains(['*', '?', '[', '$', '~', '`', '"', '\'', '\\']) || last.contains(['$', '`']) {
            self.unfollowed.push((word.clone(), path.to_owned()));
            return Ok(());
        }
        let pattern = Pattern::from_file(last);
        let is_read = |name: &str| {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            let hidden = name.starts_with('.') && !last.starts_with('.');
            pattern.matches(name) && !hidden && (!of_folder || plain)
        };
        self.reads_ours |= ours.rsplit_once('/').is_some_and(|(ours, name)| ours == folder && is_read(name));
        let names = system.list(folder).map_err(|error| unreadable(&error))?;
        open.extend(names.iter().filter(|name| is_read(name)).map(|name| format!("{folder}/{name}")));
        Ok(())
    }
}

/// Lines without comments, with those joined that end in a backslash.
pub(super) fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        if let Some(part) = line.strip_suffix('\\') {
            open.push_str(part);
            continue;
        }
        let line = std::mem::take(&mut open) + line;
        if !line.trim_start().starts_with('#') {
            lines.push(line);
        }
    }
    lines.push(open);
    lines
}
