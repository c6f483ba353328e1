//! What the kernel knows of this process.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Memory, time and descriptors in use. What the kernel does not tell is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProcessFigures {
    /// Memory in RAM, in bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// CPU time of all threads, user and system.
    pub(crate) cpu: Duration,
    pub(crate) open_fds: Option<u64>,
    /// The limit on them, if there is one.
    pub(crate) max_fds: Option<u64>,
    pub(crate) threads: Option<u64>,
}

impl ProcessFigures {
    /// Reads them now, out of `/proc` (proc(5)): some microseconds.
    pub(crate) fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: row(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024),
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            open_fds: open_fds(Path::new("/proc/self/fd")),
            max_fds: getrlimit(Resource::Nofile).current,
            threads: row(&status, "Threads:"),
        }
    }
}

/// The number in a row of proc_pid_status(5).
fn row(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// Since Linux 6.2 the folder's size is their number; before, the entries have to be counted, with one for the counting.
fn open_fds(folder: &Path) -> Option<u64> {
    let size = std::fs::metadata(folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let count = std::fs::read_dir(folder).ok()?.count();
    Some(count.saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_status() {
        let status = "Name:\tcloud-channel\nVmRSS:\t    3916 kB\nThreads:\t2\n";
        assert_eq!(row(status, "VmRSS:"), Some(3_916));
        assert_eq!(row(status, "Threads:"), Some(2));
        assert_eq!(row(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let figures = ProcessFigures::read();
        assert!(figures.resident_bytes > Some(64 * 1024), "{figures:?}");
        assert!(figures.cpu > Duration::ZERO && figures.open_fds >= Some(3), "{figures:?}");
        assert!(figures.threads >= Some(1), "{figures:?}");
    }
}
