//! Measures the daemon from outside, as a process, and prints a table: `specs/figures.md` says how to read it.
//!
//! `cargo build --release -p cloud-channel && cargo run --release -p cloud-channel-tests --bin figures -- \
//! target/release/cloud-channel`

mod guest;
mod network;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use guest::{Guest, open_stream};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Starts measured; the median of so many is steady.
const STARTS: usize = 21;
/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(60);
/// Idle sessions opened; below the 1,008 that the daemon gives one peer.
const SESSIONS: usize = 800;

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
    network::measure(&binary, &mut out)
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
