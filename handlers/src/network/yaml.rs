//! YAML files of the machine as JSON documents.

use serde_json::Value;

use super::link::unreadable;
use crate::yaml::{self, YamlError};
use crate::{Refusal, System};

/// Reads a YAML (or JSON) file; `None` if it is not there. The outer error is a machine that cannot be read, the
/// inner a text that cannot.
pub(super) fn read(path: &str, system: &dyn System) -> Result<Result<Option<Value>, YamlError>, Refusal> {
    let Some(file) = system.read(path).map_err(|error| unreadable(&error))? else { return Ok(Ok(None)) };
    Ok(yaml::read(&file.content).map(|node| Some(node.into())))
}
