//! What a change of the network takes, from the message to the files, for one device and for a hundred. There are files and
//! nothing else here: what a machine's own tools take comes on top.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::guest::{Guest, open_stream};

/// Changes measured; each is another one.
const ROUNDS: u32 = 41;

const INSTANCE: &str = "/cloudinit/i-figures";

/// Prints a line for each renderer and number of devices.
pub(crate) fn measure(binary: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    for (renderer, programs) in [
        ("netplan", &["usr/sbin/netplan"][..]),
        ("networkd", &["usr/sbin/ip", "usr/bin/systemctl"]),
        ("eni", &["usr/sbin/ifup", "usr/sbin/ifdown", "usr/sbin/ifquery"]),
        ("network-manager", &["usr/bin/nmcli"]),
    ] {
        for devices in [1, 100] {
            let took = changes(binary, renderer, programs, devices)?;
            let title = format!("{renderer}, {devices} devices");
            writeln!(out, "set, {title:<27} {took}")?;
        }
    }
    for cards in [1, 100] {
        let took = plug(binary, cards)?;
        let title = format!("plug, {cards} cards of a bridge");
        writeln!(out, "{title:<32} {took}")?;
    }
    Ok(())
}

/// The middle ones of what changes took.
struct Took {
    accepted: Duration,
    planned: Duration,
    finished: Duration,
    cpu: Duration,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [accepted, planned, finished, cpu] =
            [self.accepted, self.planned, self.finished, self.cpu].map(|took| took.as_secs_f64() * 1e3);
        write!(
            f,
            "accepted {accepted:.1} ms, plan ready {planned:.1} ms, files durable {finished:.1} ms; cpu {cpu:.1} ms"
        )
    }
}

fn machine(renderer: &str, programs: &[&str]) -> anyhow::Result<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    let put = |path: &str, text: &str, mode: u32| -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::write(&path, text)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    for program in programs {
        put(program, "", 0o755)?;
    }
    put("etc/cloud/cloud.cfg", &format!("system_info: {{network: {{renderers: [{renderer}]}}}}\n"), 0o644)?;
    put("etc/network/interfaces", "source /etc/network/interfaces.d/*\n", 0o644)?;
    put("etc/NetworkManager/NetworkManager.conf", "[main]\nplugins=keyfile\n", 0o644)?;
    Ok(root)
}

fn lay_card(root: &Path, number: u16) -> anyhow::Result<()> {
    let folder = root.join(format!("sys/class/net/eth{number}"));
    fs::create_dir_all(&folder)?;
    let index = number + 2;
    for (name, text) in [
        ("address", address(number)),
        ("mtu", "1500".to_owned()),
        ("flags", "0x1003".to_owned()),
        ("uevent", format!("INTERFACE=eth{number}\nIFINDEX={index}")),
    ] {
        fs::write(folder.join(name), text + "\n")?;
    }
    Ok(())
}

fn address(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("02:00:00:00:{high:02x}:{low:02x}")
}

/// A session that hears how changes end.
struct Follower {
    socket: WebSocket<UnixStream>,
    client: String,
    last_id: u32,
}

impl Follower {
    fn of(guest: &Guest) -> anyhow::Result<Self> {
        guest.wait_ready()?;
        let (socket, client) = open_stream(&guest.socket())?;
        let mut follower = Self { socket, client, last_id: 0 };
        let connect = json!({"channel": "/meta/connect", "connectionType": "websocket"});
        // One at a time: a second one would have the first answered, and so on without end.
        follower.send(connect)?;
        let subscription = format!("{INSTANCE}/modules-config/network");
        follower.send(json!({"channel": "/meta/subscribe", "subscription": subscription}))?;
        follower.until("/meta/subscribe", |_| true)?;
        Ok(follower)
    }

    fn send(&mut self, mut message: Value) -> anyhow::Result<()> {
        self.last_id += 1;
        message["clientId"] = self.client.clone().into();
        message["id"] = self.last_id.into();
        Ok(self.socket.send(Message::text(json!([message]).to_string()))?)
    }

