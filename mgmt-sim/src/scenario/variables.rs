//! `${name}` in texts.

use std::collections::BTreeMap;
use std::fmt;

/// Variables that every scenario has.
const BUILT_IN: [&str; 2] = ["instance", "last_id"];

/// Names and values. A value may be a password, so `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Variables {
    /// Gives a variable a value, the latest counts.
    ///
    /// # Errors
    /// If the name is not one, or is one of those that every scenario has.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !fits || BUILT_IN.contains(&name) {
            let name = cloud_channel_protocol::shorten(name);
            return Err(format!(
                "`{name}` cannot be a variable: expected letters, digits and _, and neither `instance` nor `last_id`"
            ));
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Checks that every variable in a text is known.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        let known = |name: &str| BUILT_IN.contains(&name) || self.0.contains_key(name);
        expand(text, |name| Some(if known(name) { String::new() } else { return None })).map(drop).map_err(
            |name| {
                let names: Vec<&str> = self.0.keys().map(String::as_str).chain(BUILT_IN).collect();
                format!(
                    "`${{{}}}` is unknown, expected one of {}",
                    cloud_channel_protocol::shorten(&name),
                    names.join(", ")
                )
            },
        )
    }

    /// Puts the values in.
    pub(super) fn fill(
        &self,
        text: &str,
        instance: Option<&str>,
        last_id: Option<&str>,
    ) -> Result<String, String> {
        let value = |name: &str| match name {
            "instance" => instance.map(str::to_owned),
            "last_id" => last_id.map(str::to_owned),
            name => self.0.get(name).cloned(),
        };
        expand(text, value).map_err(|name| match name.as_str() {
            "instance" => {
                "the guest's instance-id is not known yet: wait for the guest first, or give --instance"
                    .to_owned()
            }
            "last_id" => "`${last_id}` stands for nothing, since nothing was sent yet".to_owned(),
            name => format!("`${{{name}}}` is unknown"),
        })
    }
}

/// Replaces every `${name}`; the name that has no value is the error. `$` alone is a character like any other.
fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&value(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in() {
        let mut variables = Variables::default();
        variables.set("mac", "00:11").unwrap();
        let fill = |text: &str| variables.fill(text, Some("i-1"), None);
        assert_eq!(fill("/cloudinit/${instance}/x ${mac}!").unwrap(), "/cloudinit/i-1/x 00:11!");
        assert_eq!(fill("$6$salt$hash ${").unwrap(), "$6$salt$hash ${");
        assert!(fill("${last_id}").unwrap_err().contains("nothing was sent"));
        assert!(variables.check("${macc}").unwrap_err().contains("expected one of mac, instance, last_id"));
        assert!(variables.check("${mac} ${instance} ${last_id}").is_ok());
        assert!(variables.set("instance", "x").is_err());
    }
}
