//! What the server's process costs: CPU time and memory, as the kernel counts them (proc(5)).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::LoadError;
use super::owner;
use super::target::Target;

/// A process's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ProcessId(u32);

impl ProcessId {
    pub(crate) const INIT: Self = Self(1);

    /// Reads a number; none if it is no process's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|id| *id > 0).map(Self)
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    fn folder(self) -> PathBuf {
        Path::new("/proc").join(self.0.to_string())
    }
}

impl FromStr for ProcessId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or("expected a process id, a number above 0")
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// CPU time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel on its behalf.
    pub system: f64,
}

impl Cpu {
    /// Both together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.user + self.system
    }

    /// What was used since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// The processes that make up a server.
#[derive(Debug, Clone)]
pub struct Server {
    roots: Vec<ProcessId>,
}

impl Server {
    /// A process and its descendants.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn of(id: ProcessId) -> Result<Self, LoadError> {
        let server = Self { roots: vec![id] };
        server.cpu().map(|_| server)
    }

    /// Whoever listens there, as far as can be seen.
    #[must_use]
    pub fn find(target: &Target) -> Option<Self> {
        owner::of(target).ok().filter(|roots| !roots.is_empty()).map(|roots| Self { roots })
    }

    /// This process: what the generator itself costs.
    pub(crate) fn own() -> Self {
        Self { roots: vec![ProcessId::own()] }
    }

    /// The processes that were named or found, without their descendants.
    #[must_use]
    pub fn roots(&self) -> &[ProcessId] {
        &self.roots
    }

    /// CPU time so far, descendants included, also those that have ended and were waited for.
    ///
    /// # Errors
    /// If a process cannot be looked at, or is gone.
    pub fn cpu(&self) -> Result<Cpu, LoadError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a tick rate and a number of ticks are far below 2^52"
        )]
        let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let mut cpu = Cpu::default();
        for id in self.tree()? {
            // One that has ended since is in its parent's count from now on.
            let Ok(stat) = Stat::read(id) else { continue };
            cpu.user += seconds(stat.user);
            cpu.system += seconds(stat.system);
        }
        Ok(cpu)
    }

    /// Memory, in bytes: what is its own, and its share of what it shares (`Pss`). None where that is not to be seen.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        let mut bytes = 0;
        for id in self.tree().ok()? {
            let rollup = fs::read_to_string(id.folder().join("smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            bytes += kilobytes * 1024;
        }
        Some(bytes)
    }

    fn tree(&self) -> Result<Vec<ProcessId>, LoadError> {
        for id in &self.roots {
            let path = id.folder().join("stat");
            fs::metadata(&path).map_err(|source| LoadError::Process { path, source })?;
        }
        let all =
            fs::read_dir("/proc").map_err(|source| LoadError::Process { path: "/proc".into(), source })?;
        let parents: Vec<(ProcessId, u32)> = all
            .filter_map(|entry| ProcessId::parse(entry.ok()?.file_name().to_str()?))
            .filter_map(|id| Stat::read(id).ok().map(|stat| (id, stat.parent)))
            .collect();
        let mut tree = self.roots.clone();
        let mut at = 0;
        while let Some(id) = tree.get(at).copied() {
            let children = parents.iter().filter(|(child, parent)| *parent == id.0 && !tree.contains(child));
            let children: Vec<ProcessId> = children.map(|(child, _)| *child).collect();
            tree.extend(children);
            at += 1;
        }
        Ok(tree)
    }
}

/// What is needed of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    user: u64,
    system: u64,
}

impl Stat {
    fn read(id: ProcessId) -> io::Result<Self> {
        let text = fs::read_to_string(id.folder().join("stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::other("unreadable"))
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field, the program's name, may hold spaces and parentheses itself; the third is its state.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Numbered from 1 in proc(5); 3 is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            user: field(14)? + field(16)?,
            system: field(15)? + field(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_does_not_confuse() {
        let stat = "7 (a) b (c) S 5 7 7 0 -1 4194560 100 200 0 0 11 12 3 4 20 0 1 0 100 1000 10";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.parent, stat.user, stat.system), (5, 14, 16));
        assert!(Stat::parse("7 (a) S 5").is_none());
    }

    #[test]
    fn descendants_count() {
        // It reads until its standard input is closed, which happens when the child is dropped below.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let id = ProcessId::parse(&child.id().to_string()).unwrap();
        let server = Server::of(ProcessId::own()).unwrap();
        assert!(server.tree().unwrap().contains(&id));
        assert!(server.memory().unwrap() > Server::of(id).unwrap().memory().unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!server.tree().unwrap().contains(&id));
        let gone = Server::of(id).unwrap_err();
        assert!(gone.to_string().contains("check --server-pid"), "{gone}");
    }
}
