//! What is there in the machine's tree, and waiting for what a program that starts will put there.

use std::io;
use std::time::Duration;

use crate::System;

/// Between two looks for something that has not started yet.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Looks before that counts as failed: five minutes, since a boot may wait two for a network to be online first.
const MOST_LOOKS: u32 = 600;

/// True if something of the machine's tree is there.
///
/// # Errors
/// If its folder cannot be read.
pub(crate) fn is_there(path: &str, system: &dyn System) -> io::Result<bool> {
    let (folder, name) = path.rsplit_once('/').expect("paths of the machine's tree are absolute");
    Ok(system.list(folder)?.iter().any(|other| other == name))
}

/// Waits until it is there. `what` it belongs to is for people.
///
/// # Errors
/// If it is not there in time, or its folder cannot be read.
pub(crate) fn await_path(path: &str, what: &str, system: &dyn System) -> io::Result<()> {
    for _ in 0..MOST_LOOKS {
        if is_there(path, system)? {
            return Ok(());
        }
        system.pause(BETWEEN_LOOKS);
    }
    let waited = BETWEEN_LOOKS * MOST_LOOKS;
    let text = format!("{what} has not started: `{path}` is not there after {waited:?}");
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}
