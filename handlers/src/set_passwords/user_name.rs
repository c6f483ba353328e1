//! A user's name, safe in a line of `/etc/shadow`, in a command's arguments and in an error text.

use std::fmt;

/// As long as `useradd` allows.
const LONGEST: usize = 32;

/// What the grammar asks for, for error texts.
pub(super) const EXPECTED: &str =
    "a user name: a letter, a digit or `_`, then at most 31 letters, digits, `_`, `.` or `-`";

/// A name that matches `[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}`, with an optional `$` at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UserName(String);

impl UserName {
    /// Takes a name that matches the grammar.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix('$').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = (1..=LONGEST).contains(&stem.len())
            && stem.bytes().all(|byte| plain(byte) || byte == b'.' || byte == b'-')
            // No leading dash: it would be an option of the command it is given to.
            && stem.bytes().next().is_some_and(plain);
        valid.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_mean_something_else_are_none() {
        for good in ["root", "_apt", "a", "0day", "Max.Muster-mann_2", "machine$", &"x".repeat(32)] {
            assert_eq!(UserName::parse(good).map(|name| name.to_string()).as_deref(), Some(good));
        }
        for bad in
            ["", "$", "-r", ".x", "a b", "a:b", "a\nb", "a\0", "rööt", "a/b", "a$b", "a$$", &"x".repeat(33)]
        {
            assert_eq!(UserName::parse(bad), None, "{bad:?}");
        }
    }
}
