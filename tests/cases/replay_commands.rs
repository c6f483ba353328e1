//! `cloud-channel subscribe --since`: what was before, on the command line.

use std::process::Stdio;

use cloud_channel_tests::binary::cloud_channel;
use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::message::seq;
use cloud_channel_tests::patience::within;
use cloud_channel_tests::sandbox::Sandbox;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::replay::{CONFIG, EVERYTHING, publish, with_past};

/// Runs `subscribe` to its end: its exit code, and all that it printed.
async fn subscribe_command(guest: &Guest<'_>, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["subscribe", EVERYTHING], arguments].concat();
    let output = guest.command(&arguments).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn a_number_that_is_gone_is_told_in_words() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "replay:\n  events: 3\n");
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 7).await;
    let (code, told) = subscribe_command(&guest, &["--since", "0", "--count", "1"]).await;
    assert_eq!(code, Some(1), "{told}");
    for part in ["400:0:Events 1 to 4 are gone, expected 4 to 7", "--since all"] {
        assert!(told.contains(part), "expected {part:?} in {told:?}");
    }
    guest.stop().await;
}

#[tokio::test]
async fn the_command_line_goes_on_after_the_last_event() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    let guest = with_past(&launch, 3).await;
    let (code, told) = subscribe_command(&guest, &["--since", "1", "--count", "2", "--format", "json"]).await;
    assert_eq!(code, Some(0), "{told}");
    let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().filter_map(seq).collect::<Vec<_>>(), [2, 3]);

    // A crash in between: a new session, the same reader.
    let mut reader = Command::new(cloud_channel())
        .args(["subscribe", EVERYTHING, "--since", "all", "--count", "5", "--format", "json", "--root"])
        .arg(sandbox.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut line = async || {
        let line = within("an event to be printed", lines.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        event["data"]["attrs"]["name"].clone()
    };
    assert_eq!([line().await, line().await, line().await], ["vd1", "vd2", "vd3"]);
    guest.crash().await;
    let guest = launch.start().await;
    let mut other = guest.join().await;
    publish(&mut other, 4, 2).await;
    assert_eq!([line().await, line().await], ["vd4", "vd5"]);
    assert!(within("the reader to end", reader.wait()).await.unwrap().success());
    guest.stop().await;
}

#[tokio::test]
async fn a_daemon_without_the_extension_says_so() {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, "extensions: []\n");
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let (code, told) = subscribe_command(&guest, &["--since", "all", "--count", "1"]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("replays no events, `replay` is not among its `extensions`"), "{told}");
    guest.stop().await;
}
