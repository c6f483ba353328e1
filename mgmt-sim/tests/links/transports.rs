//! A push and its result over each kind of socket.

use std::time::Duration;

use cloud_channel_protocol::Endpoint;
use mgmt_sim::notice::Notice;
use mgmt_sim::server_shell::{Management, ManagementConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::fake_guest::{self, channel, message};

pub(crate) async fn start(endpoint: &str) -> Management {
    let endpoints = [Endpoint::parse(endpoint).unwrap()];
    Management::start(&endpoints, ManagementConfig::default()).await.unwrap()
}

/// Waits for what is looked for; a test that waits in vain fails.
pub(crate) async fn until<T>(management: &mut Management, mut found: impl FnMut(Notice) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let notice = management.next().await.expect("the server runs");
            if let Some(found) = found(notice) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it comes in time")
}

pub(crate) async fn guest_is_ready(management: &mut Management) {
    until(management, |notice| matches!(notice, Notice::Ready { .. }).then_some(())).await;
}

async fn a_push_comes_back(management: &mut Management, guest_dials: &str) {
    let guest = tokio::spawn(fake_guest::run(guest_dials.to_owned()));
    guest_is_ready(management).await;
    management.publish(message("config/set/network", "push-1", &json!({"x": 1.50}))).await.unwrap();
    let (mut acked, mut causes) = (false, Vec::new());
    until(management, |notice| {
        match notice {
            Notice::Reply { id, result } => {
                assert_eq!((id.text().as_str(), result), ("push-1", Ok(())));
                acked = true;
            }
            Notice::Event(event) => {
                assert_eq!(event.channel, channel("modules-config/network"));
                let ext: Value = serde_json::from_str(event.ext.unwrap().get()).unwrap();
                causes.push(ext["cloudinit"]["cause"].clone());
            }
            _ => {}
        }
        (acked && causes.len() == 2).then_some(())
    })
    .await;
    assert_eq!(causes, ["push-1", "push-1"], "the id came through to the guest and back");
    guest.abort();
}

#[tokio::test]
async fn over_tcp() {
    let mut management = start("ws://127.0.0.1:0/events").await;
    let endpoint = management.endpoints()[0].clone();
    a_push_comes_back(&mut management, &endpoint).await;
    management.stop().await.unwrap();
}

#[tokio::test]
async fn over_a_unix_socket_that_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mgmt.sock");
    let endpoint = format!("unix://{}", path.display());
    let mut management = start(&endpoint).await;
    a_push_comes_back(&mut management, &endpoint).await;
    let second = Management::start(&[Endpoint::parse(&endpoint).unwrap()], ManagementConfig::default()).await;
    assert!(second.unwrap_err().to_string().contains("another process listens"));
    management.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn over_a_monitors_socket_for_its_guests_calls() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("vm.vsock").display().to_string();
    let mut management = start(&format!("hybrid-vsock://{base}:169")).await;
    a_push_comes_back(&mut management, &format!("unix://{base}_169")).await;
    management.stop().await.unwrap();
}

/// Answers `CONNECT <port>` like a machine monitor, and passes the rest on.
async fn monitor(listener: UnixListener, to: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line == "CONNECT 169\n" {
            stream.write_all(b"OK 1073741824\n").await.unwrap();
            let mut guest = UnixStream::connect(&to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut guest).await });
        }
    }
}

#[tokio::test]
async fn through_a_monitor_that_has_to_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner.sock").display().to_string();
    let outer = folder.path().join("vm.vsock").display().to_string();
    let mut management = start(&format!("unix://{inner}")).await;
    let listener = UnixListener::bind(&outer).unwrap();
    tokio::spawn(monitor(listener, inner));
    a_push_comes_back(&mut management, &format!("hybrid-vsock://{outer}:169")).await;
    management.stop().await.unwrap();

    let mut nobody = fake_guest::dial(&format!("hybrid-vsock://{outer}:170"));
    let Some(Notice::LineDown { reason, .. }) = nobody.next().await else { panic!("expected a failed dial") };
    assert!(reason.contains("nobody listens on vsock port 170"), "{reason}");
}
