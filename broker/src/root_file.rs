//! Files that decide about rights: who but root can touch one, and whether it is another than before.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Permissions by which others than the owner could change a file.
pub(crate) const WRITABLE: u32 = 0o022;
/// Permissions by which others than the owner could do anything with it.
pub(crate) const ACCESSIBLE: u32 = 0o077;

/// Owner and permissions of what is not root's, or has any of these permissions; none if all is well.
pub(crate) fn exposed(metadata: &Metadata, forbidden: u32) -> Option<(u32, u32)> {
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    (uid != 0 || mode & forbidden != 0).then_some((uid, mode))
}

/// Tells one state of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None for a file that is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
