//! cloud-init's own reports, as its webhook handler posts them.

use std::os::unix::net::UnixStream;

use cloud_channel_tests::guest::{Launch, SOCKET};
use cloud_channel_tests::http::{HttpConnection, post};
use cloud_channel_tests::message::{assert_accepted, finish_numbers, report, result, seq};
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::{Value, json};

use crate::payloads::card;

const AGENT: &str = "User-Agent: Cloud-Init/24.4";

fn start(name: &str) -> String {
    json!({"name": name, "description": format!("running {name}"), "event_type": "start", "origin": "cloudinit",
           "timestamp": 1_795_343_063.83})
    .to_string()
}

fn finish(name: &str, result: &str) -> String {
    json!({"name": name, "description": format!("{name} ran"), "event_type": "finish", "origin": "cloudinit",
           "timestamp": 1_795_343_064.5, "result": result, "duration": 0.0021, "files": [
           {"path": "/var/log/x", "content": "aGVsbG8=", "encoding": "base64"}]})
    .to_string()
}

/// A boot, as far as cloud-init reports it: the first start of each process never comes.
fn boot() -> Vec<String> {
    vec![
        start("init-local/check-cache"),
        finish("init-local/check-cache", "SUCCESS"),
        finish("init-local", "SUCCESS"),
        start("init-network"),
        start("init-network/config-write_files"),
        finish("init-network/config-write_files", "WARN"),
        finish("init-network", "WARN"),
        finish("modules-config/config-set-passwords", "SUCCESS"),
        finish("modules-config", "SUCCESS"),
        finish("modules-final", "FAIL"),
        start("hotplug-hook/check-cache"),
    ]
}

/// Channel tail, type, and whether it was inferred, of everything reported so far.
fn told(peer: &Peer) -> Vec<String> {
    let prefix = format!("/cloudinit/{INSTANCE}/");
    let reports = peer.events().iter().filter(|event| seq(event).is_some());
    reports
        .map(|event| {
            let tail = event["channel"].as_str().unwrap().strip_prefix(&prefix).unwrap();
            let inferred = if event["ext"]["cloudinit"]["inferred"] == true { " inferred" } else { "" };
            format!("{tail} {}{inferred}", report(event)["event_type"].as_str().unwrap())
        })
        .collect()
}

const TOLD: [&str; 14] = [
    "init-local start inferred",
    "init-local/check-cache start",
    "init-local/check-cache finish",
    "init-local finish",
    "init-network start",
    "init-network/write_files start",
    "init-network/write_files finish",
    "init-network finish",
    "modules-config start inferred",
    "modules-config/set-passwords finish",
    "modules-config finish",
    "modules-final start inferred",
    "modules-final finish",
    "reporting/hotplug-hook start",
];

async fn hears_all(peer: &mut Peer) {
    let last = |event: &Value| event["channel"] == format!("/cloudinit/{INSTANCE}/reporting/hotplug-hook");
    peer.event("the boot's last event", last).await;
    assert_eq!(told(peer), TOLD);
}

#[tokio::test]
async fn a_boot_is_told_in_order_with_its_missing_starts() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut peer = guest.follow().await;
    for event in boot() {
        // One connection an event, as cloud-init does.
        let response = post(&guest.tcp(), "/webhook", &[AGENT, "Connection: close"], event.as_bytes()).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    hears_all(&mut peer).await;
    let sent: Vec<Value> = boot().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let inferred = |event: &&Value| event["ext"]["cloudinit"]["inferred"] == true;
    let passed: Vec<Value> = peer
        .events()
        .iter()
        .filter(|event| seq(event).is_some() && !inferred(event))
        .map(|event| event["data"][0].clone())
        .collect();
    assert_eq!(passed, sent, "each as it was sent, files and all, in a list of one");
    guest.stop().await;
}

#[tokio::test]
async fn reports_come_in_without_trust_and_over_one_connection() {
    let sandbox = Sandbox::machine();
    // Strict: a TCP peer may report, though it may do nothing else.
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut connection = HttpConnection::open(&guest.tcp()).await;
    for event in boot() {
        assert_eq!(connection.request("POST", "/webhook", &[], event.as_bytes()).await.status, 200);
    }
    let mut peer = guest.follow().await;
    hears_all(&mut peer).await;
    let unix = post(&guest.unix(), "/webhook", &[], start("init-local").as_bytes()).await;
    assert_eq!(unix.status, 200);
    guest.stop().await;
}

