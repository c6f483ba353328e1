//! A file of shell assignments as a value: variables and what they are set to.
//!
//! `ifup` sources such files, so what stands in them is run. One writer quotes every value; names of variables are
//! ours alone.

use std::collections::BTreeMap;
use std::fmt;

/// Variables in order of their names, as cloud-init writes them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Assignments {
    values: BTreeMap<Variable, String>,
}

/// A variable: a name, or one of several with a suffix (`IPADDR`, `IPADDR1`, `BONDING_SLAVE_0`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Variable(String);

impl Assignments {
    /// Sets a variable.
    pub(super) fn set(&mut self, name: &'static str, value: impl fmt::Display) {
        self.values.insert(Variable(name.to_owned()), value.to_string());
    }

    /// Sets one of several variables.
    pub(super) fn set_numbered(&mut self, name: &'static str, number: usize, value: impl fmt::Display) {
        self.values.insert(Variable(format!("{name}{number}")), value.to_string());
    }

    /// Sets a variable, if there is a value.
    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets a variable to `yes` or `no`, if there is a boolean.
    pub(super) fn set_bool(&mut self, name: &'static str, value: Option<bool>) {
        self.set_some(name, value.map(yes_no));
    }

    /// Sets a variable to words with spaces between, if there are any.
    pub(super) fn set_words(&mut self, name: &'static str, words: &[String]) {
        if !words.is_empty() {
            self.set(name, words.join(" "));
        }
    }
}

/// How sysconfig spells a boolean.
pub(super) const fn yes_no(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}

impl fmt::Display for Assignments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::HEADER)?;
        for (Variable(name), value) in &self.values {
            writeln!(f, "{name}={}", Quoted(value))?;
        }
        Ok(())
    }
}

/// A value as a shell reads it back: bare if it is nothing but plain characters, else in double quotes, which
/// NetworkManager and wicked read as well.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not `~`: a shell puts a home folder in its place.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@%+,-".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if "\\\"$`".contains(c) {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell makes of a value.
    #[expect(
        clippy::disallowed_methods,
        reason = "no machine is asked: a real shell is the judge of quoting"
    )]
    fn sourced(value: &str) -> String {
        let mut file = Assignments::default();
        file.set("VALUE", value);
        let script = format!("{file}printf %s \"$VALUE\"");
        let output = Command::new("/bin/sh").arg("-c").arg(script).env_clear().output().unwrap();
        assert!(output.status.success(), "{value:?}");
        assert_eq!(output.stderr, b"", "{value:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn hostile_values_stay_values() {
        for value in [
            "",
            "a b",
            "~root",
            "$(id)",
            "`id`",
            "a\"; id; \"",
            "\\",
            "\\\"$HOME",
            "'",
            "*",
            "#x",
            "a;b",
            "a&b",
        ] {
            assert_eq!(sourced(value), value);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_back_what_was_written(value in "[ -~]{0,24}") {
            prop_assert_eq!(sourced(&value), value);
        }
    }

    #[test]
    fn variables_are_in_order_and_quoted_where_needed() {
        let mut file = Assignments::default();
        file.set("ONBOOT", yes_no(true));
        file.set_words("DOMAIN", &["a.example".to_owned(), "b.example".to_owned()]);
        file.set_numbered("DNS", 1, "192.0.2.53");
        file.set_some("MTU", None::<u32>);
        let expected = "DNS1=192.0.2.53\nDOMAIN=\"a.example b.example\"\nONBOOT=yes\n";
        assert_eq!(file.to_string(), format!("{}{expected}", super::super::HEADER));
    }
}
