//! Durable changes of files in an open folder: after a crash at any moment each of them is the old file or the new.
//!
//! ```text
//! temporary files, written ─▶ each synced ─▶ each renamed, or removed ─▶ … ─▶ the folder synced, once
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::{FileEdit, FileState};

/// Between a file's name and the random end of its temporary name.
const MARK: &str = ".cloud-channel-";

/// Files that are open at a time.
const MOST_OPEN: usize = 64;

/// A change that failed: its place in the list, and why.
pub(super) type Failed = (usize, io::Error);

/// A file under its temporary name.
struct Draft {
    temporary: String,
    file: File,
}

/// Changes files of a folder, in order. The folder is synced once, behind them: until then it may have any of them as
/// it was, and none half-made. One that is to be removed and is not there is no error.
pub(super) fn change(folder: &OwnedFd, edits: &[FileEdit<'_>]) -> Result<(), Failed> {
    for (place, (name, _)) in edits.iter().enumerate() {
        regular_or_absent(folder.as_fd(), name).map_err(|error| (place, error))?;
    }
    remove_leftovers(folder, edits).map_err(|error| (0, error))?;
    for (number, some) in edits.chunks(MOST_OPEN).enumerate() {
        let mut drafts = Vec::new();
        let changed = write_drafts(folder, some, &mut drafts).and_then(|()| publish(folder, some, &drafts));
        changed.map_err(|(place, error)| (number * MOST_OPEN + place, discard(folder, &drafts, error)))?;
    }
    let last = edits.len().saturating_sub(1);
    rustix::fs::fsync(folder).map_err(|error| (last, error.into()))
}

/// Gives a draft for each file that is to be there, and nothing for those that are to go.
fn write_drafts(
    folder: &OwnedFd,
    edits: &[FileEdit<'_>],
    drafts: &mut Vec<Option<Draft>>,
) -> Result<(), Failed> {
    for (place, (name, after)) in edits.iter().enumerate() {
        let Some(after) = after else {
            drafts.push(None);
            continue;
        };
        let mut draft = create_draft(folder, name).map_err(|error| (place, error))?;
        let written = copy_label(folder, name, &draft.file).and_then(|()| fill(&mut draft.file, after));
        drafts.push(Some(draft));
        written.map_err(|error| (place, error))?;
    }
    Ok(())
}

fn create_draft(folder: &OwnedFd, name: &str) -> io::Result<Draft> {
    let mut end = [0; 4];
    super::random::fill_random(&mut end)?;
    let temporary = format!(".{name}{MARK}{:08x}", u32::from_ne_bytes(end));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Nobody but the owner until the wanted mode is set.
    let file = rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o600))?;
    Ok(Draft { temporary, file: file.into() })
}

/// Every draft is on the disk before the first of them gets its name.
fn publish(folder: &OwnedFd, edits: &[FileEdit<'_>], drafts: &[Option<Draft>]) -> Result<(), Failed> {
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(draft) = draft {
            draft.file.sync_all().map_err(|error| (place, error))?;
        }
    }
    for (place, ((name, _), draft)) in edits.iter().zip(drafts).enumerate() {
        let changed = match draft {
            Some(draft) => rustix::fs::renameat(folder, &draft.temporary, folder, *name),
            None => match rustix::fs::unlinkat(folder, *name, AtFlags::empty()) {
                Err(Errno::NOENT) => Ok(()),
                removed => removed,
            },
        };
        changed.map_err(|error| (place, error.into()))?;
    }
    Ok(())
}

/// Removes drafts that have got no name; the error says which could not be removed.
fn discard(folder: &OwnedFd, drafts: &[Option<Draft>], error: io::Error) -> io::Error {
    let stay = |draft: &Draft| match rustix::fs::unlinkat(folder, &draft.temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(left) => Some(format!("`{}` stays: {left}", draft.temporary)),
    };
    let stay: Vec<String> = drafts.iter().flatten().filter_map(stay).collect();
    if stay.is_empty() {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}; {}", stay.join("; ")))
}

fn fill(out: &mut File, file: &FileState) -> io::Result<()> {
    let stat = rustix::fs::fstat(&*out)?;
    // Only root can give files away; in an unprivileged sandbox they stay the user's own. Before the mode,
    // because a change of owner may clear bits of it; and all of it before the content.
    if rustix::process::geteuid().is_root() && (stat.st_uid, stat.st_gid) != (file.uid, file.gid) {
        rustix::fs::fchown(&*out, Some(Uid::from_raw(file.uid)), Some(Gid::from_raw(file.gid)))?;
    }
    rustix::fs::fchmod(&*out, Mode::from_raw_mode(file.mode & 0o7777))?;
    out.write_all(&file.content)
}

/// Gives the new file the SELinux label of the one it replaces: with another, nobody could log in any more where
/// that one is `/etc/shadow`. A file that is new gets its folder's. Only root may set labels.
fn copy_label(folder: &OwnedFd, name: &str, new: &File) -> io::Result<()> {
    const LABEL: &str = "security.selinux";
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let old = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(old) => old,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut label = [0; 4096];
    match rustix::fs::fgetxattr(&old, LABEL, &mut label[..]) {
        Ok(length) => match rustix::fs::fsetxattr(new, LABEL, &label[..length], XattrFlags::empty()) {
            // A label left over from when SELinux was on: without it, nobody may set one, and nobody asks.
            Err(Errno::PERM) if !std::path::Path::new("/sys/fs/selinux/enforce").exists() => Ok(()),
            outcome => Ok(outcome?),
        },
        // No SELinux on this machine or this file system.
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn regular_or_absent(folder: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let refused = |what: &str| {
        let text = format!("it is {what}; replace it by a regular file, or remove it");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            FileType::Symlink => refused("a symbolic link"),
            FileType::Directory => refused("a folder"),
            _ => refused("a special file"),
        },
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what a killed run left behind under these files' temporary names. One module writes a file, one change at a
/// time, so none of them is in use.
fn remove_leftovers(folder: &OwnedFd, edits: &[FileEdit<'_>]) -> io::Result<()> {
    let names: BTreeSet<&str> = edits.iter().map(|(name, _)| *name).collect();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let left = entry.file_name();
        let name = left.to_str().ok().and_then(|left| left.strip_prefix('.')?.rsplit_once(MARK));
        if name.is_some_and(|(name, _)| names.contains(name)) {
            rustix::fs::unlinkat(folder, left, AtFlags::empty())?;
        }
    }
    Ok(())
}
