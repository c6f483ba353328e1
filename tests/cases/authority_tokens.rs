//! Tokens that come and go while the daemon runs, and what the configuration says of rules.

use cloud_channel_tests::guest::{Launch, SOCKET};
use cloud_channel_tests::http::HttpConnection;
use cloud_channel_tests::message::{assert_accepted, assert_refused};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::{Value, json};

use crate::payloads::token_line;

const CONFIG: &str = "etc/cloud-channel/config.yaml";
const TOKENS: &str = "etc/cloud-channel/tokens";
const RULES: &str =
    "authority:\n- {who: [{unix: self}, {token: ops}], may: [publish, subscribe, get], on: [/**]}\n";

fn machine() -> Sandbox {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, RULES);
    sandbox
}

fn in_ext(token: &str) -> Value {
    json!({"cloudinit": {"token": token}})
}

#[tokio::test]
async fn tokens_are_rotated_without_a_restart() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut peer = Peer::open(&guest.tcp()).await;
    assert_refused(&peer.handshake_with(in_ext("old-secret")).await, &["401::"]);

    // Both are good for a while.
    let (old, new) = (token_line("ops", "old-secret"), token_line("ops", "new-secret"));
    sandbox.write(TOKENS, &format!("{old}{new}"));
    let mut first = Peer::open(&guest.tcp()).await;
    assert_accepted(&first.handshake_with(in_ext("old-secret")).await);
    let mut second = Peer::open(&guest.tcp()).await;
    assert_accepted(&second.handshake_with(in_ext("new-secret")).await);
    second.subscribe("/custom/**").await;
    first.subscribe("/custom/**").await;

    // What is broken changes nothing.
    sandbox.write(TOKENS, "ops:new-secret\n");
    let mut third = Peer::open(&guest.tcp()).await;
    assert_accepted(&third.handshake_with(in_ext("old-secret")).await);
    assert_accepted(&first.publish("/custom/a", "a", json!(1)).await);
    assert!(sandbox.log().contains("line 1 of the token file"), "{}", sandbox.log());

    // The old one goes, and with it every session that it has begun.
    sandbox.write(TOKENS, &new);
    let mut fourth = Peer::open(&guest.tcp()).await;
    let refusal = fourth.handshake_with(in_ext("old-secret")).await;
    assert_refused(&refusal, &["401::The token is not valid"]);
    assert_eq!(refusal["advice"]["reconnect"], "none", "{refusal}");
    let client = first.session();
    let late = json!({"channel": "/custom/a", "clientId": client, "data": 2});
    let refusal = first.request_as_it_is(late.clone()).await;
    assert_refused(&refusal, &["401::The token of this session is not valid any more"]);
    assert_eq!(refusal["advice"]["reconnect"], "none", "{refusal}");
    // It hears no more either; the other does.
    assert_accepted(&second.publish("/custom/late", "late", json!(3)).await);
    second.event("its own", |event| event["channel"] == "/custom/late").await;
    let connect = json!({"channel": "/meta/connect", "connectionType": "websocket", "clientId": client});
    assert_refused(&first.request_as_it_is(connect).await, &["402::"]);
    assert!(!first.events().iter().any(|event| event["channel"] == "/custom/late"), "{:?}", first.events());
    assert_refused(&third.publish("/custom/b", "b", json!(4)).await, &["401::"]);
    for secret in ["old-secret", "new-secret"] {
        assert!(!sandbox.log().contains(secret), "a token is in the log");
    }
    guest.stop().await;
}

#[tokio::test]
async fn a_token_opens_long_polling_too() {
    let sandbox = machine();
    sandbox.write(TOKENS, &token_line("ops", "good-secret"));
    let guest = Launch::on(&sandbox).tcp().start().await;
    let mut http = HttpConnection::open(&guest.tcp()).await;
    let hello = json!([{"channel": "/meta/handshake", "version": "1.0", "id": "1",
                        "supportedConnectionTypes": ["long-polling"]}]);
    for (header, successful) in [
        ("Authorization: Bearer good-secret", true),
        ("Authorization: Bearer bad-secret", false),
        ("X-Other: 1", false),
    ] {
        let response = http.request("POST", "/events", &[header], hello.to_string().as_bytes()).await;
        let replies: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(replies[0]["successful"], successful, "{header}: {replies}");
    }
    guest.stop().await;
}

#[tokio::test]
async fn the_command_line_shows_a_token() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).tcp().start().await;
    let made = guest.bare_command(&["keys", "token", "ops"]).await;
    let made = String::from_utf8(made.stdout).unwrap();
    let part = |begin: &str| made.lines().find_map(|line| line.strip_prefix(begin)).unwrap().to_owned();
    sandbox.write(TOKENS, &part("for the token file: "));
    sandbox.write("token", &part("token: "));
    let cloud_channel_tests::stream::Address::Tcp(address) = guest.tcp() else { unreachable!() };
    let (endpoint, file) = (format!("ws://{address}/events"), sandbox.path("token").display().to_string());
    let refused = guest.bare_command(&["status", "--endpoint", &endpoint]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let shown = guest
        .bare_command(&["status", "--endpoint", &endpoint, "--token-file", &file, "--format", "json"])
        .await;
    let status: Value =
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
    assert_eq!(status["instance"], INSTANCE);
    guest.stop().await;
}

#[tokio::test]
async fn config_check_warns_and_refuses() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    sandbox.write(
        CONFIG,
        "authority:\n\
         - {who: {unix: root}, may: [publish, subscribe, get], on: [/**]}\n\
         - {who: {unix: root}, may: [get], on: [\"/cloudinit/<instance-id>/config/get/*\"]}\n\
         - {who: {certificate: x.example}, may: [publish], on: [/custom/**]}\n\
         - {who: {token: nobody}, may: [subscribe], on: [/meta/**]}\n",
    );
    let check = guest.command(&["config", "check"]).await;
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success(), "warnings are no errors: {said}");
    for part in [
        "config.yaml line 3: rule 2 can never matter",
        "allowed by",
        "config.yaml line 4: nobody can be {certificate: x.example}",
        "no token `nobody`",
        "no channel of /meta/** is there to subscribe",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let show = guest.command(&["config", "show"]).await;
    let shown = String::from_utf8(show.stdout).unwrap();
    assert!(
        shown.contains("{who: [{unix: root}], may: [get], on: [/cloudinit/<instance-id>/config/get/*]}"),
        "{shown}"
    );
    // A token instead of its digest stops everything, and is not repeated.
    sandbox.write(TOKENS, "nobody:plain-secret\n");
    let check = guest.command(&["config", "check"]).await;
    assert_eq!(check.status.code(), Some(64), "{check:?}");
    let ended = Launch::on(&sandbox)
        .argument("--listen")
        .argument(format!("unix://{}.2", sandbox.path(SOCKET).display()));
    let ended = ended.output().await;
    assert_eq!(ended.status.code(), Some(64), "{ended:?}");
    for output in [&check.stderr, &ended.stderr] {
        let said = String::from_utf8_lossy(output);
        assert!(said.contains("line 1 of the token file") && !said.contains("plain-secret"), "{said}");
    }
    guest.stop().await;
}
