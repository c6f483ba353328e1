//! What has changed below a folder, as unified diffs without password hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use mgmt_sim::screen::Paint;
use similar::TextDiff;

/// The text files below a folder, by path.
#[derive(Debug)]
pub(super) struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads them all. The sandbox is small, so are its files.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut folders = vec![(folder.to_owned(), format!("/{name}"))];
        while let Some((folder, name)) = folders.pop() {
            let failed = || format!("cannot read `{}`", folder.display());
            for entry in std::fs::read_dir(&folder).with_context(failed)? {
                let entry = entry.with_context(failed)?;
                let name = format!("{name}/{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().with_context(failed)?;
                if kind.is_dir() {
                    folders.push((entry.path(), name));
                } else if kind.is_file() {
                    let content = std::fs::read(entry.path()).with_context(failed)?;
                    files.insert(name, String::from_utf8_lossy(&content).into_owned());
                }
            }
        }
        Ok(Self(files))
    }

    /// A diff for each file that is not the same in both, ready to print.
    pub(super) fn diffs(&self, after: &Self, paint: Paint) -> Vec<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let text = |files: &Self, path: &String| shorten_hashes(files.0.get(path).map_or("", String::as_str));
        let changed = paths.into_iter().filter(|path| self.0.get(*path) != after.0.get(*path));
        changed.map(|path| unified(path, &text(self, path), &text(after, path), paint)).collect()
    }
}

fn unified(path: &str, before: &str, after: &str, paint: Paint) -> String {
    let diff = TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a{path}"), &format!("b{path}"))
        .to_string();
    let coloured = diff.lines().map(|line| match line.as_bytes().first() {
        Some(b'+') => paint.good(line),
        Some(b'-') => paint.bad(line),
        _ => line.to_owned(),
    });
    coloured.collect::<Vec<_>>().join("\n")
}

/// Replaces every crypt(5) hash by its beginning: `$6$…`.
pub(super) fn shorten_hashes(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, hash)) = rest.split_once('$') {
        short.push_str(before);
        let end =
            hash.find(|c: char| !(c.is_ascii_alphanumeric() || "$./=,-_".contains(c))).unwrap_or(hash.len());
        match hash[..end].split_once('$') {
            Some((method, _)) => short.push_str(&format!("${method}$…")),
            None => short.push_str(&format!("${}", &hash[..end])),
        }
        rest = &hash[end..];
    }
    short.push_str(rest);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_not_shown() {
        for (text, shown) in [
            ("root:$6$salt$hash./x:20300:0:", "root:$6$…:20300:0:"),
            ("a:!$y$j9T$salt$hash:1\nb:*:2", "a:!$y$…:1\nb:*:2"),
            (r#"{"list":["root:$6$s$h"]}"#, r#"{"list":["root:$6$…"]}"#),
            ("costs $5 only", "costs $5 only"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(shorten_hashes(text), shown);
        }
    }
}
