//! Data from the command line: JSON, and YAML where people keep their config in such files.

use anyhow::{Context, bail};
use cloud_channel_handlers::yaml::{self, Content};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// JSON from an argument, or from standard input for `-`.
pub(super) fn read_json(argument: &str, what: &str) -> anyhow::Result<Box<RawValue>> {
    as_json(&text_or_stdin(argument)?, what)
}

/// As [`read_json`], of a text that may be YAML as well.
pub(super) fn read_json_or_yaml(argument: &str, what: &str) -> anyhow::Result<Box<RawValue>> {
    json_or_yaml(&text_or_stdin(argument)?, what)
}

fn json_or_yaml(text: &str, what: &str) -> anyhow::Result<Box<RawValue>> {
    let json = as_json(text, what);
    // YAML has braces too, but who begins with one means JSON, and wants its faults told.
    if json.is_ok() || text.trim_start().starts_with(['{', '[']) {
        return json;
    }
    let node = yaml::read(text.as_bytes()).with_context(|| format!("{what} is neither JSON nor YAML"))?;
    if !matches!(node.content, Content::Map(_) | Content::List(_)) {
        bail!("{what} is {}, expected a map", node.content.kind());
    }
    Ok(to_raw_value(&Value::from(node))?)
}

fn text_or_stdin(argument: &str) -> anyhow::Result<String> {
    if argument == "-" {
        return std::io::read_to_string(std::io::stdin()).context("cannot read standard input");
    }
    Ok(argument.to_owned())
}

/// The text may hold a secret: the error says where, not what.
fn as_json(text: &str, what: &str) -> anyhow::Result<Box<RawValue>> {
    RawValue::from_string(text.trim().to_owned()).with_context(|| format!("{what} is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let json = json_or_yaml(text, "`net.yaml`").map(|value| value.get().to_owned());
        json.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn files_are_json_or_yaml() {
        assert_eq!(read(" {\"b\": 1,  \"a\": 2}\n").unwrap(), "{\"b\": 1,  \"a\": 2}", "as it is");
        let yaml = "# mine\nnetwork:\n  version: 1\n  config: [{mac_address: 52:54:00:12:34:56}]\n";
        let json = r#"{"network":{"version":1,"config":[{"mac_address":"52:54:00:12:34:56"}]}}"#;
        assert_eq!(read(yaml).unwrap(), json);
    }

    #[test]
    fn faults_name_the_file_and_the_place_and_no_secret() {
        for (text, expected) in [
            ("network:\n  version: 2\n bad: hunter2\n", "`net.yaml` is neither JSON nor YAML: "),
            ("{\"password\": hunter2}", "`net.yaml` is not JSON: "),
            ("hunter2", "`net.yaml` is a text, expected a map"),
            ("", "`net.yaml` is nothing, expected a map"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("line") || error.contains("expected a map"), "{error}");
        }
    }
}
