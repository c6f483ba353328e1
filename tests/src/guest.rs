//! The daemon as a process on a sandbox.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::process::{ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::binary::cloud_channel;
use crate::patience::within;
use crate::peer::Peer;
use crate::sandbox::{INSTANCE, Sandbox};
use crate::stream::Address;

/// Where the daemon's Unix socket is below a sandbox.
pub const SOCKET: &str = "run/cloud-channel/events.sock";

/// How a daemon is to be started; may be started again and again.
#[derive(Debug, Clone)]
pub struct Launch<'s> {
    sandbox: &'s Sandbox,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// What the daemon is started by; without it, by itself.
    by: Vec<OsString>,
}

/// A running daemon. It is killed when this is dropped.
#[derive(Debug)]
pub struct Guest<'s> {
    sandbox: &'s Sandbox,
    child: Child,
    status: Value,
}

impl<'s> Launch<'s> {
    /// On a sandbox, strict, listening on its Unix socket alone.
    #[must_use]
    pub fn on(sandbox: &'s Sandbox) -> Self {
        let arguments = vec!["run".into(), "--root".into(), sandbox.root().into()];
        Self { sandbox, arguments, environment: Vec::new(), by: Vec::new() }
    }

    /// On a real machine's kernel, by a command that keeps it away from everything else: no file of the sandbox is the
    /// machine's but the configuration and the Unix socket.
    #[must_use]
    pub fn real(sandbox: &'s Sandbox, by: Vec<OsString>) -> Self {
        let arguments = vec![
            "run".into(),
            "--config".into(),
            sandbox.beside("config.yaml").into(),
            "--instance-id".into(),
            INSTANCE.into(),
            "--listen".into(),
            format!("unix://{}", sandbox.path(SOCKET).display()).into(),
        ];
        Self { sandbox, arguments, environment: Vec::new(), by }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Trusts every peer.
    #[must_use]
    pub fn dev(self) -> Self {
        self.argument("--dev")
    }

    /// Listens on a free TCP port of the loopback as well.
    #[must_use]
    pub fn tcp(self) -> Self {
        let unix = format!("unix://{}", self.sandbox.path(SOCKET).display());
        self.argument("--listen").argument(unix).argument("--listen").argument("ws://127.0.0.1:0/events")
    }

    /// Dials a management server.
    #[must_use]
    pub fn connect(self, url: &str) -> Self {
        self.argument("--connect").argument(url)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it does not get ready.
    pub async fn start(&self) -> Guest<'s> {
        let mut guest = self.spawn();
        let ready = command(&["status", "--wait", "20", "--format", "json", "--root"], self.sandbox);
        let output = tokio::select! {
            output = ready => output,
            ended = guest.child.wait() => panic!("the daemon ended instead of getting ready: {ended:?}"),
        };
        assert!(output.status.success(), "not ready: {}", String::from_utf8_lossy(&output.stderr));
        guest.status = serde_json::from_slice(&output.stdout).expect("`status --format json` prints JSON");
        guest
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// If the system starts no process.
    #[must_use]
    pub fn spawn(&self) -> Guest<'s> {
        let Some((program, arguments)) = self.by.split_first() else {
            return self.spawn_by(Command::new(cloud_channel()));
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(cloud_channel());
        self.spawn_by(command)
    }

    /// Starts it by a command that takes the daemon's command line as its last arguments.
    ///
    /// # Panics
    /// If the system starts no process.
    #[must_use]
    pub fn spawn_by(&self, mut command: Command) -> Guest<'s> {
        let log = OpenOptions::new().create(true).append(true).open(self.sandbox.log_path());
        let log = log.expect("the log can be opened");
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().expect("the daemon can be started");
        Guest { sandbox: self.sandbox, child, status: Value::Null }
    }

    /// Starts it, expects it to end by itself, and gives what it printed.
    pub async fn output(&self) -> Output {
        let mut command = Command::new(cloud_channel());
        command.args(&self.arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        within("the daemon to end", command.output()).await.expect("the daemon can be started")
    }
}

impl<'s> Guest<'s> {
    /// The process.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw).expect("the daemon runs")
    }

    /// The machine it runs on.
    #[must_use]
    pub const fn sandbox(&self) -> &'s Sandbox {
        self.sandbox
    }

