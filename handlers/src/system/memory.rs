//! A machine in memory, for tests: files, scripted commands, and a fault at any effect.
//!
//! This is a fake. It is public because the tests of other packages drive the modules with it. An *effect* is
//! one write, remove, run or show, counted from 1; a test that loops over all of them has tried every moment at
//! which the real machine could fail or stop.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{FileState, Invocation, KernelNetwork, LARGEST_FILE, System};
use crate::Secret;

/// What a scripted command does: it sees its invocation, may change the files, and answers its standard output
/// or what it complains of.
pub type Script =
    dyn Fn(&Invocation, &mut BTreeMap<String, FileState>) -> Result<String, String> + Send + Sync;

/// What a scripted kernel has of the network: it sees the files and every command that ran, oldest first.
pub type KernelScript =
    dyn Fn(&BTreeMap<String, FileState>, &[Invocation]) -> Result<KernelNetwork, String> + Send + Sync;

/// A machine in memory.
pub struct MemorySystem {
    inner: Mutex<Inner>,
    sandbox: bool,
    today: u64,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, FileState>,
    commands: BTreeMap<String, Arc<Script>>,
    kernel: Option<Arc<KernelScript>>,
    invocations: Vec<Invocation>,
    console: Vec<Secret>,
    effects: usize,
    fault: Option<Fault>,
    stopped: bool,
    paused: Duration,
    random: u64,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The effect does not happen and is an error.
    FailAt(usize),
    /// The effect happens and is an error all the same: a command killed too late.
    FailLateAt(usize),
    /// The effect happens, then the machine stops.
    StopAfter(usize),
}

impl MemorySystem {
    /// A real machine without files and programs, on day 20,000 of the epoch.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Mutex::default(), sandbox: false, today: 20_000 }
    }

    /// A folder that plays a machine.
    #[must_use]
    pub fn sandbox() -> Self {
        Self { sandbox: true, ..Self::new() }
    }

    /// Adds a file of root's, mode 0644.
    #[must_use]
    pub fn with_file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with_file_state(path, FileState::of_root(content, 0o644))
    }

    /// Adds a file.
    #[must_use]
    pub fn with_file_state(self, path: &str, file: FileState) -> Self {
        self.lock().files.insert(path.into(), file);
        self
    }

    /// Adds a program that succeeds and writes nothing.
    #[must_use]
    pub fn with_program(self, path: &str) -> Self {
        self.with_command(path, |_, _| Ok(String::new()))
    }

    /// Adds a program that does what `script` says.
    #[must_use]
    pub fn with_command(
        self,
        path: &str,
        script: impl Fn(&Invocation, &mut BTreeMap<String, FileState>) -> Result<String, String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.lock().commands.insert(path.into(), Arc::new(script));
        self
    }

    /// Gives the machine a kernel that has this of the network, whatever happens.
    #[must_use]
    pub fn with_network(self, network: KernelNetwork) -> Self {
        self.with_kernel(move |_, _| Ok(network.clone()))
    }

    /// Gives the machine a kernel whose network follows from the files and the commands that ran, or that fails with a
    /// text. Without one, the machine's links are what its files say.
    #[must_use]
    pub fn with_kernel(
        self,
        script: impl Fn(&BTreeMap<String, FileState>, &[Invocation]) -> Result<KernelNetwork, String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.lock().kernel = Some(Arc::new(script));
        self
    }

    /// Lets the `n`th effect from now on fail without happening.
    pub fn fail_at(&self, n: usize) {
        self.set_fault(Fault::FailAt(n));
    }

    /// Lets the `n`th effect from now on happen and fail all the same.
    pub fn fail_late_at(&self, n: usize) {
        self.set_fault(Fault::FailLateAt(n));
    }

    /// Stops the machine right after the `n`th effect from now on: every later effect fails until [`Self::restart`].
    /// With 0 it stops before the first.
    pub fn stop_after(&self, n: usize) {
        self.set_fault(Fault::StopAfter(n));
        self.lock().stopped = n == 0;
    }

    /// Starts the machine again, without faults.
    pub fn restart(&self) {
        let mut inner = self.lock();
        inner.stopped = false;
        inner.fault = None;
    }

    /// How many effects there were since the last fault was set, or at all.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.lock().effects
    }

    /// Every file.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, FileState> {
        self.lock().files.clone()
    }

    /// A file's content as text; `None` if there is no such file.
    ///
    /// # Panics
    /// If it is not UTF-8: tests put text there.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        let file = self.lock().files.get(path).cloned()?;
        Some(String::from_utf8(file.content).expect("a test's file is text"))
    }

    /// Every command that ran, oldest first.
    #[must_use]
    pub fn invocations(&self) -> Vec<Invocation> {
        self.lock().invocations.clone()
    }

    /// Every line shown on the console.
    #[must_use]
    pub fn console(&self) -> Vec<Secret> {
        self.lock().console.clone()
    }

    /// How long callers have paused in all. Nobody really waited.
    #[must_use]
    pub fn paused(&self) -> Duration {
        self.lock().paused
    }

    fn set_fault(&self, fault: Fault) {
        let mut inner = self.lock();
        inner.effects = 0;
        inner.fault = Some(fault);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the machine")
    }

    /// Counts one effect and lets the fault, if its turn has come, strike before or after it.
    fn effect<T>(&self, what: &str, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.lock();
        if inner.stopped {
            return Err(io::Error::other(format!("{what}: the machine has stopped")));
        }
        inner.effects += 1;
        let now = inner.effects;
        match inner.fault {
            Some(Fault::FailAt(n)) if n == now => Err(io::Error::other(format!("{what}: a scripted fault"))),
            Some(Fault::FailLateAt(n)) if n == now => {
                act(&mut inner)?;
                Err(io::Error::other(format!("{what}: a scripted fault after the fact")))
            }
            Some(Fault::StopAfter(n)) if n == now => {
                inner.stopped = true;
                act(&mut inner)
            }
            _ => act(&mut inner),
        }
    }
}