    /// Reads until a message of a channel is as wanted. Its connects are answered by others.
    fn until(&mut self, channel: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let frame = self.socket.read()?.into_text()?;
            let messages: Vec<Value> = serde_json::from_str(&frame)?;
            let mut found = None;
            for message in messages {
                if message["channel"] == "/meta/connect" {
                    self.send(json!({"channel": "/meta/connect", "connectionType": "websocket"}))?;
                } else if message["channel"] == channel && wanted(&message) {
                    found = Some(message);
                }
            }
            if let Some(message) = found {
                return Ok(message);
            }
        }
    }

    fn report(&mut self, kind: &str) -> anyhow::Result<Value> {
        let channel = format!("{INSTANCE}/modules-config/network");
        let event = self.until(&channel, |event| event["data"][0]["event_type"] == kind)?;
        Ok(event["data"][0].clone())
    }

    /// Sends, and times the reply, the start and the finish.
    fn follow(&mut self, channel: &str, data: Value) -> anyhow::Result<[Duration; 3]> {
        let begin = Instant::now();
        self.send(json!({"channel": channel, "data": data}))?;
        let reply = self.until(channel, |_| true)?;
        let accepted = begin.elapsed();
        if reply["successful"] != true {
            bail!("refused: {reply}");
        }
        self.report("start")?;
        let planned = begin.elapsed();
        let finish = self.report("finish")?;
        if finish["result"] == "FAIL" {
            bail!("failed: {finish}");
        }
        Ok([accepted, planned, begin.elapsed()])
    }
}

fn changes(binary: &Path, renderer: &str, programs: &[&str], devices: u16) -> anyhow::Result<Took> {
    let root = machine(renderer, programs)?;
    for number in 0..devices {
        lay_card(root.path(), number)?;
    }
    let guest = Guest::start_in(binary, root)?;
    let mut follower = Follower::of(&guest)?;
    let channel = format!("{INSTANCE}/config/set/network");
    let before = guest.cpu()?;
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let card = |number: u16| {
            let device = json!({"match": {"macaddress": address(number)}, "mtu": 1400 + round,
                "addresses": [format!("10.{}.{}.1/24", number / 256, number % 256)]});
            (format!("card{number}"), device)
        };
        let cards: Map<String, Value> = (0..devices).map(card).collect();
        took.push(follower.follow(&channel, json!({"version": 2, "ethernets": cards}))?);
    }
    let cpu = (guest.cpu()? - before) / ROUNDS;
    Ok(middle(&took, cpu))
}

/// A bridge waits for its last card: from the word that it is there to the bridge's files.
fn plug(binary: &Path, cards: u16) -> anyhow::Result<Took> {
    let mut took = Vec::new();
    let mut cpu = Duration::ZERO;
    for _ in 0..ROUNDS {
        let root = machine("netplan", &["usr/sbin/netplan"])?;
        lay_card(root.path(), 1_000)?;
        for number in 1..cards {
            lay_card(root.path(), number)?;
        }
        let guest = Guest::start_in(binary, root)?;
        let mut follower = Follower::of(&guest)?;
        let card = |number: u16| (format!("card{number}"), json!({"match": {"macaddress": address(number)}}));
        let ethernets: Map<String, Value> = (0..cards).map(card).collect();
        let names: Vec<&String> = ethernets.keys().collect();
        let data = json!({"version": 2, "bridges": {"br0": {"interfaces": names}}, "ethernets": ethernets});
        follower.send(json!({"channel": format!("{INSTANCE}/config/set/network"), "data": data}))?;
        follower.report("finish")?;
        lay_card(guest.root(), 0)?;
        let before = guest.cpu()?;
        let data = json!({"subsystem": "net", "action": "add", "attrs": {"address": address(0)}});
        took.push(follower.follow(&format!("{INSTANCE}/hotplug/network"), data)?);
        cpu += guest.cpu()? - before;
    }
    Ok(middle(&took, cpu / ROUNDS))
}

fn middle(took: &[[Duration; 3]], cpu: Duration) -> Took {
    let [accepted, planned, finished] = [0, 1, 2].map(|index| {
        let mut times: Vec<Duration> = took.iter().map(|times| times[index]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    });
    Took { accepted, planned, finished, cpu }
}
