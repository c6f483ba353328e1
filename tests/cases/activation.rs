//! Sockets passed by the service manager, tried with systemd's own tool where it is installed.

use std::os::unix::net::UnixStream;

use cloud_channel_tests::binary::cloud_channel;
use cloud_channel_tests::guest::{Launch, SOCKET};
use cloud_channel_tests::http::post;
use cloud_channel_tests::message::result;
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::say;
use cloud_channel_tests::stream::Address;
use tokio::process::Command;

use crate::payloads::card;

const ACTIVATOR: &str = "systemd-socket-activate";

fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(ACTIVATOR).exists())
}

#[tokio::test]
async fn inherited_sockets_are_served() {
    if !is_installed() {
        say(&format!("skipped: {ACTIVATOR} is not installed"));
        return;
    }
    let sandbox = Sandbox::machine();
    let socket = sandbox.path(SOCKET);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    // The tool wants to be told a port: one that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut activator = Command::new(ACTIVATOR);
    activator.arg("--listen").arg(&socket).arg("--listen").arg(port.to_string()).arg(cloud_channel());
    let guest = Launch::on(&sandbox).spawn_by(activator);
    // The first connection starts the daemon, in the activator's process.
    eventually("the activator's socket", || UnixStream::connect(&socket).ok()).await;
    let mut peer = guest.follow().await;
    assert_eq!(result(&peer.push_through("network", "card", card(0, 1400)).await), "SUCCESS");

    let status = peer.status().await;
    let listening: Vec<&str> =
        status["listening"].as_array().unwrap().iter().filter_map(|url| url.as_str()).collect();
    assert_eq!(listening.len(), 2, "what was passed takes the place of the defaults: {listening:?}");
    assert!(listening.contains(&format!("unix://{}", socket.display()).as_str()), "{listening:?}");
    assert!(listening.contains(&format!("ws://{port}/events").as_str()), "{listening:?}");
    let tcp = Address::Tcp(port.to_string());
    let event = br#"{"name":"init-local","description":"d","event_type":"start","origin":"cloudinit","timestamp":1.5}"#;
    assert_eq!(post(&tcp, "/webhook", &[], event).await.status, 200);
    guest.stop().await;
    assert!(socket.exists(), "the service manager's socket stays");
}