impl Default for MemorySystem {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemorySystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("MemorySystem")
            .field("sandbox", &self.sandbox)
            .field("files", &inner.files)
            .field("effects", &inner.effects)
            .finish_non_exhaustive()
    }
}

impl System for MemorySystem {
    fn read(&self, path: &str) -> io::Result<Option<FileState>> {
        let file = self.lock().files.get(path).cloned();
        match file {
            Some(file) if file.content.len() as u64 > LARGEST_FILE => {
                Err(io::Error::other(format!("cannot read `{path}`: it is larger than {LARGEST_FILE} bytes")))
            }
            file => Ok(file),
        }
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let inner = self.lock();
        let mut names: Vec<String> = (inner.files.keys().chain(inner.commands.keys()))
            .filter_map(|file| file.strip_prefix(&folder))
            .filter_map(|rest| rest.split('/').next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn has_program(&self, path: &str) -> bool {
        let inner = self.lock();
        let executable = |file: &FileState| file.mode & 0o111 != 0;
        inner.commands.contains_key(path) || inner.files.get(path).is_some_and(executable)
    }

    fn write(&self, path: &str, file: &FileState) -> io::Result<()> {
        self.effect(&format!("cannot write `{path}`"), |inner| {
            inner.files.insert(path.into(), file.clone());
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.effect(&format!("cannot remove `{path}`"), |inner| {
            inner.files.remove(path);
            Ok(())
        })
    }

    fn run(&self, invocation: &Invocation) -> io::Result<String> {
        let program = &*invocation.program;
        if self.sandbox {
            return Err(io::Error::other(format!("cannot run `{program}`: no command runs in a sandbox")));
        }
        self.effect(&format!("cannot run `{program}`"), |inner| {
            inner.invocations.push(invocation.clone());
            let Some(script) = inner.commands.get(program).cloned() else {
                return Err(io::Error::other(format!("cannot run `{program}`: there is no such program")));
            };
            script(invocation, &mut inner.files)
                .map_err(|text| io::Error::other(format!("`{program}` failed: {text}")))
        })
    }

    fn regenerate(&self, invocation: &Invocation, _folder: &str) -> io::Result<()> {
        self.run(invocation).map(drop)
    }

    fn network(&self) -> io::Result<Option<KernelNetwork>> {
        let inner = self.lock();
        let network = inner.kernel.as_ref().map(|script| script(&inner.files, &inner.invocations));
        network
            .transpose()
            .map_err(|text| io::Error::other(format!("cannot read the kernel's network: {text}")))
    }

    fn hold_accounts(&self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        work()
    }

    fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    fn show_on_console(&self, line: &Secret) -> io::Result<()> {
        self.effect("cannot show a line on the console", |inner| {
            inner.console.push(line.clone());
            Ok(())
        })
    }

    /// The same bytes in every run, never the same twice in one.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut inner = self.lock();
        for byte in bytes {
            // SplitMix64: each byte of a counter's mix is as good as random, for a test.
            inner.random = inner.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = inner.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56).to_le_bytes()[0];
        }
        Ok(())
    }

    fn today(&self) -> u64 {
        self.today
    }

    fn pause(&self, duration: Duration) {
        self.lock().paused += duration;
    }
}
