//! The machine's users: `/etc/passwd` and `/etc/shadow` as they are, and one user's shadow line.

use std::io;

use super::payload::Entry;
use crate::colon_file::ColonFile;
use crate::{FileState, Refusal, Secret, System};

/// Where users are.
pub(super) const PASSWD: &str = "/etc/passwd";
/// Where their passwords are.
pub(super) const SHADOW: &str = "/etc/shadow";

/// Both files, read once.
#[derive(Debug)]
pub(super) struct Accounts {
    passwd: ColonFile,
    /// The shadow file as it is.
    pub(super) shadow: FileState,
    lines: ColonFile,
}

impl Accounts {
    /// Reads both files.
    pub(super) fn read(system: &dyn System) -> Result<Self, Refusal> {
        let passwd = read(PASSWD, system)?;
        let shadow = read(SHADOW, system)?;
        Ok(Self {
            passwd: ColonFile::new(passwd.content),
            lines: ColonFile::new(shadow.content.clone()),
            shadow,
        })
    }

    /// Refuses all of a push if one of its users is not there: the others' passwords must not be set by half.
    pub(super) fn must_have(&self, entries: &[Entry]) -> Result<(), Refusal> {
        for entry in entries {
            let missing = |file: &str| {
                Refusal::at(&entry.place, format!("a user of this machine; `{file}` has no such line"))
                    .given(entry.name.as_str())
                    .hint("create the user first; nothing was changed")
            };
            if self.passwd.line(entry.name.as_str()).is_none() {
                return Err(missing(PASSWD));
            }
            if self.line(entry.name.as_str()).is_none() {
                return Err(missing(SHADOW));
            }
        }
        Ok(())
    }

    /// A user's shadow line.
    pub(super) fn line(&self, name: &str) -> Option<ShadowLine> {
        self.lines.line(name).map(ShadowLine::new)
    }
}

fn read(path: &str, system: &dyn System) -> Result<FileState, Refusal> {
    let refused =
        |why: String| Refusal::at("chpasswd", format!("a machine with a readable `{path}`")).hint(why);
    match system.read(path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(refused(format!("`{path}` does not exist; nothing was changed"))),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// One line of `/etc/shadow`: name, password, day of the last change, and what we never touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShadowLine(Secret);

impl ShadowLine {
    fn new(line: &str) -> Self {
        Self(Secret::new(line))
    }

    /// The whole line.
    pub(super) const fn whole(&self) -> &Secret {
        &self.0
    }

    /// The second field.
    pub(super) fn password(&self) -> &str {
        self.field(1)
    }

    /// True if the user has to choose a new password at the next login: the last change is on day 0.
    pub(super) fn is_expired(&self) -> bool {
        self.field(2) == "0"
    }

    /// The line with another password (or the same, if none is given) and day of change; everything else is kept.
    pub(super) fn with(&self, password: Option<&Secret>, day: u64) -> Secret {
        let mut fields: Vec<&str> = self.0.expose().split(':').collect();
        while fields.len() < 3 {
            fields.push("");
        }
        if let Some(password) = password {
            fields[1] = password.expose();
        }
        let day = day.to_string();
        fields[2] = &day;
        Secret::new(fields.join(":"))
    }

    fn field(&self, at: usize) -> &str {
        self.0.expose().split(':').nth(at).unwrap_or_default()
    }
}

/// Reads one file's lines, for a look after the change.
pub(super) fn shadow_now(system: &dyn System) -> io::Result<Option<ColonFile>> {
    Ok(system.read(SHADOW)?.map(|file| ColonFile::new(file.content)))
}

/// A user's line in lines read by [`shadow_now`].
pub(super) fn line_in(lines: &ColonFile, name: &str) -> Option<ShadowLine> {
    lines.line(name).map(ShadowLine::new)
}
