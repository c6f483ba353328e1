//! Puts the machine back as a preimage knows it: files, then lines, then what undoes the commands.

use std::io;

use crate::colon_file::ColonFile;
use crate::{FileState, LineState, Plan, Preimage, Step, System, UndoCommand};

/// Undoes a plan that was carried out: files and lines back, then the undo of every command. Gives notes of what was
/// passed over because it is gone.
///
/// # Errors
/// Everything that could not be put back. All of the rest has been.
pub fn undo(plan: &Plan, preimage: &Preimage, system: &dyn System) -> Result<Vec<String>, String> {
    undo_steps(&plan.steps, preimage, system)
}

/// Puts files and lines back as the preimage knows them. Runs no commands: it is what comes before planning anew
/// when an earlier try was cut short.
///
/// # Errors
/// Everything that could not be put back. All of the rest has been.
pub fn put_back(preimage: &Preimage, system: &dyn System) -> Result<(), String> {
    put_everything_back(&[], preimage, system).map(drop)
}

/// Takes a change back that was carried out by somebody who is gone: files and lines as with [`put_back`], then every
/// command that the preimage has for that. Gives notes as [`undo`] does.
///
/// # Errors
/// As [`put_back`].
pub fn take_back(preimage: &Preimage, system: &dyn System) -> Result<Vec<String>, String> {
    put_everything_back(&preimage.commands, preimage, system)
}

/// Undoes the steps that were taken.
pub(crate) fn undo_steps(
    taken: &[Step],
    preimage: &Preimage,
    system: &dyn System,
) -> Result<Vec<String>, String> {
    if preimage.is_earlier {
        return take_back(preimage, system);
    }
    // What was waited for is there by now, or will not come.
    let taken = taken.iter().filter(|step| !matches!(step, Step::Await { .. }));
    let commands: Vec<UndoCommand> = taken.filter_map(UndoCommand::of).collect();
    put_everything_back(&commands, preimage, system)
}

fn put_everything_back(
    commands: &[UndoCommand],
    preimage: &Preimage,
    system: &dyn System,
) -> Result<Vec<String>, String> {
    let put = (preimage.files.iter())
        .map(|(path, before)| put_file_back(path, before.as_ref(), system))
        .chain(preimage.lines.iter().map(|line| put_line_back(line, system)));
    let mut faults: Vec<String> = put.filter_map(Result::err).collect();
    let mut notes = Vec::new();
    for command in commands {
        match command.run(system) {
            Ok(note) => notes.extend(note),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(notes) } else { Err(faults.join("; ")) }
}

fn put_file_back(path: &str, before: Option<&FileState>, system: &dyn System) -> Result<(), String> {
    let put = || match before {
        // Nothing is written that stands already: an undo touches only what was touched.
        before if system.read(path)?.as_ref() == before => Ok(()),
        Some(before) => system.write(path, before),
        None => system.remove(path),
    };
    put().map_err(|error| error.to_string())
}

fn put_line_back(line: &LineState, system: &dyn System) -> Result<(), String> {
    // Read and written under the lock: a change to another line between the two must not be lost.
    let mut put = || -> io::Result<()> {
        let Some(file) = system.read(&line.path)? else {
            let text = format!("cannot put a line of `{}` back: the file is gone", line.path);
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        let mut lines = ColonFile::new(file.content.clone());
        let stands = lines.line(&line.key) == Some(line.line.expose());
        // A user who was deleted meanwhile stays deleted.
        if !stands && lines.replace(&line.key, line.line.expose()) {
            system.write(&line.path, &FileState { content: lines.into_bytes(), ..file })?;
        }
        Ok(())
    };
    system.hold_accounts(&mut put).map_err(|error| error.to_string())
}
