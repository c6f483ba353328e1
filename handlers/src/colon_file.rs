//! A file of colon-separated lines, `/etc/passwd` or `/etc/shadow`: one line is looked up or replaced, every
//! other byte is kept.

use std::fmt;

/// The file's content. `Debug` shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ColonFile(Vec<u8>);

impl ColonFile {
    /// Takes a file's content. Nothing is checked: lines that make no sense are kept as they are.
    pub(crate) const fn new(content: Vec<u8>) -> Self {
        Self(content)
    }

    /// The line whose first field is `key`, without its newline. The first such line counts, as for the C
    /// library; one that is not UTF-8 counts as absent.
    pub(crate) fn line(&self, key: &str) -> Option<&str> {
        let (start, end) = self.find(key)?;
        std::str::from_utf8(&self.0[start..end]).ok()
    }

    /// Puts `line` in place of the line whose first field is `key`. False if there is none.
    pub(crate) fn replace(&mut self, key: &str, line: &str) -> bool {
        let Some((start, end)) = self.find(key) else { return false };
        self.0.splice(start..end, line.bytes());
        true
    }

    /// The content.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn find(&self, key: &str) -> Option<(usize, usize)> {
        let mut start = 0;
        for line in self.0.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            if text.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.first() == Some(&b':')) {
                return Some((start, start + text.len()));
            }
            start += line.len();
        }
        None
    }
}

impl fmt::Debug for ColonFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColonFile({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_one_line_and_keeps_every_other_byte() {
        let content = b"root:*:1\n\xff\xfe:junk\n\nrooty:x\nroot:second\nlast:z".to_vec();
        let mut file = ColonFile::new(content);
        assert_eq!(file.line("root"), Some("root:*:1"));
        assert_eq!(file.line("roo"), None);
        assert_eq!(file.line("last"), Some("last:z"));
        assert!(file.replace("root", "root:new") && file.replace("last", "last:"));
        assert!(!file.replace("nobody", "nobody:x"));
        assert_eq!(file.into_bytes(), b"root:new\n\xff\xfe:junk\n\nrooty:x\nroot:second\nlast:");
    }
}
