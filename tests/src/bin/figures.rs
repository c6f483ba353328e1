//! Measures the daemon from outside, as a process, and prints a table: `specs/figures.md` says how to read it.
//!
//! `cargo build --release -p cloud-channel && cargo run --release -p cloud-channel-tests --bin figures -- \
//! target/release/cloud-channel`

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Starts measured; the median of so many is steady.
const STARTS: usize = 21;
/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(60);
/// Idle sessions opened; below the daemon's limit of 1,024.
const SESSIONS: usize = 1_000;

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#;

fn main() -> anyhow::Result<()> {
    let binary = PathBuf::from(std::env::args().nth(1).context("expected the path of the daemon's binary")?);
    let quick = std::env::args().nth(2).is_some_and(|argument| argument == "--quick");
    let mut out = std::io::stdout();
    let size =
        std::fs::metadata(&binary).with_context(|| format!("cannot look at {}", binary.display()))?.len();
    writeln!(out, "binary                           {:.2} MB", megabytes(size))?;

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(time_start(&binary)?);
    }
    starts.sort_unstable();
    let middle = starts[STARTS / 2].as_secs_f64() * 1e3;
    let (best, worst) = (starts[0].as_secs_f64() * 1e3, starts[STARTS - 1].as_secs_f64() * 1e3);
    writeln!(out, "exec to first handshake reply    {middle:.1} ms (best {best:.1}, worst {worst:.1})")?;

    let guest = Guest::start(&binary)?;
    guest.wait_ready()?;
    let watched = if quick { IDLE / 10 } else { IDLE };
    let before = guest.settled()?;
    std::thread::sleep(watched);
    let woken = guest.wakeups()? - before;
    writeln!(out, "wake-ups in {} s idle            {woken}", watched.as_secs())?;

    let memory = guest.memory()?;
    writeln!(out, "idle RSS                         {:.2} MB", megabytes(memory["Rss"]))?;
    writeln!(out, "  of it anonymous                {:.2} MB", megabytes(memory["Anonymous"]))?;
    writeln!(out, "idle private dirty               {:.2} MB", megabytes(memory["Private_Dirty"]))?;

    let before = guest.memory()?["Anonymous"];
    let sessions =
        (0..SESSIONS).map(|_| open_session(&guest.socket())).collect::<anyhow::Result<Vec<_>>>()?;
    let after = guest.memory()?["Anonymous"];
    let each = after.saturating_sub(before) / SESSIONS as u64;
    writeln!(
        out,
        "heap per idle session            {each} bytes ({SESSIONS} WebSocket sessions, connect held)"
    )?;
    drop(sessions);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a process are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// From exec to the first handshake's reply, connecting as soon as the socket is there.
fn time_start(binary: &Path) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let guest = Guest::start(binary)?;
    open_stream(&guest.socket())?;
    Ok(begin.elapsed())
}

/// A daemon in a folder of its own; killed when dropped.
struct Guest {
    root: tempfile::TempDir,
    process: Child,
}

impl Guest {
    fn start(binary: &Path) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
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

    fn socket(&self) -> PathBuf {
        self.root.path().join("run/cloud-channel/events.sock")
    }

    /// Ready is when a status says so; a session is enough to ask.
    fn wait_ready(&self) -> anyhow::Result<()> {
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
    fn memory(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id()))?;
        let rows = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let kilobytes: u64 = rest.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some((name.to_owned(), kilobytes * 1024))
        });
        Ok(rows.collect())
    }

    /// The wake-ups so far, once what the last peer's leaving caused is over.
    fn settled(&self) -> anyhow::Result<u64> {
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

    /// Context switches of all threads: each one back is a wake-up (proc_pid_status(5)).
    fn wakeups(&self) -> anyhow::Result<u64> {
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
fn open_stream(path: &Path) -> anyhow::Result<(WebSocket<UnixStream>, String)> {
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

/// An idle session as clients keep them: subscribed, and with a held connect.
fn open_session(path: &Path) -> anyhow::Result<WebSocket<UnixStream>> {
    let (mut socket, client) = open_stream(path)?;
    let connect =
        format!(r#"[{{"channel":"/meta/connect","clientId":"{client}","connectionType":"websocket"}}]"#);
    socket.send(Message::text(connect.clone()))?;
    socket.read()?;
    let subscribe =
        format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client}","subscription":"/cloudinit/**"}}]"#);
    socket.send(Message::text(subscribe))?;
    socket.read()?;
    socket.send(Message::text(connect))?;
    Ok(socket)
}
