//! A program of another make, run by one of the scripts of `tests/clients`: commands go in and what happens comes out,
//! one JSON object a line. `tests/clients/README.md` has the words.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::patience::within;
use crate::sandbox::Sandbox;
use crate::say;

/// What a failed test shows of the lines that a program told.
const TOLD_TAIL: usize = 25;
/// What it shows of one of them.
const LINE_TAIL: usize = 400;

/// How many were started by this process.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A running script. It is killed when this is dropped.
#[derive(Debug)]
pub struct Driver {
    name: String,
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    told: Vec<Value>,
    asked: u64,
    errors: PathBuf,
}

impl Driver {
    /// Starts a script. Its errors go to a file beside the sandbox.
    ///
    /// # Panics
    /// If the system starts no process.
    #[must_use]
    pub fn start(name: &str, mut command: Command, sandbox: &Sandbox) -> Self {
        // Two of one name may run beside one sandbox.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let errors = sandbox.beside(&format!("{}-{number}.log", name.replace(' ', "-")));
        let log = File::create(&errors).expect("a file can be made beside the sandbox");
        // Some clients take a proxy from there, even on the way to this very machine.
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let commands = child.stdin.take().expect("standard input is a pipe");
        let lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        Self { name: name.to_owned(), child, commands, lines, told: Vec::new(), asked: 0, errors }
    }

    /// Gives a command and waits for what becomes of it.
    pub async fn ask(&mut self, command: Value) -> Value {
        let what = format!("{}'s answer to {}", self.name, command["do"]);
        let number = self.order(command).await;
        self.line(&what, |line| line["re"] == number).await
    }

    /// Gives a command and waits for nothing.
    ///
    /// # Panics
    /// If the script has ended.
    pub async fn order(&mut self, mut command: Value) -> u64 {
        self.asked += 1;
        command["n"] = self.asked.into();
        let line = format!("{command}\n");
        let sent = within("a command to be taken", self.commands.write_all(line.as_bytes())).await;
        sent.unwrap_or_else(|error| panic!("{} takes no command: {error}", self.name));
        self.asked
    }

    /// Waits for a line; the first that was ever told and fits.
    pub async fn line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.line_since(0, what, wanted).await
    }

    /// Waits for a line that is told after so many others.
    pub async fn line_since(&mut self, mark: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        // The whole wait has an end, and not each line: a client that tries in vain tells of it for ever.
        within(what, self.find(mark, what, wanted)).await
    }

    async fn find(&mut self, mut seen: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some(line) = self.told.get(seen) {
                if wanted(line) {
                    return line.clone();
                }
                seen += 1;
            }
            self.read(what).await;
        }
    }

    /// How many lines have been read so far.
    #[must_use]
    pub const fn mark(&self) -> usize {
        self.told.len()
    }

    /// Everything that has been read so far, in order.
    #[must_use]
    pub fn told(&self) -> &[Value] {
        &self.told
    }

    /// Stops its process, as a closed lid stops a laptop: its sockets stay open.
    ///
    /// # Panics
    /// If it has ended.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    ///
    /// # Panics
    /// If it has ended.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as a crash does, and waits for its end.
    ///
    /// # Panics
    /// If it has ended already.
    pub async fn crash(mut self) {
        self.signal(Signal::KILL);
        within("the killed script to end", self.child.wait()).await.expect("a child can be waited for");
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).unwrap_or_else(|| panic!("{} has ended", self.name));
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    async fn read(&mut self, what: &str) {
        let line = self.lines.next_line().await;
        let line = line.unwrap_or_else(|error| panic!("{} told what is no text: {error}", self.name));
        let line = line.unwrap_or_else(|| panic!("{} ended while a test waited for {what}", self.name));
        let told = serde_json::from_str(&line);
        self.told.push(
            told.unwrap_or_else(|error| panic!("{} told what is no JSON ({error}): {line}", self.name)),
        );
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut text = format!("--- what {} told last ---\n", self.name);
        for line in &self.told[self.told.len().saturating_sub(TOLD_TAIL)..] {
            let line = line.to_string();
            text.extend(line.chars().take(LINE_TAIL));
            text.push('\n');
        }
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        say(&format!("{text}--- its errors ---\n{errors}---"));
    }
}
