//! What can be read of a file or a folder once it is open.

use std::io::{self, Read as _};

use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType};

use super::{FileState, LARGEST_FILE};

/// A folder of the machine has far fewer names; more are a mistake or an attack.
const MOST_NAMES: usize = 65_536;

/// Reads a regular file. What else it may be is invalid input.
pub(super) fn read_regular(file: OwnedFd) -> io::Result<FileState> {
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // One more than it says: the end is found without growing.
    let expected = u64::try_from(stat.st_size).unwrap_or_default().min(LARGEST_FILE) + 1;
    let mut content = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    std::fs::File::from(file).take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_FILE {
        let text = format!("it is larger than {LARGEST_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(FileState { content, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
}

/// The folder's names that are UTF-8; nothing we know is called otherwise.
pub(super) fn names_of(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(_) if names.len() == MOST_NAMES => {
                return Err(io::Error::other(format!("it holds more than {MOST_NAMES} names")));
            }
            Ok(name) => names.push(name.to_owned()),
        }
    }
    names.sort();
    Ok(names)
}