#[tokio::test]
async fn reports_wait_for_a_subscriber_over_restarts() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox).tcp();
    let mut boot = boot();
    let later = boot.split_off(4);
    let guest = launch.start().await;
    for event in boot {
        assert_eq!(post(&guest.tcp(), "/webhook", &[], event.as_bytes()).await.status, 200);
    }
    // The answer comes before the event is durable, so that a boot never waits for a disk: a good end keeps it.
    guest.stop().await;
    let guest = launch.start().await;
    for event in later {
        assert_eq!(post(&guest.tcp(), "/webhook", &[], event.as_bytes()).await.status, 200);
    }
    let mut watcher = guest.join().await;
    // A start is known to be missing only by who heard the ones before: `init-network`'s came before the restart.
    watcher.waiting(15).await;
    guest.crash().await;
    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    let last = |event: &Value| event["channel"] == format!("/cloudinit/{INSTANCE}/reporting/hotplug-hook");
    peer.event("the boot's last event", last).await;
    let told = told(&peer);
    let sent: Vec<&str> =
        told.iter().map(String::as_str).filter(|line| !line.ends_with("inferred")).collect();
    let expected: Vec<&str> = TOLD.into_iter().filter(|line| !line.ends_with("inferred")).collect();
    assert_eq!(sent, expected);
    guest.stop().await;
}

#[tokio::test]
async fn what_is_no_report_is_told_why() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut connection = HttpConnection::open(&guest.tcp()).await;
    let good = start("init-local");
    for (body, part) in [
        ("", "JSON object"),
        ("not json", "expected one reporting event"),
        ("[]", "JSON object"),
        (r#"{"name":"x"}"#, "`description`"),
        (&good.replace("start\"", "begin\""), "begin"),
        (&good.replace("\"init-local\"", "7"), "string"),
        (&good.replace("1795343063.83", "\"now\""), "now"),
        (&good.replace("\"name\":\"init-local\"", "\"name\":\"\""), "`name`"),
        (&good.replace("\"name\":\"init-local\"", "\"name\":\"a\\u0007b\""), "control"),
    ] {
        let response = connection.request("POST", "/webhook", &[], body.as_bytes()).await;
        assert_eq!(response.status, 400, "{body}: {response:?}");
        assert!(response.body.contains(part), "{body}: {part:?} is not in {:?}", response.body);
    }
    let response = connection.request("GET", "/webhook", &[], b"").await;
    assert_eq!(response.status, 405, "{response:?}");
    assert_eq!(post(&guest.tcp(), "/elsewhere", &[], good.as_bytes()).await.status, 404);
    assert_eq!(
        connection.request("POST", "/webhook", &[], good.as_bytes()).await.status,
        200,
        "it still works"
    );
    let huge = vec![b' '; 300 * 1024];
    assert_eq!(post(&guest.tcp(), "/webhook", &[], &huge).await.status, 413);
    let origin = post(&guest.tcp(), "/webhook", &["Origin: http://evil.example"], good.as_bytes()).await;
    assert_eq!(origin.status, 403, "a web page may not report: {origin:?}");

    let mut peer = guest.follow().await;
    peer.event("the one good report", |event| seq(event).is_some()).await;
    assert_eq!(told(&peer), ["init-local start"]);
    assert_eq!(
        HttpConnection::open(&guest.tcp()).await.request("GET", "/healthz", &[], b"").await.status,
        200
    );
    guest.stop().await;
}

/// A daemon answers before its journal is open: who subscribes so early gets what waits as well, and once.
#[tokio::test]
async fn an_early_subscriber_gets_what_waits_too() {
    let sandbox = Sandbox::machine();
    let launch = Launch::on(&sandbox);
    for round in 0..5 {
        let guest = launch.start().await;
        let mut peer = guest.join().await;
        let push = format!("a push that nobody follows {round}");
        assert_accepted(&peer.push("network", &push, card(round, 1400)).await);
        peer.status_when("start and finish to wait", |status| status["events"]["waiting"] == 2).await;
        drop(peer);
        guest.crash().await;
        // No wait for readiness: the subscription may come before the journal's contents or after.
        let guest = launch.spawn();
        let socket = sandbox.root().join(SOCKET);
        eventually("the socket to answer", || UnixStream::connect(&socket).ok()).await;
        let mut early = guest.follow().await;
        assert_eq!(result(&early.finish(&push).await), "SUCCESS");
        assert_eq!(finish_numbers(early.events(), &push).len(), 1);
        guest.stop().await;
    }
}
