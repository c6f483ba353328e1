//! Clients of other makes that are somebody: they show a token, and may do what a rule says.

use cloud_channel_tests::clients::Kind;
use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::patience::within;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::{Value, json};

use crate::clients::for_each_client;

for_each_client! {
    a_token_allows_what_its_rule_says,
    a_wrong_token_is_sent_away,
}

const TOKEN: &str = "a-token-of-the-tests-6c1f0f9e";
/// The watcher's line with its SHA-256.
const TOKENS: &str = "watcher:73b136db9d722a7d50f419850b2c30359e0137d748f56d4c1f263cdc4c80f6c0\n";
const RULES: &str = "
authority:
  - who: {unix: self}
    may: [publish, subscribe, get]
    on: [/**]
  - who: {token: watcher}
    may: [subscribe]
    on: [/custom/**]
";

async fn start(sandbox: &Sandbox) -> Guest<'_> {
    sandbox.write("etc/cloud-channel/config.yaml", RULES);
    write_tokens(sandbox, TOKENS);
    Launch::on(sandbox).tcp().start().await
}

fn write_tokens(sandbox: &Sandbox, text: &str) {
    sandbox.write("etc/cloud-channel/tokens", text);
    sandbox.set_mode("etc/cloud-channel/tokens", 0o600);
}

fn assert_refused(answer: &Value, code: &str) {
    assert_eq!(answer["successful"], false, "{answer}");
    assert!(answer["error"].as_str().unwrap().starts_with(code), "expected {code}, got {answer}");
}

async fn a_token_allows_what_its_rule_says(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let token = format!("token={TOKEN}");
    let mut client = kind.start_with(&[&token], &guest.tcp(), &sandbox);
    client.open().await;
    client.subscribe("/custom/*").await;
    // Everything, of which it hears what it may.
    client.subscribe("/**").await;
    assert_refused(&client.ask_subscribe("/cloudinit/**").await, "403:");
    assert_refused(&client.ask_publish("/custom/a", json!(1)).await, "403:");
    let set = format!("/cloudinit/{INSTANCE}/config/set/network");
    assert_refused(&client.ask_publish(&set, json!({})).await, "403:");

    let mut root = guest.join().await;
    for channel in [&*format!("/cloudinit/{INSTANCE}/hotplug/network"), "/other/a", "/custom/a"] {
        let data = json!({"subsystem": "net", "action": "add", "attrs": {}});
        let reply = root.publish(channel, channel, data).await;
        assert_eq!(reply["successful"], true, "{reply}");
    }
    client.hears("/custom/a").await;
    let events = client.wire().filter(|message| message.get("successful").is_none());
    assert_eq!(events.count(), 1, "{:?}", client.driver.told());

    // Rotation needs no restart, and a token that is gone takes its sessions with it.
    write_tokens(&sandbox, "# nobody\n");
    // The first request of any kind is told so, which may be the connect that went before this one.
    let gone = async {
        while client.ask_publish("/custom/a", json!(1)).await["error"].as_str().unwrap().starts_with("403:") {
        }
    };
    within("the token to be gone", gone).await;
    let told = |message: &Value| message["error"].as_str().is_some_and(|error| error.starts_with("401:"));
    let reply = client.received(0, "the loss of the token", told).await;
    assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    root.status_when("the session to be over", |status| status["sessions"] == 1).await;
    assert!(!sandbox.log().contains(TOKEN));
    guest.stop().await;
}

async fn a_wrong_token_is_sent_away(kind: Kind) {
    let sandbox = Sandbox::machine();
    let guest = start(&sandbox).await;
    let mut client = kind.start_with(&["token=another"], &guest.tcp(), &sandbox);
    client.driver.order(json!({"do": "open"})).await;
    let handshake = |message: &Value| message["channel"] == "/meta/handshake";
    let reply = client.received(0, "the refusal", handshake).await;
    assert_refused(&reply, "401:");
    assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    guest.stop().await;
}