    /// Its Unix socket.
    #[must_use]
    pub fn unix(&self) -> Address {
        Address::Unix(self.sandbox.path(SOCKET))
    }

    /// Its TCP port, as its status tells it.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn tcp(&self) -> Address {
        let listening = self.status["listening"].as_array().into_iter().flatten();
        let mut urls = listening.filter_map(Value::as_str);
        let found = urls.find_map(|url| url.strip_prefix("ws://")?.strip_suffix("/events"));
        Address::Tcp(found.unwrap_or_else(|| panic!("no TCP listener in {}", self.status)).to_owned())
    }

    /// Its TLS port, host and port, as its status tells it.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn tls(&self) -> &str {
        let listening = self.status["listening"].as_array().into_iter().flatten();
        let mut urls = listening.filter_map(Value::as_str);
        let found = urls.find_map(|url| url.strip_prefix("wss://")?.strip_suffix("/events"));
        found.unwrap_or_else(|| panic!("no TLS listener in {}", self.status))
    }

    /// A session over its Unix socket.
    pub async fn join(&self) -> Peer {
        Peer::join(&self.unix()).await
    }

    /// A session that hears everything it may.
    pub async fn follow(&self) -> Peer {
        let mut peer = self.join().await;
        peer.subscribe("/cloudinit/**").await;
        peer
    }

    /// Runs a subcommand against this sandbox; `--root` is added.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let mut arguments = arguments.to_vec();
        arguments.push("--root");
        command(&arguments, self.sandbox).await
    }

    /// Runs a subcommand that names its endpoint itself.
    pub async fn bare_command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(cloud_channel());
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        within(&format!("{arguments:?} to end"), command.output()).await.expect("the command can be started")
    }

    /// Ends it at once, as a crash does.
    ///
    /// # Panics
    /// If it has ended already.
    pub async fn crash(mut self) {
        kill_process(self.pid(), Signal::KILL).expect("the daemon is there to be killed");
        within("the killed daemon to end", self.child.wait()).await.expect("a child can be waited for");
    }

    /// Asks it to end.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("the daemon is there to be signalled");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it goes on.
    pub async fn exit(&mut self) -> ExitStatus {
        within("the daemon to end", self.child.wait()).await.expect("a child can be waited for")
    }

    /// Asks it to end and expects it to end well.
    pub async fn stop(self) {
        self.terminate();
        self.end().await;
    }

    /// Expects it to end well, as it was asked to already.
    ///
    /// # Panics
    /// If it does not.
    pub async fn end(mut self) {
        let status = self.exit().await;
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// Voluntary and involuntary context switches of all its threads so far (proc(5)).
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn context_switches(&self) -> u64 {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let tasks = std::fs::read_dir(tasks).expect("a running process has tasks");
        let status = |task: std::io::Result<std::fs::DirEntry>| {
            let path = task.expect("a task can be listed").path().join("status");
            std::fs::read_to_string(path).unwrap_or_default()
        };
        let count = |text: String| -> u64 {
            let switches = text.lines().filter(|line| line.contains("ctxt_switches"));
            switches.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
        };
        tasks.map(status).map(count).sum()
    }
}

/// Runs the binary with some arguments and the sandbox's root as the last.
async fn command(arguments: &[&str], sandbox: &Sandbox) -> Output {
    let mut command = Command::new(cloud_channel());
    command.args(arguments).arg(sandbox.root()).stdin(Stdio::null()).kill_on_drop(true);
    within(&format!("{arguments:?} to end"), command.output()).await.expect("the command can be started")
}
