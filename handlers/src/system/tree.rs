//! The machine's tree of files: opens what is below the root folder and never anything else.
//!
//! Reading follows symbolic links, each resolved inside the tree (`bin -> usr/bin`, and `/etc/x -> /run/x` means
//! the tree's own `/run/x`). Folders on the way to a file that is written are never links: whoever may plant one
//! would else choose what root overwrites.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// A folder that is the machine's `/`.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// A path of the machine's tree, taken apart: no `..`, nothing empty.
#[derive(Debug)]
pub(super) struct TreePath<'a> {
    /// The path as it was given, for error texts.
    pub(super) whole: &'a str,
    /// The folders on the way.
    pub(super) folders: Vec<&'a str>,
    /// The last name.
    pub(super) name: &'a str,
}

/// What one step tells of a path.
#[derive(Debug)]
pub(super) enum Plain {
    /// It is no link, and open.
    Is(OwnedFd),
    /// Nothing is there.
    Absent,
    /// It is a link, or something else is in the way: [`Tree::link_target`] and [`Tree::open`] tell.
    Unsure,
}

impl<'a> TreePath<'a> {
    /// Takes a path apart.
    ///
    /// # Errors
    /// If it is not absolute, is `/`, holds `..` or a NUL.
    pub(super) fn parse(whole: &'a str) -> io::Result<Self> {
        let invalid = |expected: &str| {
            let text = format!("cannot use the path `{}`: expected {expected}", whole.escape_debug());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let inner = whole.strip_prefix('/').ok_or_else(|| invalid("an absolute path"))?;
        let mut folders: Vec<&str> =
            inner.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if folders.contains(&"..") || whole.contains('\0') {
            return Err(invalid("one without `..` and NUL"));
        }
        let name = folders.pop().ok_or_else(|| invalid("one below `/`"))?;
        Ok(Self { whole, folders, name })
    }

    fn relative(&self) -> String {
        let mut parts = self.folders.clone();
        parts.push(self.name);
        parts.join("/")
    }

    /// An error about this path: "cannot VERB `/etc/x`: why".
    pub(super) fn fault(&self, verb: &str, error: impl Into<io::Error>) -> io::Error {
        let error = error.into();
        io::Error::new(error.kind(), format!("cannot {verb} `{}`: {}", self.whole, told(&error)))
    }
}

/// The error's text without the number that the standard library appends.
pub(super) fn told(error: &io::Error) -> String {
    let text = error.to_string();
    let short = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = short.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl Tree {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Opens a path for reading, following links inside the tree. `Ok(None)` if nothing is there.
    pub(super) fn open(&self, path: &TreePath<'_>, flags: OFlags) -> io::Result<Option<OwnedFd>> {
        let root = self.open_root()?;
        // Non-blocking: a FIFO planted where a file was would else hold the caller for ever. With `O_PATH` nothing
        // is opened that could block, and `openat2` refuses the two.
        let cautious =
            if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK | OFlags::NOCTTY };
        let flags = flags | OFlags::CLOEXEC | cautious;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let opened = match rustix::fs::openat2(&root, path.relative(), flags, Mode::empty(), inside) {
            // Linux before 5.6, or a system-call filter that is older than the call.
            Err(Errno::NOSYS | Errno::PERM) => walk(&root, &path.relative(), flags),
            // The kernel saw a rename at the same moment and wants to be asked again.
            Err(Errno::AGAIN) => walk(&root, &path.relative(), flags),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what is no link for reading, in one step.
    pub(super) fn open_plain(&self, path: &TreePath<'_>) -> Plain {
        let Ok(root) = self.open_root() else { return Plain::Unsure };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&root, path.relative(), flags, Mode::empty(), inside) {
            Ok(file) => Plain::Is(file),
            Err(Errno::NOENT | Errno::NOTDIR) => Plain::Absent,
            Err(_) => Plain::Unsure,
        }
    }

    /// What the path's last name points to, if it is a symbolic link.
    pub(super) fn link_target(&self, path: &TreePath<'_>) -> Option<CString> {
        let folder = self.folder(path, false).ok()??;
        rustix::fs::readlinkat(&folder, path.name, Vec::new()).ok()
    }

    /// Opens the folder that holds the path's last name, no link on the way. With `make`, missing folders are made
    /// (0755) durably; without, `Ok(None)` if one is missing.
    pub(super) fn folder(&self, path: &TreePath<'_>, make: bool) -> io::Result<Option<OwnedFd>> {
        let mut here = self.open_root()?;
        for name in &path.folders {
            here = match open_folder(here.as_fd(), name) {
                Ok(next) => next,
                Err(Errno::NOENT) if make => make_folder(here.as_fd(), name)?,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(not_a_folder(here.as_fd(), name, error)),
            };
        }
        Ok(Some(here))
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.root, flags, Mode::empty()).map_err(|error| {
            let error = io::Error::from(error);
            let text =
                format!("the root folder `{}` cannot be opened: {}", self.root.display(), told(&error));
            io::Error::new(error.kind(), text)
        })
    }
}

/// Opens a folder of a folder, and no link.
pub(super) fn open_folder(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn make_folder(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let made = open_folder(parent, name)?;
    // The umask must not decide who can read the machine's configuration.
    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
    rustix::fs::fsync(parent)?;
    Ok(made)
}

fn not_a_folder(parent: BorrowedFd<'_>, name: &str, error: Errno) -> io::Error {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("its folder `{name}` is a symbolic link; replace the link by a folder"),
        ),
        _ => error.into(),
    }
}

