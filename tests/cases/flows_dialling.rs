//! The same flows with the guest as the client: it dials a management server, and takes its pushes over that link.

use std::collections::BTreeMap;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::management::{Answer, Management};
use cloud_channel_tests::message::{cause, description, finishes, is_finish, report, result, seq};
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::sandbox::{INSTANCE, NETPLAN, Sandbox};
use serde_json::{Value, json};

use crate::payloads::{HASH, card, nothing_secret_in, password};

async fn dialled(sandbox: &Sandbox) -> (Management, Launch<'_>, Guest<'_>) {
    let management = Management::start().await;
    let launch = Launch::on(sandbox).connect(&management.url());
    let guest = launch.start().await;
    management.guest_subscribed(1).await;
    (management, launch, guest)
}

async fn plug(guest: &Guest<'_>, card: u8) {
    let output = guest.command(&["hotplug", "--nic", &format!("00:11:22:33:44:{card:02x}")]).await;
    assert!(output.status.success(), "{output:?}");
}

/// Every event by its number. One that came twice must have come the same.
fn by_number(published: &[Value]) -> BTreeMap<u64, Value> {
    let mut events = BTreeMap::new();
    for event in published {
        let Some(number) = seq(event) else { continue };
        let former = events.insert(number, event.clone());
        assert!(
            former.is_none_or(|former| former == *event),
            "two events have the number {number}: {published:?}"
        );
    }
    events
}

#[tokio::test]
async fn a_guest_dials_and_both_flows_go_through() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    let mut patterns = management.subscribed();
    patterns.sort();
    assert_eq!(
        patterns,
        [format!("/cloudinit/{INSTANCE}/config/**"), format!("/cloudinit/{INSTANCE}/hotplug/*")]
    );

    for number in 0..3 {
        plug(&guest, number).await;
        let address = format!("00:11:22:33:44:{number:02x}");
        let plugged = |event: &Value| event["data"]["attrs"]["address"] == address.as_str();
        let event = management.event("the hotplug", plugged).await;
        assert_eq!(event["channel"], format!("/cloudinit/{INSTANCE}/hotplug/network"));
        let id = format!("card-{number}");
        management.push("network", &id, &card(number, 1400));
        let finish = management.finish(&id).await;
        assert_eq!(result(&finish), "SUCCESS", "{finish}");
        assert!(sandbox.read(NETPLAN).contains(&format!("nic{number}")));
    }
    management.push("cc_set_password", "reset", &password(HASH));
    let finish = management.finish("reset").await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    assert_eq!(finish["channel"], format!("/cloudinit/{INSTANCE}/modules-config/cc_set_password"));
    assert_eq!(sandbox.shadow("root")[1], HASH);

    let published = management.published();
    let events = by_number(&published);
    assert_eq!(events.len(), published.len(), "without faults each event comes once");
    let starts = events.values().filter(|event| report(event)["event_type"] == "start").count();
    assert_eq!((events.len(), starts), (3 + 4 * 2, 4));
    for (number, event) in &events {
        assert_eq!(event["id"], format!("{INSTANCE}-{number}"), "{event}");
    }
    nothing_secret_in("what was published", &json!(published).to_string());
    guest.stop().await;
}

#[tokio::test]
async fn a_refusal_over_the_link_is_a_failed_finish() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    let before = sandbox.tree();
    let bad = json!({"network": {"ethernets": {"e0": {"dhcp": true}}}});
    for (module, id, data, parts) in [
        ("network", "typo", bad, ["network.ethernets.e0.dhcp", "did you mean `dhcp4`"]),
        ("ntp", "unknown", json!({}), ["404:", "ntp"]),
        (
            "cc_set_passwords",
            "no-colon",
            json!({"chpasswd": {"list": [HASH]}}),
            ["chpasswd.list[0]", "without a colon"],
        ),
    ] {
        management.push(module, id, &data);
        let finish = management.finish(id).await;
        assert_eq!(result(&finish), "FAIL", "{finish}");
        assert_eq!(finish["channel"], format!("/cloudinit/{INSTANCE}/modules-config/{module}"));
        for part in parts {
            assert!(description(&finish).contains(part), "{part} is not in {finish}");
        }
    }
    assert_eq!(sandbox.tree(), before);
    // The link goes on.
    management.push("network", "good", &card(0, 1400));
    assert_eq!(result(&management.finish("good").await), "SUCCESS");
    nothing_secret_in("what was published", &json!(management.published()).to_string());
    guest.stop().await;
}

#[tokio::test]
async fn questions_go_over_the_link_too() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    let before = sandbox.tree();
    let get = format!("/cloudinit/{INSTANCE}/config/get/network");
    management.publish(&get, "ask", &json!({}), None);
    let answer = management.event("the answer", |event| cause(event) == Some("ask")).await;
    assert_eq!(answer["channel"], get.as_str());
    assert_eq!(answer["data"]["renderer"], "netplan", "{answer}");

    let dry = json!({"cloudinit": {"dry_run": true}});
    let set = format!("/cloudinit/{INSTANCE}/config/set/network");
    management.publish(&set, "dry", &card(0, 1400), Some(&dry));
    let plan = management.event("the plan", |event| cause(event) == Some("dry")).await;
    assert_eq!(plan["channel"], get.as_str());
    assert!(plan["data"]["plan"].to_string().contains(NETPLAN), "{plan}");
    assert_eq!(sandbox.tree(), before);
    assert!(!management.published().iter().any(is_finish));
    guest.stop().await;
}

