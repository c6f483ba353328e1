//! Taking the network over from cloud-init: a push says `take-over: true`, and from then on cloud-init leaves the network
//! alone, which it would otherwise configure anew for a new instance, and on some platforms at every boot.
//!
//! It is a file of cloud-init's own configuration and nothing else, and so it is undone: by `take-over: null`, or by a
//! rollback.

use serde_json::{Map, Value};

use crate::network::document::config::TAKE_OVER;
use crate::network::machine::reading::unreadable;
use crate::network::renderer::rendered_file::RenderedFile;
use crate::{FileState, Refusal, System};

/// What cloud-init reads after the image's own files, and before anything of the datasource.
pub(super) const FILE: &str = "/etc/cloud/cloud.cfg.d/99-cloud-channel-network.cfg";

const CONTENT: &str = "# Written by cloud-channel, which has taken the network over from cloud-init.\n\
                       # `cloud-channel network hand-back` undoes it.\n\
                       network: {config: disabled}\n";

/// True if a document wants it.
pub(super) fn is_wanted(document: &Value) -> bool {
    document.get(TAKE_OVER).and_then(Value::as_bool) == Some(true)
}

/// The file, if a document wants it.
pub(super) fn file(document: &Value) -> Option<RenderedFile> {
    let file = || RenderedFile { path: FILE.to_owned(), file: FileState::of_root(CONTENT, 0o644) };
    is_wanted(document).then(file)
}

/// True if two documents say the same of the network itself.
pub(super) fn is_same_aside(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let says_more = |one: &Map<String, Value>, other: &Map<String, Value>| {
        let mut kept = one.iter().filter(|(key, _)| *key != TAKE_OVER && *key != "version");
        kept.any(|(key, value)| other.get(key) != Some(value))
    };
    !says_more(one, other) && !says_more(other, one)
}

/// True if the machine was taken over by somebody who is forgotten.
pub(super) fn is_done(system: &dyn System) -> Result<bool, Refusal> {
    let file = system.read(FILE).map_err(|error| unreadable(&error))?;
    Ok(file.is_some_and(|file| file.content == CONTENT.as_bytes()))
}
