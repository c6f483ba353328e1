//! What the daemon tells of itself: metrics, status and log. True, for whom it is meant, and without a secret.

use std::collections::BTreeSet;
use std::path::Path;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::http::{HttpConnection, Response};
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};

use crate::payloads::{HASH, PLAIN, card, nothing_secret_in, password};

const CONFIG: &str = "etc/cloud-channel/config.yaml";

async fn metrics(address: &Address) -> Response {
    HttpConnection::open(address).await.request("GET", "/metrics", &[], b"").await
}

/// The value of a series, labels included.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

/// The names of all families. Panics if a line is not what the format wants.
fn families(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap();
            assert!(help.ends_with('.') && names.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(names.contains(name) && ["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (of, value) = line.rsplit_once(' ').unwrap();
            assert!(names.contains(of.split('{').next().unwrap()), "{line} has no HELP");
            assert!(value.parse::<f64>().unwrap() >= 0.0 && series.insert(of), "{line}");
        }
    }
    names
}

/// The file of the log, once it tells something.
async fn log_when(guest: &Guest<'_>, wanted: &str) -> String {
    eventually(wanted, || Some(guest.sandbox().log()).filter(|log| log.contains(wanted))).await
}

#[tokio::test]
async fn the_figures_are_true() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut peer = guest.follow().await;
    peer.push_through("network", "figures-1", card(0, 1400)).await;
    peer.push_through("cc_set_passwords", "figures-2", password(HASH)).await;
    peer.push("nothing_here", "figures-3", json!({})).await;
    peer.status_when("the changes to be done", |status| {
        status["journal"]["changes"]["entries"] == 0 && status["modules"]["network"]["at_work"] == 0
    })
    .await;

    let response = metrics(&guest.unix()).await;
    assert_eq!(response.status, 200, "{response:?}");
    let text = &response.body;
    assert_eq!(value(text, "cloud_channel_ready"), 1.0);
    assert_eq!(value(text, r#"cloud_channel_sessions{transport="unix",carrier="websocket"}"#), 1.0);
    assert_eq!(value(text, r#"cloud_channel_sessions{transport="tcp",carrier="websocket"}"#), 0.0);
    assert_eq!(value(text, r#"cloud_channel_changes_total{module="network",result="success"}"#), 1.0);
    assert_eq!(
        value(text, r#"cloud_channel_changes_total{module="cc_set_passwords",result="success"}"#),
        1.0
    );
    assert_eq!(value(text, r#"cloud_channel_changes_total{module="network",result="fail"}"#), 0.0);
    assert_eq!(value(text, r#"cloud_channel_messages_refused_total{code="404"}"#), 1.0);
    // A start and a finish each.
    assert_eq!(value(text, "cloud_channel_events_total"), 4.0);
    assert_eq!(value(text, "cloud_channel_events_lost_total"), 0.0);
    for some in [
        "cloud_channel_deliveries_total",
        "cloud_channel_messages_received_total",
        "cloud_channel_session_queue_messages_max",
        r#"cloud_channel_queue_length_max{queue="driver"}"#,
        r#"cloud_channel_queue_length_max{queue="clerk"}"#,
        "cloud_channel_journal_file_bytes",
        r#"cloud_channel_change_seconds_total{module="network"}"#,
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(value(text, some) > 0.0, "{some} in {text}");
    }
    nothing_secret_in("the metrics", text);
    assert!(!text.contains(INSTANCE) && !text.contains(peer.client()), "{text}");
    assert_eq!(metrics(&guest.tcp()).await.status, 404, "a listener of events on TCP tells none");
    guest.stop().await;
}

#[tokio::test]
async fn every_figure_is_in_the_specification() {
    let sandbox = Sandbox::machine();
    // Nobody is there: the link has figures all the same.
    let nowhere = format!("unix://{}", sandbox.beside("nobody.sock").display());
    let guest = Launch::on(&sandbox).connect(&nowhere).start().await;
    let response = metrics(&guest.unix()).await;
    assert_eq!(value(&response.body, "cloud_channel_link_up"), 0.0);
    let specification = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/metrics.md");
    let specification = std::fs::read_to_string(specification).unwrap();
    let rows = specification.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let specified: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(families(&response.body), specified);
    guest.stop().await;
}

#[tokio::test]
async fn the_rules_say_who_may_read_them() {
    let sandbox = Sandbox::machine();
    let socket = sandbox.beside("metrics.sock");
    let config = format!(
        "authority:\n- {{who: {{unix: self}}, may: [publish, subscribe], on: [/**]}}\n\
         metrics: {{listen: [\"unix://{}\", \"http://127.0.0.1:0\"]}}\n",
        socket.display()
    );
    sandbox.write(CONFIG, &config);
    let guest = Launch::on(&sandbox).spawn();
    let log = log_when(&guest, "ready").await;
    let response = metrics(&guest.unix()).await;
    assert_eq!(response.status, 403, "{response:?}");
    assert!(response.body.contains("do not let this peer `get`"), "{response:?}");
    // What is configured for metrics has them, and nothing else.
    let tcp = log.split("http://").nth(1).and_then(|rest| rest.split("/metrics").next()).unwrap();
    for address in [Address::Unix(socket), Address::Tcp(tcp.to_owned())] {
        let response = metrics(&address).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(value(&response.body, "cloud_channel_ready"), 1.0);
        let mut http = HttpConnection::open(&address).await;
        let handshake =
            br#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}"#;
        assert_eq!(http.request("POST", "/events", &[], handshake).await.status, 404);
        assert_eq!(http.request("POST", "/webhook", &[], b"{}").await.status, 404);
    }
    guest.stop().await;
}

#[tokio::test]
async fn the_log_tells_of_sessions_and_changes_and_no_secret() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).argument("--log-format").argument("json").start().await;
    let mut peer = guest.follow().await;
    peer.push_through("cc_set_passwords", "told-1", password(HASH)).await;
    let plain = json!({"chpasswd": {"users": [{"name": "root", "password": PLAIN, "type": "text"}]}});
    peer.push_through("cc_set_passwords", "told-2", plain).await;
    peer.push("cc_set_passwords", "told-3", json!({"chpasswd": {"list": format!("root:{PLAIN}\nevil")}}))
        .await;
    let client = peer.client().to_owned();
    peer.leave().await;
    log_when(&guest, "session ended").await;
    guest.stop().await;

    let log = sandbox.log();
    nothing_secret_in("the log", &log);
    assert!(!log.contains(&client), "a whole clientId is a credential");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| {
        let told = lines.iter().filter(|line| line["fields"]["message"] == message);
        told.map(|line| line["span"].clone()).collect::<Vec<_>>()
    };
    let begun = of("session begun");
    assert!(begun.iter().all(|span| span["name"] == "session" && span["transport"] == "unix"), "{begun:?}");
    let ours = |span: &&Value| client.starts_with(span["client"].as_str().unwrap().trim_end_matches('…'));
    assert_eq!(begun.iter().filter(ours).count(), 1, "{begun:?}");
    assert_eq!(of("session ended").iter().filter(ours).count(), 1);
    assert!(of("message refused").iter().any(|span| ours(&span)), "a refusal is told in its session");
    let finished = of("push finished");
    let results: Vec<_> = finished.iter().map(|span| (&span["request"], &span["result"])).collect();
    assert_eq!(
        results,
        [(&json!("\"told-1\""), &json!("success")), (&json!("\"told-2\""), &json!("success"))]
    );
    assert!(finished.iter().all(|span| span["module"] == "cc_set_passwords"), "{finished:?}");
}

#[tokio::test]
async fn status_tells_people_the_same() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    peer.push_through("network", "people-1", card(0, 1400)).await;
    let output = guest.command(&["status"]).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    };
    assert_eq!(row("instance "), INSTANCE);
    assert_eq!(row("sessions "), "2 (unix: 2 websocket)");
    assert!(row("network ").ends_with("1 success"), "{text}");
    assert!(row("journal ").contains("KiB file, changes (0 entries, 0 B)"), "{text}");
    assert!(row("process ").contains("MiB resident"), "{text}");
    assert!(row("waiting ").contains("driver ("), "{text}");
    guest.stop().await;
}
