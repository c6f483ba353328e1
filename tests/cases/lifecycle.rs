//! Start, readiness, the end, and everything that can stand against a start.

use std::path::Path;

use cloud_channel_tests::guest::{Launch, SOCKET};
use cloud_channel_tests::message::{assert_accepted, error, finish_numbers, result};
use cloud_channel_tests::patience::within;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, Sandbox};
use serde_json::{Value, json};
use tokio::net::UnixDatagram;

use crate::payloads::{HASH, card};

#[tokio::test]
async fn status_tells_how_things_are() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let output = guest.command(&["status"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [INSTANCE, "ready", "listening", "unix://", "sessions"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let status = guest.join().await.status().await;
    assert_eq!((&status["ready"], &status["link"]), (&json!(true), &Value::Null), "{status}");
    guest.stop().await;
    assert!(!sandbox.log().contains("ERROR"), "a quiet life has no errors in its log");

    let guest = launch.start().await;
    let sandbox_of_none = Sandbox::empty();
    let other = Launch::on(&sandbox_of_none);
    let nobody = tokio::process::Command::new(cloud_channel_tests::binary::cloud_channel())
        .args(["status", "--root"])
        .arg(sandbox_of_none.root())
        .output();
    let output = within("status to end", nobody).await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot reach the daemon") && text.contains(SOCKET), "{text}");
    // Without cloud-init's files there is no instance-id to be known by.
    let output = other.output().await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--instance-id") && text.contains("run/cloud-init/.instance-id"), "{text}");
    guest.stop().await;
}

#[tokio::test]
async fn a_good_end_finishes_or_keeps_what_is_under_way() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let mut peer = guest.join().await;
    // Texts are hashed, which takes its time.
    let text = |number: u8| {
        json!({"chpasswd": {"expire": false, "users": [
            {"name": "root", "password": format!("a text of its own {number}"), "type": "text"}]}})
    };
    for number in 0..10 {
        assert_accepted(&peer.push("cc_set_passwords", &format!("u-{number}"), text(number)).await);
        assert_accepted(&peer.push("network", &format!("n-{number}"), card(number, 1400)).await);
    }
    let mut guest = guest;
    guest.terminate();
    let (code, reason) = peer.close().await;
    assert_eq!(code, 1001, "{reason}");
    assert!(guest.exit().await.success());

    let guest = launch.start().await;
    let mut later = guest.follow().await;
    for number in 0..10 {
        for push in [format!("u-{number}"), format!("n-{number}")] {
            assert_eq!(result(&later.finish(&push).await), "SUCCESS");
            assert_eq!(finish_numbers(later.events(), &push).len(), 1);
        }
    }
    let file = sandbox.read(NETPLAN);
    assert!((0..10).all(|number| file.contains(&format!("nic{number}"))), "{file}");
    guest.stop().await;
}

#[tokio::test]
async fn the_service_manager_is_told() {
    let sandbox = Sandbox::machine();
    let path = sandbox.beside("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut buffer = [0; 256];
    let mut next = async || {
        let length = within("a notification", manager.recv(&mut buffer)).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap().trim().to_owned()
    };
    let launch =
        Launch::on(&sandbox).environment("NOTIFY_SOCKET", &path).environment("WATCHDOG_USEC", "200000");
    let guest = launch.spawn();
    while next().await != "READY=1" {}
    // Ready means that pushes are taken.
    let mut peer = guest.follow().await;
    peer.push_through("network", "card", card(0, 1400)).await;
    for _ in 0..3 {
        assert_eq!(next().await, "WATCHDOG=1");
    }
    guest.terminate();
    while next().await != "STOPPING=1" {}
    guest.end().await;
}

#[tokio::test]
async fn trust_in_everybody_stays_at_home() {
    let sandbox = Sandbox::machine();
    for endpoint in ["ws://0.0.0.0:0/events", "ws://[::]:0/events"] {
        let output = Launch::on(&sandbox).dev().argument("--listen").argument(endpoint).output().await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains("--dev") && text.contains("loopback"), "{text}");
    }
}

#[tokio::test]
async fn configuration_faults_name_the_place() {
    for (file, text, parts) in [
        ("config.yaml", "instance-id: a\nlisen: []\n", ["config.yaml", "2", "did you mean `listen`"]),
        ("conf.d/10-x.yaml", "connect: [\"ftp://x\"]\n", ["10-x.yaml", "1", "ftp://x"]),
        ("config.yaml", "log-format: loud\n", ["config.yaml", "1", "loud"]),
        ("config.yaml", "connect: [ws://a\n", ["config.yaml", "", ""]),
    ] {
        let sandbox = Sandbox::machine();
        sandbox.write(&format!("etc/cloud-channel/{file}"), text);
        let before = sandbox.whole_tree();
        let run = Launch::on(&sandbox).output().await;
        let check = tokio::process::Command::new(cloud_channel_tests::binary::cloud_channel())
            .args(["config", "check", "--root"])
            .arg(sandbox.root())
            .output()
            .await
            .unwrap();
        for output in [run, check] {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(64), "{complaint}");
            assert!(parts.iter().all(|part| complaint.contains(part)), "{parts:?} in {complaint}");
        }
        assert_eq!(sandbox.whole_tree(), before, "nothing was tried");
    }
    let sandbox = Sandbox::machine();
    let output = Launch::on(&sandbox).argument("--config").argument("/no/such/file.yaml").output().await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{complaint}");
    assert!(complaint.contains("/no/such/file.yaml"), "{complaint}");
}

