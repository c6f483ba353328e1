//! The real machine, and a folder that plays one.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::generated::Before;
use super::open_file::{names_of, read_regular};
use super::random::fill_random;
use super::tree::{Plain, Tree, TreePath};
use super::{FileEdit, FileState, Invocation, KernelNetwork, System, command, durable, kernel};
use crate::Secret;

/// As long as the C library's own `lckpwdf` waits.
const LOCK_WAIT: Duration = Duration::from_secs(15);

/// How long a console may refuse to take a line: a serial line whose other end has stopped reading.
const CONSOLE_WAIT: Duration = Duration::from_secs(5);

/// The machine this process runs on, or a folder that plays one.
pub struct HostSystem {
    tree: Tree,
    sandbox: bool,
}

impl HostSystem {
    /// The machine itself.
    #[must_use]
    pub fn real() -> Self {
        Self { tree: Tree::new("/".into()), sandbox: false }
    }

    /// The folder `root` as the machine's `/`. No path leads out of it, no command runs, nothing is activated.
    #[must_use]
    pub const fn sandbox(root: PathBuf) -> Self {
        Self { tree: Tree::new(root), sandbox: true }
    }

    /// Changes files of one folder.
    fn change_folder(&self, edits: &[(TreePath<'_>, Option<&FileState>)]) -> io::Result<()> {
        let told = |place: usize, error: io::Error| {
            let (path, after) = &edits[place];
            path.fault(if after.is_some() { "write" } else { "remove" }, error)
        };
        // Of what is to be removed, nothing has to be there.
        let writes = edits.iter().position(|(_, after)| after.is_some());
        let place = writes.unwrap_or_default();
        let folder =
            self.tree.folder(&edits[place].0, writes.is_some()).map_err(|error| told(place, error))?;
        let Some(folder) = folder else { return Ok(()) };
        let edits: Vec<FileEdit<'_>> = edits.iter().map(|(path, after)| (path.name, *after)).collect();
        durable::change(&folder, &edits).map_err(|(place, error)| told(place, error))
    }

    fn lock_accounts(&self) -> io::Result<OwnedFd> {
        let path = TreePath::parse("/etc/.pwd.lock")?;
        let lock = || -> io::Result<OwnedFd> {
            let folder = self.tree.folder(&path, true)?.ok_or(io::ErrorKind::NotFound)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(folder, path.name, flags, Mode::from_raw_mode(0o600))?;
            let end = Instant::now() + LOCK_WAIT;
            loop {
                match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => return Ok(file),
                    Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < end => {
                        self.pause(Duration::from_millis(50));
                    }
                    Err(Errno::AGAIN | Errno::ACCESS) => {
                        let text = format!("another program has held it for {LOCK_WAIT:?}");
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        lock().map_err(|error| path.fault("lock", error))
    }

    fn open_console(&self) -> io::Result<OwnedFd> {
        let path = TreePath::parse("/dev/console")?;
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if !self.sandbox {
            return Ok(rustix::fs::openat(rustix::fs::CWD, path.whole, flags, Mode::empty())?);
        }
        let folder = self.tree.folder(&path, true)?.ok_or(io::ErrorKind::NotFound)?;
        let flags = flags | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
        let console = rustix::fs::openat(folder, path.name, flags, Mode::from_raw_mode(0o600))?;
        match FileType::from_raw_mode(rustix::fs::fstat(&console)?.st_mode) {
            FileType::RegularFile => Ok(console),
            // A device in a sandbox would be the host's.
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file")),
        }
    }
}

impl fmt::Debug for HostSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostSystem({:?}, sandbox: {})", self.tree, self.sandbox)
    }
}

impl System for HostSystem {
    fn read(&self, path: &str) -> io::Result<Option<FileState>> {
        let path = TreePath::parse(path)?;
        let read = |file| read_regular(file).map_err(|error| path.fault("read", error));
        // Nearly all are plain files. There are thousands of reads in a plan of a hundred devices.
        match self.tree.open_plain(&path) {
            Plain::Is(file) => return read(file).map(Some),
            Plain::Absent => return Ok(None),
            Plain::Unsure => {}
        }
        let target = self.tree.link_target(&path);
        // How systemd is told to take a file for absent (systemd.unit(5), "masked").
        if target.as_deref() == Some(c"/dev/null") {
            return Ok(None);
        }
        let opened = self.tree.open(&path, OFlags::RDONLY).map_err(|error| path.fault("read", error))?;
        if opened.is_none() && target.is_some() {
            let text = "it is a symbolic link that leads nowhere in this machine's tree; put a file there";
            return Err(path.fault("read", io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        opened.map(read).transpose()
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let path = TreePath::parse(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let names = || -> io::Result<Vec<String>> {
            self.tree.open(&path, flags)?.map_or_else(|| Ok(Vec::new()), |folder| names_of(&folder))
        };
        names().map_err(|error| path.fault("list", error))
    }

    fn has_program(&self, path: &str) -> bool {
        let Ok(path) = TreePath::parse(path) else { return false };
        let Ok(Some(file)) = self.tree.open(&path, OFlags::PATH) else { return false };
        rustix::fs::fstat(file).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
        })
    }

    fn write(&self, path: &str, file: &FileState) -> io::Result<()> {
        self.change_files(&[(path, Some(file))])
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change_files(&[(path, None)])
    }

    fn change_files(&self, edits: &[FileEdit<'_>]) -> io::Result<()> {
        let parsed = edits.iter().map(|(path, after)| Ok((TreePath::parse(path)?, *after)));
        let parsed = parsed.collect::<io::Result<Vec<_>>>()?;
        let groups = parsed.chunk_by(|(one, _), (other, _)| one.folders == other.folders);
        groups.into_iter().try_for_each(|group| self.change_folder(group))
    }

    fn run(&self, invocation: &Invocation) -> io::Result<String> {
        if self.sandbox {
            let text =
                format!("cannot run `{}`: no command of the host runs in a sandbox", invocation.program);
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        command::run(invocation)
    }

    fn regenerate(&self, invocation: &Invocation, folder: &str) -> io::Result<()> {
        if self.sandbox {
            return self.run(invocation).map(drop);
        }
        let path = TreePath::parse(folder)?;
        let before =
            Before::keep(&self.tree, &path).map_err(|error| path.fault("keep the files of", error))?;
        let ran = self.run(invocation).map(drop);
        let given_back = before.map_or(Ok(()), Before::give_back);
        // Of two faults the command's own says more.
        ran.and_then(|()| given_back.map_err(|error| path.fault("give back the files of", error)))
    }

    fn network(&self) -> io::Result<Option<KernelNetwork>> {
        if self.sandbox { Ok(None) } else { kernel::look().map(Some) }
    }

    fn hold_accounts(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        // Closing the file releases the lock.
        let _lock = self.lock_accounts()?;
        work()
    }

    fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    fn show_on_console(&self, line: &Secret) -> io::Result<()> {
        let show = || write_patiently(self.open_console()?, format!("{}\n", line.expose()).as_bytes());
        // The console's own errors never hold the line.
        show().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot write to `/dev/console`: {}", super::tree::told(&error)),
            )
        })
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        fill_random(bytes)
    }

    fn today(&self) -> u64 {
        // A clock before 1970 is no clock: day 0 would mean "must be changed", so it counts as day 1.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since.as_secs() / 86_400).max(1)
    }

    fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Writes to something that may not take everything at once, for a bounded time.
fn write_patiently(file: OwnedFd, mut rest: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::from(file);
    let end = Instant::now() + CONSOLE_WAIT;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
