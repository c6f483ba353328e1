//! Reading the machine's files: as text, as YAML, and what is said if one cannot be read.

use std::io;

use serde_json::Value;

use crate::yaml::{self, YamlError};
use crate::{Refusal, System};

/// A file's text without its last newline. What sysfs and procfs will not show (a link that is down has no
/// carrier to read) counts as not there.
pub(crate) fn text(system: &dyn System, path: &str) -> Option<String> {
    let file = system.read(path).ok().flatten()?;
    String::from_utf8(file.content).ok().map(|text| text.trim_end().to_owned())
}

/// Reads a YAML (or JSON) file as a JSON document; `None` if it is not there. The outer error is a machine that cannot be
/// read, the inner a text that cannot.
pub(crate) fn document(path: &str, system: &dyn System) -> Result<Result<Option<Value>, YamlError>, Refusal> {
    let Some(file) = system.read(path).map_err(|error| unreadable(&error))? else { return Ok(Ok(None)) };
    Ok(yaml::read(&file.content).map(|node| Some(node.into())))
}

/// A refusal because the machine cannot be read. The error names the path.
pub(crate) fn unreadable(error: &io::Error) -> Refusal {
    Refusal::at("network", "a machine whose network files can be read").given(error.to_string())
}
