//! Durable changes of one file in an open folder: after a crash at any moment there is the old file or the new.

use std::io::{self, Write as _};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::FileState;

/// Between a file's name and the random end of its temporary name.
const MARK: &str = ".cloud-channel-";

/// Puts a file in place: temporary file, sync, rename, sync of the folder.
pub(super) fn write(folder: &OwnedFd, name: &str, file: &FileState) -> io::Result<()> {
    regular_or_absent(folder.as_fd(), name)?;
    remove_leftovers(folder, name)?;
    let mut end = [0; 4];
    super::host::fill_random(&mut end)?;
    let temporary = format!(".{name}{MARK}{:08x}", u32::from_ne_bytes(end));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Nobody but the owner until the wanted mode is set.
    let fd = rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o600))?;
    let placed = copy_label(folder, name, &fd)
        .and_then(|()| fill(fd, file))
        .and_then(|()| rustix::fs::renameat(folder, &temporary, folder, name).map_err(io::Error::from));
    if let Err(error) = placed {
        return match rustix::fs::unlinkat(folder, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Err(error),
            Err(left) => Err(io::Error::new(error.kind(), format!("{error}; `{temporary}` stays: {left}"))),
        };
    }
    Ok(rustix::fs::fsync(folder)?)
}

/// Removes a regular file; one that is not there is no error.
pub(super) fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    regular_or_absent(folder.as_fd(), name)?;
    remove_leftovers(folder, name)?;
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => Ok(rustix::fs::fsync(folder)?),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn fill(fd: OwnedFd, file: &FileState) -> io::Result<()> {
    let stat = rustix::fs::fstat(&fd)?;
    // Only root can give files away; in an unprivileged sandbox they stay the user's own. Before the mode,
    // because a change of owner may clear bits of it; and all of it before the content.
    if rustix::process::geteuid().is_root() && (stat.st_uid, stat.st_gid) != (file.uid, file.gid) {
        rustix::fs::fchown(&fd, Some(Uid::from_raw(file.uid)), Some(Gid::from_raw(file.gid)))?;
    }
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(file.mode & 0o7777))?;
    let mut out = std::fs::File::from(fd);
    out.write_all(&file.content)?;
    out.sync_all()
}

/// Gives the new file the SELinux label of the one it replaces: with another, nobody could log in any more where
/// that one is `/etc/shadow`. A file that is new gets its folder's. Only root may set labels.
fn copy_label(folder: &OwnedFd, name: &str, new: &OwnedFd) -> io::Result<()> {
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

/// Removes what a killed run left behind under this file's temporary names. One module writes a file, one change
/// at a time, so none of them is in use.
fn remove_leftovers(folder: &OwnedFd, name: &str) -> io::Result<()> {
    let start = format!(".{name}{MARK}");
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let left = entry.file_name();
        if left.to_bytes().starts_with(start.as_bytes()) {
            rustix::fs::unlinkat(folder, left, AtFlags::empty())?;
        }
    }
    Ok(())
}
