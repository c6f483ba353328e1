//! The folder of the journal: made for us alone, locked while we run.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::error::JournalError;

/// Below the root.
const FOLDER: &str = "var/lib/cloud-channel";
const FILE: &str = "journal.redb";
/// The journal until it is complete: a crash while it is made leaves no half journal behind.
const DRAFT: &str = "journal.redb.new";

/// An open, locked folder.
///
/// Everything in it is reached through its descriptor, so nobody can exchange it under us. The lock lies on the
/// folder, not on the file, so that it also covers the making of the file; it ends with the process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: OwnedFd,
}

impl Folder {
    /// Opens `<root>/var/lib/cloud-channel`, making it if need be, mode 0700.
    pub(super) fn open(root: &Path) -> Result<Self, JournalError> {
        let path = root.join(FOLDER);
        let parent = path.parent().expect("the folder's name has several parts").to_owned();
        std::fs::create_dir_all(&parent).map_err(|e| cannot("make the folder", &parent, e))?;
        match fs::mkdir(&path, Mode::RWXU) {
            Ok(()) => sync_folder(&parent)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(cannot("make the folder", &path, e)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match fs::open(&path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(unsafe_path(
                    path,
                    "expected a folder and no symbolic link, remove what is there",
                ));
            }
            Err(e) => return Err(cannot("open the folder", &path, e)),
        };
        guard(dir.as_fd(), &path, FileType::Directory, Mode::RWXU)?;
        match fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, dir }),
            Err(Errno::WOULDBLOCK) => Err(JournalError::InUse { path }),
            Err(e) => Err(cannot("lock the folder", &path, e)),
        }
    }

    /// Where the journal is, for people.
    pub(super) fn file_path(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// The journal's file, if there is one.
    pub(super) fn open_file(&self) -> Result<Option<File>, JournalError> {
        let path = self.file_path();
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&self.dir, FILE, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                return Err(unsafe_path(path, "expected a regular file and no link, remove what is there"));
            }
            Err(e) => return Err(cannot("open", &path, e)),
        };
        let found = guard(file.as_fd(), &path, FileType::RegularFile, Mode::RUSR | Mode::WUSR)?;
        if found.st_nlink != 1 {
            return Err(unsafe_path(path, "it has a second name somewhere, remove it"));
        }
        Ok(Some(File::from(file)))
    }

    /// A new, empty file, mode 0600, that nobody takes for a journal yet.
    pub(super) fn create_draft(&self) -> Result<File, JournalError> {
        let path = self.path.join(DRAFT);
        match fs::unlinkat(&self.dir, DRAFT, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(cannot("remove", &path, e)),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.dir, DRAFT, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| cannot("make", &path, e))?;
        Ok(File::from(file))
    }

    /// Makes the draft the journal, durably.
    pub(super) fn publish_draft(&self) -> Result<(), JournalError> {
        fs::renameat(&self.dir, DRAFT, &self.dir, FILE)
            .and_then(|()| fs::fsync(&self.dir))
            .map_err(|e| cannot("name", &self.file_path(), e))
    }
}

/// Checks kind and owner, and takes away what group and others may.
fn guard(fd: BorrowedFd<'_>, path: &Path, kind: FileType, mode: Mode) -> Result<Stat, JournalError> {
    let found = fs::fstat(fd).map_err(|e| cannot("look at", path, e))?;
    if FileType::from_raw_mode(found.st_mode) != kind {
        return Err(unsafe_path(path.to_owned(), "it is of another kind, remove what is there"));
    }
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(unsafe_path(path.to_owned(), "it belongs to another user, remove what is there"));
    }
    let present = Mode::from_raw_mode(found.st_mode);
    if present.intersects(Mode::RWXG | Mode::RWXO) {
        fs::fchmod(fd, mode).map_err(|e| cannot("set the mode of", path, e))?;
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:04o}", present.as_raw_mode()),
            "others had access to the journal; taken away"
        );
    }
    Ok(found)
}

fn sync_folder(path: &Path) -> Result<(), JournalError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| cannot("sync the folder", path, e))
}

fn cannot(action: &'static str, path: &Path, source: impl Into<io::Error>) -> JournalError {
    JournalError::File { action, path: path.to_owned(), source: source.into() }
}

const fn unsafe_path(path: PathBuf, problem: &'static str) -> JournalError {
    JournalError::Unsafe { path, problem }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn root() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        (root, folder)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn made_for_us_alone() {
        let (root, path) = root();
        let folder = Folder::open(root.path()).unwrap();
        assert!(folder.open_file().unwrap().is_none());
        folder.create_draft().unwrap();
        folder.create_draft().unwrap();
        folder.publish_draft().unwrap();
        assert!(folder.open_file().unwrap().is_some());
        assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn too_open_modes_are_corrected() {
        let (root, path) = root();
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(path.join(FILE), "").unwrap();
        std::fs::set_permissions(path.join(FILE), std::fs::Permissions::from_mode(0o644)).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        assert!(folder.open_file().unwrap().is_some());
        assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn links_and_strange_files_are_refused() {
        let (root, path) = root();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/tmp", &path).unwrap();
        assert!(matches!(Folder::open(root.path()), Err(JournalError::Unsafe { .. })));
        std::fs::remove_file(&path).unwrap();

        let folder = Folder::open(root.path()).unwrap();
        symlink("elsewhere", path.join(FILE)).unwrap();
        assert!(matches!(folder.open_file(), Err(JournalError::Unsafe { .. })));
        std::fs::remove_file(path.join(FILE)).unwrap();
        std::fs::create_dir(path.join(FILE)).unwrap();
        assert!(matches!(folder.open_file(), Err(JournalError::Unsafe { .. })));
        std::fs::remove_dir(path.join(FILE)).unwrap();
        std::fs::write(path.join("other"), "").unwrap();
        std::fs::hard_link(path.join("other"), path.join(FILE)).unwrap();
        let error = folder.open_file().unwrap_err();
        assert!(error.to_string().ends_with("it has a second name somewhere, remove it"), "{error}");
    }

    #[test]
    fn one_process_at_a_time() {
        let (root, _) = root();
        let first = Folder::open(root.path()).unwrap();
        assert!(matches!(Folder::open(root.path()), Err(JournalError::InUse { .. })));
        drop(first);
        assert!(Folder::open(root.path()).is_ok());
    }
}