#[tokio::test]
async fn a_cut_link_resumes_its_session_and_loses_nothing() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    for round in 0..3u8 {
        let id = format!("before-{round}");
        management.push("network", &id, &card(round, 1400));
        // At once, so that the push, its start or its finish are anywhere on their way.
        management.cut();
        plug(&guest, round).await;
        management.push("network", &format!("cut-{round}"), &card(round, 1500));
        for push in [&id, &format!("cut-{round}")] {
            assert_eq!(result(&management.finish(push).await), "SUCCESS");
        }
    }
    eventually("the link to be up", || (management.streams() == 1).then_some(())).await;
    assert_eq!(management.sessions_begun(), 1, "the session was resumed each time");
    guest.join().await.waiting(0).await;

    let published = management.published();
    let events = by_number(&published);
    let count = |wanted: &dyn Fn(&Value) -> bool| events.values().filter(|event| wanted(event)).count();
    for round in 0..3 {
        for push in [format!("before-{round}"), format!("cut-{round}")] {
            assert_eq!(count(&|event| finishes(event, &push)), 1, "{push} has one finish");
        }
    }
    assert_eq!(count(&|event| event["channel"].as_str().unwrap().ends_with("/hotplug/network")), 3);
    guest.stop().await;
}

#[tokio::test]
async fn a_new_server_gets_a_new_session_and_what_waits() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    // Taken in and not answered: the guest must not believe that they have arrived.
    management.answer_with(Answer::Silence);
    plug(&guest, 1).await;
    management.event("the hotplug", |event| event["data"]["attrs"]["address"] == "00:11:22:33:44:01").await;
    let address = management.address().to_owned();
    management.crash().await;
    plug(&guest, 2).await;

    let management = Management::start_at(&address).await;
    management.guest_subscribed(1).await;
    for number in [1, 2] {
        let address = format!("00:11:22:33:44:{number:02x}");
        management.event("what waited", |event| event["data"]["attrs"]["address"] == address.as_str()).await;
    }
    management.push("network", "again", &card(0, 1400));
    assert_eq!(result(&management.finish("again").await), "SUCCESS");
    let numbers: Vec<u64> = management.published().iter().filter_map(seq).collect();
    assert!(numbers.is_sorted() && by_number(&management.published()).len() == numbers.len(), "{numbers:?}");
    guest.stop().await;
}

#[tokio::test]
async fn what_the_server_will_not_take_holds_nothing_up() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    management.answer_with(Answer::Refuse);
    plug(&guest, 1).await;
    let refused = |status: &Value| status["events"]["refused_by_link"] == 1;
    let mut peer = guest.join().await;
    peer.status_when("the refusal to be counted", refused).await;
    management.answer_with(Answer::Accept);
    management.push("network", "after", &card(0, 1400));
    assert_eq!(result(&management.finish("after").await), "SUCCESS");
    guest.stop().await;
}

#[tokio::test]
async fn a_crashed_guest_dials_again_and_delivers() {
    let sandbox = Sandbox::machine();
    let (management, launch, guest) = dialled(&sandbox).await;
    management.answer_with(Answer::Silence);
    management.push("network", "pushed", &card(0, 1400));
    management.finish("pushed").await;
    guest.crash().await;
    management.answer_with(Answer::Accept);
    let guest = launch.start().await;
    management.guest_subscribed(2).await;
    management.push("network", "after", &card(0, 1500));
    management.finish("after").await;
    let published = management.published();
    let finishes: Vec<_> = by_number(&published).into_values().filter(|e| finishes(e, "pushed")).collect();
    assert_eq!(finishes.len(), 1, "one finish, though it came twice: {published:?}");
    assert_eq!(
        published.iter().filter(|event| cause(event) == Some("pushed") && is_finish(event)).count(),
        2
    );
    guest.stop().await;
}

#[tokio::test]
async fn the_second_endpoint_serves_when_the_first_does_not() {
    let sandbox = Sandbox::machine();
    let management = Management::start().await;
    let dead = Management::start().await;
    let nobody = dead.url();
    dead.crash().await;
    let guest = Launch::on(&sandbox).connect(&nobody).connect(&management.url()).start().await;
    management.guest_subscribed(1).await;
    let status = guest.join().await.status().await;
    assert_eq!(status["link"]["endpoints"], json!([nobody, management.url()]), "{status}");
    management.push("network", "pushed", &card(0, 1400));
    assert_eq!(result(&management.finish("pushed").await), "SUCCESS");
    guest.stop().await;
}

#[tokio::test]
async fn another_instances_pushes_are_not_for_this_guest() {
    let sandbox = Sandbox::machine();
    let (management, _, guest) = dialled(&sandbox).await;
    let before = sandbox.tree();
    management.publish("/cloudinit/instance-xyz/config/set/network", "foreign", &card(0, 1400), None);
    management.push("network", "ours", &card(1, 1400));
    management.finish("ours").await;
    assert!(!sandbox.read(NETPLAN).contains("nic0"));
    assert_ne!(sandbox.tree(), before);
    assert!(!management.published().iter().any(|event| cause(event) == Some("foreign")));
    guest.stop().await;
}
