//! The daemon as a process, and a session with it.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#;

/// A daemon in a folder of its own; killed when dropped.
pub(crate) struct Guest {
    root: TempDir,
    process: Child,
}

impl Guest {
    pub(crate) fn start(binary: &Path) -> anyhow::Result<Self> {
        Self::start_in(binary, tempfile::tempdir()?)
    }

    /// On a machine that is there already.
    pub(crate) fn start_in(binary: &Path, root: TempDir) -> anyhow::Result<Self> {
        let process = Command::new(binary)
            .args(["run", "--instance-id", "i-figures", "--root"])
            .arg(root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self { root, process })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("run/cloud-channel/events.sock")
    }

    /// Ready is when a status says so; a session is enough to ask.
    pub(crate) fn wait_ready(&self) -> anyhow::Result<()> {
        let (mut socket, client) = open_stream(&self.socket())?;
        let question = format!(
            r#"[{{"channel":"/service/cloud-channel/status","clientId":"{client}","data":{{}},"id":1}}]"#
        );
        loop {
            socket.send(Message::text(question.clone()))?;
            let mut answer = String::new();
            while !answer.contains("\"ready\"") {
                answer = socket.read()?.into_text()?.to_string();
            }
            if answer.contains("\"ready\":true") {
                return leave(socket, &client);
            }
        }
    }

    /// The process's memory in bytes (proc_pid_smaps(5)).
    pub(crate) fn memory(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id()))?;
        let rows = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let kilobytes: u64 = rest.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some((name.to_owned(), kilobytes * 1024))
        });
        Ok(rows.collect())
    }

    /// The wake-ups so far, once what the last peer's leaving caused is over.
    pub(crate) fn settled(&self) -> anyhow::Result<u64> {
        let mut last = self.wakeups()?;
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.wakeups()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    /// The folder that plays its machine.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// What it has taken of the processor so far, of all threads, also those that have ended: in hundredths of a
    /// second, as the kernel shows it.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name may hold anything, but it ends with the last parenthesis (proc_pid_stat(5)).
        let (_, fields) = text.rsplit_once(") ").context("no process status as proc_pid_stat(5) has it")?;
        let ticks = |index: usize| fields.split(' ').nth(index).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("no times as proc_pid_stat(5) has them")?;
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// Context switches of all threads: each one back is a wake-up (proc_pid_status(5)).
    pub(crate) fn wakeups(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let status = std::fs::read_to_string(task?.path().join("status"))?;
            let switches = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
            sum +=
                switches.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(sum)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A stream with a fresh session, and its clientId.
pub(crate) fn open_stream(path: &Path) -> anyhow::Result<(WebSocket<UnixStream>, String)> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let stream = loop {
        match UnixStream::connect(path) {
            Ok(stream) => break stream,
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => return Err(error).with_context(|| format!("cannot connect to {}", path.display())),
        }
    };
    let (mut socket, _) = tungstenite::client::client("ws://localhost/events", stream)
        .map_err(|error| anyhow::anyhow!("no WebSocket: {error}"))?;
    socket.send(Message::text(HANDSHAKE))?;
    let reply = socket.read()?.into_text()?;
    let Some((_, rest)) = reply.split_once(r#""clientId":""#) else { bail!("no session: {reply}") };
    let client = rest.split('"').next().unwrap_or_default().to_owned();
    Ok((socket, client))
}

/// Ends a session, so that nothing of it is left to expire.
fn leave(mut socket: WebSocket<UnixStream>, client: &str) -> anyhow::Result<()> {
    socket.send(Message::text(format!(r#"[{{"channel":"/meta/disconnect","clientId":"{client}"}}]"#)))?;
    socket.read()?;
    socket.close(None)?;
    // The daemon has closed it too once there is nothing more to read.
    while socket.read().is_ok() {}
    Ok(())
}