/// What `openat2` does in the root, for kernels that lack it: each name is opened by itself and never followed by
/// the kernel, so no link can lead out.
fn walk(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut pending: Vec<Vec<u8>> = backwards(path.as_bytes());
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = pending.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                folders.pop();
                continue;
            }
            _ => {}
        }
        let here = folders.last().unwrap_or(root);
        let name = OsStr::from_bytes(&name);
        let looked = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(here, name, looked, Mode::empty())?;
        match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?.into_bytes();
                if target.first() == Some(&b'/') {
                    folders.clear();
                }
                pending.extend(backwards(&target));
            }
            FileType::Directory => folders.push(found),
            _ if pending.is_empty() => {
                return rustix::fs::openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty());
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    rustix::fs::openat(folders.last().unwrap_or(root), ".", flags, Mode::empty())
}

fn backwards(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    fn read_all(fd: OwnedFd) -> String {
        let mut text = String::new();
        std::fs::File::from(fd).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn paths_are_absolute_and_stay_inside() {
        for bad in ["", "etc/x", "/", "//", "/etc/../x", "/..", "/a\0b", "/./."] {
            assert!(TreePath::parse(bad).is_err(), "{bad:?}");
        }
        let good = TreePath::parse("//etc/./netplan/a.yaml").unwrap();
        assert_eq!((good.folders, good.name), (vec!["etc", "netplan"], "a.yaml"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test builds a tree")]
    fn links_are_followed_inside_the_tree_alone_and_both_ways_agree() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "outside").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        std::fs::write(root.join("usr/bin/tool"), "tool").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/usr/bin/tool", root.join("absolute")).unwrap();
        symlink("../../../../usr/bin/tool", root.join("usr/up")).unwrap();
        symlink(outside.path().join("secret"), root.join("escape")).unwrap();
        symlink(outside.path(), root.join("away")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("usr/bin/tool/", root.join("slash")).unwrap();

        let tree = Tree::new(root.into());
        let by_hand = tree.open_root().unwrap();
        for (path, expected) in [
            ("/bin/tool", Some("tool")),
            ("/absolute", Some("tool")),
            ("/usr/up", Some("tool")),
            ("/usr/bin/tool", Some("tool")),
            ("/escape", None),
            ("/away/secret", None),
            ("/usr/bin/tool/x", None),
            ("/none", None),
        ] {
            let parsed = TreePath::parse(path).unwrap();
            let opened = tree.open(&parsed, OFlags::RDONLY).unwrap().map(read_all);
            assert_eq!(opened.as_deref(), expected, "{path}");
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let walked = walk(&by_hand, &parsed.relative(), flags).ok().map(read_all);
            assert_eq!(walked.as_deref(), expected, "{path} by hand");
        }
        let looping = TreePath::parse("/loop").unwrap();
        assert!(tree.open(&looping, OFlags::RDONLY).is_err());
        assert_eq!(walk(&by_hand, "loop", OFlags::RDONLY).unwrap_err(), Errno::LOOP);
    }
}
