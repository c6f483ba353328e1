//! A daemon that is killed with a change on trial, and what was said of the change comes again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use cloud_channel_handlers::{FileState, System};
use cloud_channel_tests::guest::SOCKET;
use cloud_channel_tests::inside::{NETPLAN, machine, serve};
use cloud_channel_tests::message::{assert_accepted, description, result};
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::INSTANCE;
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};

/// Names the child's folder.
const ROOT: &str = "CLOUD_CHANNEL_TEST_TRIAL";
/// Long enough to be taken for unique, by a peer who comes back in another session.
const WORD: &str = "e0f6a1de-0001-4000-8000-000000000001";

/// What the child's machine has in its network file, kept where a kill does not reach it.
fn kept(root: &Path) -> PathBuf {
    root.join("netplan.yaml")
}

/// The child: a daemon on a machine that sets its links up for the old files once, and then never ends with that.
#[tokio::test]
#[ignore = "runs as the child of the test below"]
async fn child() {
    let root = PathBuf::from(std::env::var_os(ROOT).expect("started by its parent only"));
    let file = kept(&root);
    let system = machine();
    if let Ok(text) = std::fs::read_to_string(&file) {
        system.write(NETPLAN, &FileState::of_root(text, 0o600)).expect("a machine in memory takes files");
    }
    let mut had_second = false;
    let runs = std::sync::Mutex::new(move |text: &str| {
        std::fs::write(&file, text).expect("the folder takes files");
        let is_second = text.contains("dhcp6");
        let hangs = had_second && !is_second;
        had_second |= is_second;
        hangs
    });
    let system = system.with_command("/usr/bin/networkctl", move |command, files| {
        let text = String::from_utf8(files[NETPLAN].content.clone()).map_err(|error| error.to_string())?;
        let is_reload = command.args.first().is_some_and(|arg| arg == "reload");
        if is_reload && runs.lock().map_err(|error| error.to_string())?(&text) {
            loop {
                std::thread::park();
            }
        }
        Ok(String::new())
    });
    serve(&root, system).await;
}

/// A daemon in a process of its own. It is killed when this is dropped.
struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(root: &Path) -> Self {
        let process = Command::new(std::env::current_exe().expect("this program has a path"))
            .args([concat!(module_path!(), "::child").split_once("::").expect("a path has parts").1])
            .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROOT, root)
            .spawn()
            .expect("a process can be started");
        Self { process, socket: root.join(SOCKET) }
    }

    async fn join(&self) -> Peer {
        let socket = || std::os::unix::net::UnixStream::connect(&self.socket).ok();
        eventually("the daemon's socket", socket).await;
        let mut peer = Peer::join(&Address::Unix(self.socket.clone())).await;
        peer.status_when("the daemon to be ready", |status| status["ready"] == true).await;
        peer.subscribe(&format!("/cloudinit/{INSTANCE}/modules-config/*")).await;
        peer
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().expect("a process can be killed");
        self.process.wait().expect("a killed process ends");
    }
}

async fn push(peer: &mut Peer, id: &str, card: Value, confirm_seconds: Option<u64>) {
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    let ext = json!({"cloudinit": {"confirm_seconds": confirm_seconds}});
    let data = json!({"ethernets": {"eth0": card}});
    assert_accepted(&peer.request(json!({"channel": channel, "id": id, "data": data, "ext": ext})).await);
}

async fn roll_back(peer: &mut Peer) {
    assert_accepted(
        &peer.publish(&format!("/cloudinit/{INSTANCE}/config/rollback/network"), WORD, json!({})).await,
    );
}

#[tokio::test]
async fn a_rollback_that_ended_a_trial_is_known_after_a_kill() {
    let root = tempfile::tempdir().expect("a folder can be made");
    let daemon = Daemon::start(root.path());
    let mut peer = daemon.join().await;
    push(&mut peer, "first", json!({"mtu": 1500}), None).await;
    assert_eq!(result(&peer.finish("first").await), "SUCCESS");
    let first = std::fs::read_to_string(kept(root.path())).expect("the machine has its file");
    push(&mut peer, "second", json!({"dhcp6": true}), Some(600)).await;
    let on_trial = |status: &Value| status["modules"]["network"]["on_trial_seconds"].is_number();
    peer.status_when("a trial", on_trial).await;
    roll_back(&mut peer).await;
    drop(daemon);

    // Killed before the change was taken back, and then after it.
    for is_taken_back in [false, true] {
        let daemon = Daemon::start(root.path());
        let mut peer = daemon.join().await;
        if !is_taken_back {
            let finish = peer.finish("second").await;
            assert_eq!(result(&finish), "FAIL");
            assert!(description(&finish).contains("stopped before the change was confirmed"), "{finish}");
        }
        roll_back(&mut peer).await;
        let finish = peer.finish(WORD).await;
        assert_eq!(result(&finish), "SUCCESS");
        assert!(description(&finish).contains("an earlier message sent again"), "{finish}");
        let machine = std::fs::read_to_string(kept(root.path())).expect("the machine has its file");
        assert_eq!(machine, first, "the change before that stays");
        assert!(machine.contains("mtu: 1500"), "{machine}");
        drop(daemon);
    }
}
