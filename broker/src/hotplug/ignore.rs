//! Names of devices that nobody wants to hear of.

use std::fmt;

use cloud_channel_protocol::shorten;

/// Longest pattern; a network interface's name has 15 bytes at most, a disk's 31.
const LONGEST: usize = 64;

/// A pattern of names: `*` stands for any characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob(String);

impl NameGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_graphic() && c != '/';
        if text.is_empty() || text.len() > LONGEST || !text.chars().all(fits) {
            let given = shorten(text);
            return Err(format!(
                "expected a device's name of 1 to {LONGEST} characters, with `*` and `?` for any others, such as \
                 `veth*`, got `{given}`"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// True if a name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on if it does not fit: behind the last `*`, one byte of the name further.
        let mut retry = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, n + 1));
                    p += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
                _ => match retry {
                    Some((behind, next)) => {
                        retry = Some((behind, next + 1));
                        (p, n) = (behind, next);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for NameGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_or_not() {
        for (pattern, fitting, others) in [
            ("veth*", &["veth", "veth1a2b"][..], &["eth0", "aveth0"][..]),
            ("eth?", &["eth0"], &["eth", "eth10"]),
            ("*", &["", "x"], &[]),
            ("a*b*c", &["abc", "axxbyyc", "abbcc", "abcbc"], &["ab", "acb", "abcx"]),
            ("sd[a]", &["sd[a]"], &["sda"]),
        ] {
            let glob = NameGlob::parse(pattern).unwrap();
            assert!(fitting.iter().all(|name| glob.matches(name)), "{pattern}");
            assert!(!others.iter().any(|name| glob.matches(name)), "{pattern}");
        }
        // No pattern takes more than the product of both lengths.
        let glob = NameGlob::parse(&"*a".repeat(32)).unwrap();
        assert!(!glob.matches(&"a".repeat(31)) && glob.matches(&"a".repeat(32)));
    }

    #[test]
    fn faults_are_told() {
        for bad in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(NameGlob::parse(bad).unwrap_err().contains("such as `veth*`"), "{bad}");
        }
    }
}