#[tokio::test]
async fn one_daemon_a_machine() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let output = launch.output().await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another process is already listening") && text.contains(SOCKET), "{text}");
    // Not even beside the first one's socket.
    let elsewhere = format!("unix://{}", sandbox.beside("second.sock").display());
    let output = Launch::on(&sandbox).argument("--listen").argument(elsewhere).output().await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("var/lib/cloud-channel"), "{text}");
    // The first goes on.
    let mut peer = guest.follow().await;
    assert_eq!(result(&peer.push_through("network", "card", card(0, 1400)).await), "SUCCESS");
    guest.stop().await;
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced_and_nothing_else_is() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    launch.start().await.crash().await;
    assert!(sandbox.path(SOCKET).exists(), "a crash leaves the socket");
    launch.start().await.stop().await;

    std::fs::remove_file(sandbox.path(SOCKET)).ok();
    sandbox.write(SOCKET, "somebody's notes");
    let output = launch.output().await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no socket") && text.contains(SOCKET), "{text}");
    assert_eq!(sandbox.read(SOCKET), "somebody's notes");
}

#[tokio::test]
async fn a_machine_that_cannot_be_written_is_named() {
    // A file where a folder should be stands in everybody's way, root's too.
    for (block, parts) in [("var/lib", "var/lib"), ("run/cloud-channel", "run/cloud-channel")] {
        let sandbox = Sandbox::machine();
        if Path::new(block).ends_with("lib") {
            std::fs::remove_dir(sandbox.path(block)).unwrap();
        }
        sandbox.write(block, "");
        let output = Launch::on(&sandbox).output().await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(parts), "{text}");
        assert!(text.to_lowercase().contains("directory") || text.contains("exists"), "{text}");
    }
}

#[tokio::test]
async fn a_machine_that_becomes_unwritable_fails_the_push() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    // A folder in the place of the file: it cannot be read, written or moved over.
    std::fs::remove_file(sandbox.path(NETPLAN)).unwrap();
    sandbox.write(&format!("{NETPLAN}/in-the-way"), "");
    let reply = peer.push("network", "card", card(0, 1400)).await;
    let text = if reply["successful"] == true {
        let finish = peer.finish("card").await;
        assert_eq!(result(&finish), "FAIL", "{finish}");
        finish.to_string()
    } else {
        error(&reply).to_owned()
    };
    assert!(text.contains("50-cloud-init.yaml"), "{text}");
    let hash = crate::payloads::password(HASH);
    assert_eq!(result(&peer.push_through("cc_set_passwords", "reset", hash).await), "SUCCESS");
    guest.stop().await;
}

/// A peer that never reads its last frame is closed by its own deadline, which is far away; the end is not.
#[tokio::test]
async fn a_peer_that_does_not_read_does_not_hold_up_the_end() {
    let sandbox = Sandbox::machine();
    let mut guest = Launch::on(&sandbox).dev().start().await;
    let mut deaf = guest.join().await;
    deaf.request(json!({"channel": "/meta/subscribe", "subscription": "/custom/**"})).await;
    let mut speaker = guest.join().await;
    for number in 0..60 {
        let data = json!({"number": number, "text": "x".repeat(20_000)});
        assert_accepted(&speaker.request(json!({"channel": "/custom/z", "data": data})).await);
    }
    let begin = std::time::Instant::now();
    guest.terminate();
    assert!(guest.exit().await.success());
    assert!(begin.elapsed() < std::time::Duration::from_secs(15), "it took {:?}", begin.elapsed());
    drop(deaf);
}
