//! The dialled link as a peer: no rule is about it. It may push, ask, say words and report hardware; whatever else it
//! sends, though nobody has subscribed to it there, is passed over.

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::{cause, channel, description, finishes, result};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::polling::PollingServer;
use cloud_channel_tests::sandbox::INSTANCE;
use serde_json::{Value, json};

use crate::authority_matrix::Scene;
use crate::dialling_long_polling::{begin, connected};
use crate::payloads::card;

fn below(rest: &str) -> String {
    format!("/cloudinit/{INSTANCE}/{rest}")
}

/// What it may send: channel, id and data. A push comes last: while it is at work words have to wait.
fn allowed() -> [(String, &'static str, Value); 5] {
    let plug = json!({"subsystem": "net", "action": "add", "attrs": {"name": "of-the-link"}});
    [
        (below("hotplug/network"), "plug", plug),
        (below("config/confirm/network"), "confirm", json!({})),
        (below("config/rollback/network"), "rollback", json!({"cause": "nothing"})),
        (below("config/get/network"), "get", json!({})),
        (below("config/set/network"), "set", card(0, 1400)),
    ]
}

/// What it may not.
fn forged() -> [String; 8] {
    [
        "/custom/matrix".to_owned(),
        "/service/cloud-channel/status".to_owned(),
        "/cloudinit/i-other/config/set/network".to_owned(),
        "/cloudinit/i-other/hotplug/network".to_owned(),
        below("modules-config/forged"),
        below("init-local"),
        below("reporting/single"),
        below("config/plan/network"),
    ]
}

fn is_told(told: &[Value]) -> bool {
    let has = |wanted: &dyn Fn(&Value) -> bool| told.iter().any(wanted);
    ["confirm", "rollback", "set"].iter().all(|id| has(&|event| finishes(event, id)))
        && has(&|event| cause(event) == Some("get"))
}

/// What has become of everything that is allowed.
fn assert_heard(told: &[Value]) {
    let finish = |id: &str| told.iter().find(|event| finishes(event, id)).unwrap();
    assert_eq!(result(finish("set")), "SUCCESS", "{told:?}");
    for id in ["confirm", "rollback"] {
        // Nothing is on trial: it is heard, and there is nothing to do.
        let text = description(finish(id));
        assert!(result(finish(id)) == "FAIL" && text.contains("404:") && text.contains("wait"), "{text}");
    }
    let answer = told.iter().find(|event| cause(event) == Some("get")).unwrap();
    assert_eq!(channel(answer), below("config/get/network"));
    assert!(answer["data"].is_object(), "{answer}");
}

/// Who follows everything on the machine hears of the hardware and of the guest's own reports, and of nothing else.
async fn assert_nothing_leaks(follower: &mut Peer) {
    follower.event("the hardware", |event| event["data"]["attrs"]["name"] == "of-the-link").await;
    follower.finish("set").await;
    let own = [below("hotplug/network"), below("modules-config/network")];
    let leaked: Vec<&Value> =
        follower.events().iter().filter(|event| !own.iter().any(|own| channel(event) == own)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
}

#[tokio::test]
async fn every_request_over_a_websocket() {
    let scene = Scene::new();
    let management = Management::start().await;
    let guest = Launch::on(&scene.sandbox).connect(&management.url()).start().await;
    let mut follower = guest.follow().await;
    follower.subscribe("/**").await;
    management.guest_subscribed(1).await;
    let mut subscribed = management.subscribed();
    subscribed.sort();
    assert_eq!(subscribed, [below("config/**"), below("hotplug/*")], "it is sent nothing else");
    for (channel, id, data) in allowed() {
        management.publish(&channel, id, &data, None);
    }
    for id in ["confirm", "rollback", "set"] {
        management.finish(id).await;
    }
    management.event("the answer", |event| cause(event) == Some("get")).await;
    assert_heard(&management.published());
    assert_nothing_leaks(&mut follower).await;
    guest.stop().await;
}

#[tokio::test]
async fn every_request_and_every_forgery_over_long_polling() {
    let scene = Scene::new();
    let mut server = PollingServer::start().await;
    let guest = Launch::on(&scene.sandbox).connect(&server.url()).start().await;
    let mut follower = guest.follow().await;
    follower.subscribe("/**").await;
    let connect = begin(&mut server, 5_000).await;
    let report = json!([{"event_type": "finish", "name": "forged", "result": "SUCCESS"}]);
    let mut batch: Vec<Value> = forged()
        .iter()
        .map(|channel| json!({"channel": channel, "id": format!("forged-{channel}"), "data": report}))
        .collect();
    batch.extend(allowed().map(|(channel, id, data)| json!({"channel": channel, "id": id, "data": data})));
    batch.push(connected(&connect));
    connect.answer(&json!(batch));

    let (mut told, mut held) = (Vec::new(), None);
    while !is_told(&told) {
        let request = server.next("the finishes and the answer").await;
        if request.channel() == "/meta/connect" {
            held = Some(request);
        } else {
            told.extend(request.messages.iter().cloned());
            request.accept();
        }
    }
    assert_heard(&told);
    assert_nothing_leaks(&mut follower).await;
    // Each forgery, and the two words for which nothing waits.
    assert_eq!(follower.status().await["link"]["refused_messages"], forged().len() + 2);
    // It would wait for the held connect's server.
    guest.crash().await;
    drop(held);
}
