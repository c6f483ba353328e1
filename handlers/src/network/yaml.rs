//! YAML files as JSON documents: what others wrote is read within limits, what we write can be misread by
//! nobody.

use serde_json::Value;

use super::link::unreadable;
use crate::{Refusal, System};

/// Reads a YAML (or JSON) file. The outer error is a machine that cannot be read, the inner a text that is no
/// YAML: it names the place and no content, because such files may hold keys of wireless networks.
pub(super) fn read(path: &str, system: &dyn System) -> Result<Result<Option<Value>, String>, Refusal> {
    let Some(file) = system.read(path).map_err(|error| unreadable(&error))? else { return Ok(Ok(None)) };
    Ok(parse(&file.content).map(Some))
}

/// Parses YAML. The parser's own budget bounds depth, nodes and the growth of aliases.
pub(super) fn parse(content: &[u8]) -> Result<Value, String> {
    serde_saphyr::from_slice(content).map_err(|error| match error.location() {
        Some(at) => format!("no valid YAML at line {} column {}", at.line(), at.column()),
        None => "no valid YAML".to_owned(),
    })
}

/// Writes a document, every text quoted: YAML 1.1, which Python reads, takes `12:34:56` for a number and `no`
/// for a boolean.
pub(super) fn write(document: &Value) -> Result<String, Refusal> {
    let options = serde_saphyr::ser_options! { quote_all: true, prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(document, options).map_err(|error| {
        Refusal::at("network", "a config that can be written as YAML").given(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_look_like_other_things_are_quoted() {
        let document =
            json!({"mac": "52:54:00:12:34:56", "no": "yes", "n": "010", "list": ["1e3", "~"], "i": 9});
        let text = write(&document).unwrap();
        assert_eq!(
            text,
            "mac: '52:54:00:12:34:56'\n\"no\": 'yes'\n\"n\": '010'\nlist:\n- '1e3'\n- '~'\ni: 9\n"
        );
        assert_eq!(parse(text.as_bytes()).unwrap(), document);
    }

    #[test]
    fn faults_name_the_place_and_not_the_content() {
        let error = parse(b"wifis:\n  password: [hunter2\n").unwrap_err();
        assert!(error.starts_with("no valid YAML"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", ")));
        }
        assert!(parse(text.as_bytes()).is_err());
    }
}
