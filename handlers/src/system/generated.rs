//! A folder of generated files that a command writes anew: files that come out the same stay the same files.
//!
//! `netplan generate` replaces every file in `/run/systemd/network`, and networkd goes by inode and time, not by
//! what a file says: at the next reload it would set every link of the machine up again, and take from these links
//! the addresses and routes that others gave them meanwhile.
//!
//! ```text
//! hard links in a hidden folder beside it ─▶ the command ─▶ each is renamed back over a file that says the same
//! ```

use std::io;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::open_file::{names_of, read_regular};
use super::tree::{Tree, TreePath, open_folder};

/// The files of a folder as they were, kept by links of their own.
#[derive(Debug)]
pub(super) struct Before {
    parent: OwnedFd,
    folder: OwnedFd,
    name: String,
    kept: OwnedFd,
}

impl Before {
    /// Keeps the regular files of a folder. `None` if there is no such folder.
    ///
    /// # Errors
    /// If a file cannot be kept; nothing was changed then.
    pub(super) fn keep(tree: &Tree, path: &TreePath<'_>) -> io::Result<Option<Self>> {
        let Some(parent) = tree.folder(path, false)? else { return Ok(None) };
        let folder = match open_folder(&parent, path.name) {
            Err(Errno::NOENT) => return Ok(None),
            folder => folder?,
        };
        let name = format!(".{}.cloud-channel-before", path.name);
        // What a killed run left.
        forget(&parent, &name)?;
        rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o700))?;
        let kept = open_folder(&parent, &name)?;
        for file in names_of(&folder)? {
            if read_one(&folder, &file)?.is_some() {
                rustix::fs::linkat(&folder, &file, &kept, &file, AtFlags::empty())?;
            }
        }
        Ok(Some(Self { parent, folder, name, kept }))
    }

    /// Gives back each file that was replaced by one that says the same.
    ///
    /// # Errors
    /// If one cannot be given back: all files say what they should, and more links than needed are set up again.
    pub(super) fn give_back(self) -> io::Result<()> {
        for file in names_of(&self.kept)? {
            let before = read_one(&self.kept, &file)?;
            if before.is_some() && before == read_one(&self.folder, &file)? {
                rustix::fs::renameat(&self.kept, &file, &self.folder, &file)?;
            }
        }
        forget(&self.parent, &self.name)
    }
}

/// Reads a regular file; `None` for whatever else has the name, or if nothing has.
fn read_one(folder: &OwnedFd, name: &str) -> io::Result<Option<super::FileState>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => match read_regular(file) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            read => read.map(Some),
        },
        Err(Errno::NOENT | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes the folder of links, if it is there.
fn forget(parent: &OwnedFd, name: &str) -> io::Result<()> {
    let kept = match open_folder(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        kept => kept?,
    };
    for file in names_of(&kept)? {
        rustix::fs::unlinkat(&kept, &file, AtFlags::empty())?;
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test plays the generator")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn a_file_that_comes_out_the_same_stays_the_same_file() {
        let root = tempfile::tempdir().unwrap();
        let generated = root.path().join("run/network");
        let write = |name: &str, text: &str| {
            // As generators do: the old file is gone before the new one is there.
            let path = generated.join(name);
            let _none_the_first_time = fs::remove_file(&path);
            fs::write(path, text).unwrap();
        };
        let inode = |name: &str| fs::metadata(generated.join(name)).unwrap().ino();
        let tree = Tree::new(root.path().into());
        let path = TreePath::parse("/run/network").unwrap();
        assert!(Before::keep(&tree, &path).unwrap().is_none(), "no folder, nothing to keep");

        fs::create_dir_all(&generated).unwrap();
        for name in ["same", "other", "gone", "mode"] {
            write(name, "first");
        }
        // A killed run's links do not hinder.
        drop(Before::keep(&tree, &path).unwrap());
        let before = ["same", "other", "mode"].map(inode);
        let kept = Before::keep(&tree, &path).unwrap().unwrap();
        for (name, text) in [("same", "first"), ("other", "second"), ("mode", "first"), ("new", "new")] {
            write(name, text);
        }
        fs::remove_file(generated.join("gone")).unwrap();
        fs::set_permissions(generated.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        kept.give_back().unwrap();

        let after = ["same", "other", "mode"].map(inode);
        assert_eq!(before[0], after[0]);
        assert!(before[1] != after[1] && before[2] != after[2], "{before:?} {after:?}");
        assert_eq!(fs::read_to_string(generated.join("other")).unwrap(), "second");
        assert!(!generated.join("gone").exists() && generated.join("new").exists());
        let left: Vec<_> = fs::read_dir(root.path().join("run")).unwrap().collect();
        assert_eq!(left.len(), 1, "the folder of links is gone: {left:?}");
    }
}
