//! The machine as modules see it. Nothing else in this crate touches files, commands, clocks or randomness.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

mod command;
mod durable;
mod generated;
mod host;
mod kernel;
mod memory;
mod open_file;
mod random;
mod subject;
mod tree;

pub use host::HostSystem;
pub use kernel::{
    KernelAddress, KernelGap, KernelHop, KernelLink, KernelNetwork, KernelPart, KernelRoute, KernelRouteKind,
    KernelRule, KernelScope, OperationalState,
};
pub use memory::{KernelScript, MemorySystem, Script};
pub use subject::Subject;

use crate::Secret;

/// The largest file that is read: configuration is far smaller, and a mistake must not eat the guest's memory.
pub(crate) const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// A file's content and what guards it.
///
/// `Debug` shows the size only: `/etc/shadow` passes through here.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileState {
    /// The whole content.
    pub content: Vec<u8>,
    /// Permission bits, as in `0o600`.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
}

impl FileState {
    /// A file that belongs to root.
    pub fn of_root(content: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { content: content.into(), mode, uid: 0, gid: 0 }
    }

    /// True if the other has the same content and mode, whoever owns it. Only root can give files away, so in an
    /// unprivileged sandbox every file stays its user's own.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.content == other.content && self.mode == other.mode
    }
}

impl fmt::Debug for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileState({} bytes, {:04o}, {}:{})", self.content.len(), self.mode, self.uid, self.gid)
    }
}

/// A file's path or name, and what it is to be; `None` removes it.
pub type FileEdit<'a> = (&'a str, Option<&'a FileState>);

/// One command: a program, its arguments, and what it reads. Never a shell line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Invocation {
    /// Absolute path of the program, in the machine's own tree.
    pub program: Cow<'static, str>,
    /// Arguments, none of them secret: other users can read them while the command runs.
    pub args: Vec<String>,
    /// What the command reads on standard input; secrets go here.
    pub stdin: Option<Secret>,
    /// Killed after this long.
    pub deadline: Duration,
    /// The links that it is for, as far as they may be gone when it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
}

/// The machine: the real one, a folder that plays one, or memory in tests.
///
/// All paths are absolute paths of the machine's own tree (`/etc/shadow`); an implementation may put them below
/// a root folder. Every error's text names what was tried and with which path.
pub trait System: Send + Sync {
    /// Reads a file; `None` if there is none. Links are followed, but never out of the machine's tree.
    ///
    /// # Errors
    /// If it exists and cannot be read, is not a regular file, or is larger than 4 MiB.
    fn read(&self, path: &str) -> io::Result<Option<FileState>>;

    /// The names in a folder, sorted; empty if there is no such folder.
    ///
    /// # Errors
    /// If it exists and cannot be listed.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// True if the path leads to a program that can be executed.
    fn has_program(&self, path: &str) -> bool;

    /// Puts a file in place atomically and durably, making missing folders (0755): a crash at any moment leaves
    /// the old file or the new one. The owner is set by root alone; for others the file is their own.
    ///
    /// # Errors
    /// If the path, or a folder on the way, is a symbolic link, or if writing fails; then the old file stands.
    fn write(&self, path: &str, file: &FileState) -> io::Result<()>;

    /// Removes a file durably; one that is not there is no error.
    ///
    /// # Errors
    /// If the path is not a regular file, or removing fails.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Writes and removes files, in order. Each is changed as by [`write`](System::write) and [`remove`](System::remove), and
    /// all of them are durable when this comes back; a crash before that may leave some of them old and some new.
    ///
    /// # Errors
    /// As of those, for the first that fails. What comes before it may have been changed.
    fn change_files(&self, edits: &[FileEdit<'_>]) -> io::Result<()> {
        edits.iter().try_for_each(|(path, after)| match after {
            Some(file) => self.write(path, file),
            None => self.remove(path),
        })
    }

    /// Runs a command, waits for it, and gives back what it wrote on standard output.
    ///
    /// # Errors
    /// If it cannot be started, fails, passes its deadline or writes more than 256 KiB; the text holds the end of
    /// its output. In a sandbox no command of the host runs: always an error, so plans for a sandbox have none.
    fn run(&self, invocation: &Invocation) -> io::Result<String>;

    /// Runs a command that writes the files of `folder` anew, as [`run`](System::run) does. A file that comes out the
    /// same stays the same file, so that a program that goes by inode and time sees what has changed and no more.
    ///
    /// # Errors
    /// As `run`; or if the files cannot be kept or given back.
    fn regenerate(&self, invocation: &Invocation, folder: &str) -> io::Result<()>;

    /// What the kernel has of the network now, all of it at one look. `None`: this machine is played by files, and what
    /// it has is what they say (`/sys/class/net`, `/proc/net`).
    ///
    /// # Errors
    /// If the kernel does not tell it, within a few seconds, in a form that can be understood.
    fn network(&self) -> io::Result<Option<KernelNetwork>>;

    /// Does something while no other program can change users and passwords (`/etc/.pwd.lock`).
    ///
    /// # Errors
    /// If the lock is not free within 15 seconds, or what `work` answers.
    fn hold_accounts(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

    /// True if this is a folder that plays a machine: nothing can be activated, files are all there is.
    fn is_sandbox(&self) -> bool;

    /// Writes a line to the machine's console, where cloud-init shows generated passwords.
    ///
    /// # Errors
    /// If there is no console to write to.
    fn show_on_console(&self, line: &Secret) -> io::Result<()>;

    /// Fills a buffer with random bytes fit for passwords and salts.
    ///
    /// # Errors
    /// If the kernel gives none.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()>;

    /// Days since the Unix epoch, as `/etc/shadow` counts them.
    fn today(&self) -> u64;

    /// Waits, between two looks at something that needs time to come up.
    fn pause(&self, duration: Duration);
}
