//! Config that has to be signed: what is taken, what is refused and why, and that nothing remains of what is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use cloud_channel_protocol::signing::{SigningKey, pem_of_seed, sign};
use cloud_channel_protocol::{ChannelName, CloudinitExt};
use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::{assert_accepted, assert_refused, description, finishes, result};
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::payloads::card;

const CONFIG: &str = "etc/cloud-channel/config.yaml";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_pem(name, &pem_of_seed(&[seed; 32])).unwrap()
}

/// A machine that believes the key `ops`.
fn machine() -> Sandbox {
    let sandbox = Sandbox::machine();
    sandbox.write(CONFIG, &format!("management-keys: {{ops: \"{}\"}}\n", key("ops", 1).public()));
    sandbox
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn set_channel(instance: &str) -> String {
    format!("/cloudinit/{instance}/config/set/network")
}

/// The `ext` that signs data for an instance, for `seconds` from now.
fn signed(key: &SigningKey, instance: &str, data: &Value, ext: &CloudinitExt, seconds: i64) -> Value {
    let channel = ChannelName::parse(&set_channel(instance)).unwrap();
    let data: Box<RawValue> = to_raw_value(data).unwrap();
    let ext = sign(key, &channel, &data, ext, now().checked_add_signed(seconds).unwrap()).unwrap();
    serde_json::from_str(ext.get()).unwrap()
}

fn generation(generation: u64) -> CloudinitExt {
    CloudinitExt { generation: Some(generation), ..CloudinitExt::default() }
}

fn message(id: &str, data: &Value, ext: Value) -> Value {
    json!({"channel": set_channel(INSTANCE), "id": id, "data": data, "ext": ext})
}

/// What is wrong, the push's `ext`, and what is said of it.
type Fault = (&'static str, Value, &'static str);

/// Everything that can be wrong with a signed push.
fn faults() -> Vec<Fault> {
    let (ops, data) = (key("ops", 1), card(0, 1400));
    let good = signed(&ops, INSTANCE, &data, &generation(5), 60);
    let altered = |at: &str, value: Value| {
        let mut ext = good.clone();
        *ext.pointer_mut(at).unwrap() = value;
        ext
    };
    vec![
        ("no ext", Value::Null, "403:ext.cloudinit.signature:Config has to be signed"),
        ("unsigned", json!({"cloudinit": {"generation": 5}}), "403:ext.cloudinit.signature:Config has to be"),
        ("another generation", altered("/cloudinit/generation", json!(6)), "The signature does not fit"),
        ("a longer life", altered("/cloudinit/signature/expires", json!(now() + 9_999)), "does not fit"),
        (
            "another signature",
            altered("/cloudinit/signature/sig", json!(format!("{}==", "A".repeat(86)))),
            "does not fit",
        ),
        (
            "a signature cut short",
            altered("/cloudinit/signature/sig", json!("AAAA")),
            "400:ext.cloudinit.signature:expected",
        ),
        ("no text", altered("/cloudinit/signature/sig", json!(7)), "400:ext.cloudinit.signature:expected"),
        ("expired", signed(&ops, INSTANCE, &data, &generation(5), -5), "The signature has expired"),
        ("for another instance", signed(&ops, "instance-xyz", &data, &generation(5), 60), "does not fit"),
        (
            "an unknown key",
            signed(&key("eve", 2), INSTANCE, &data, &generation(5), 60),
            "no management key `eve`",
        ),
        ("another's key", signed(&key("ops", 2), INSTANCE, &data, &generation(5), 60), "does not fit"),
        (
            "no generation",
            signed(&ops, INSTANCE, &data, &CloudinitExt::default(), 60),
            "403:ext.cloudinit.generation:Signed config needs a generation",
        ),
    ]
}

#[tokio::test]
async fn only_what_is_signed_is_taken() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    let before = sandbox.tree();
    let mut peer = guest.follow().await;
    for (what, ext, expected) in faults() {
        let reply = peer.request(message(what, &card(0, 1400), ext)).await;
        assert_refused(&reply, &[expected]);
    }
    let of_another = signed(&key("ops", 1), INSTANCE, &card(0, 1400), &generation(5), 60);
    let reply = peer.request(message("other data", &card(0, 1500), of_another)).await;
    assert_refused(&reply, &["403:ext.cloudinit.signature:The signature does not fit"]);
    assert_eq!(sandbox.tree(), before, "nothing was done");
    assert_eq!(peer.finishes().count(), 0, "nothing was accepted");
    guest.stop().await;
}

#[tokio::test]
async fn what_is_signed_is_taken_once() {
    let sandbox = machine();
    let guest = Launch::on(&sandbox).start().await;
    let before = sandbox.tree();
    let mut peer = guest.follow().await;
    let (ops, data) = (key("ops", 1), card(0, 1400));
    // A trial that is turned into the real thing is no longer what was signed.
    let trial = CloudinitExt { dry_run: true, ..generation(5) };
    let mut real = signed(&ops, INSTANCE, &data, &trial, 60);
    assert_accepted(&peer.request(message("trial", &data, real.clone())).await);
    real["cloudinit"].as_object_mut().unwrap().remove("dry_run");
    assert_refused(&peer.request(message("turned", &data, real)).await, &["does not fit"]);
    assert_eq!(sandbox.tree(), before, "nothing was done");

    let good = signed(&ops, INSTANCE, &data, &generation(5), 60);
    assert_accepted(&peer.request(message("good", &data, good.clone())).await);
    assert_eq!(result(&peer.finish("good").await), "SUCCESS");
    // The very same again, the same under another id, an older one, and one of a generation that was taken.
    let other = card(0, 1500);
    for (id, data, ext) in [
        ("good", &data, good.clone()),
        ("good-too", &data, good),
        ("older", &other, signed(&ops, INSTANCE, &other, &generation(4), 60)),
        ("same", &other, signed(&ops, INSTANCE, &other, &generation(5), 60)),
    ] {
        let refusal = peer.request(message(id, data, ext)).await;
        assert_refused(&refusal, &["403:ext.cloudinit.generation:Replayed"]);
    }
    let next = signed(&ops, INSTANCE, &other, &generation(6), 60);
    assert_accepted(&peer.request(message("next", &other, next)).await);
    assert_eq!(result(&peer.finish("next").await), "SUCCESS");
    let finished: Vec<&Value> = peer.finishes().collect();
    assert_eq!(finished.len(), 2, "{finished:?}");
    guest.stop().await;
}

#[tokio::test]
async fn what_was_signed_is_not_taken_again_after_a_restart() {
    let sandbox = machine();
    let launch = Launch::on(&sandbox);
    let guest = launch.start().await;
    let (ops, data) = (key("ops", 1), card(0, 1400));
    let mut peer = guest.follow().await;
    let ext = signed(&ops, INSTANCE, &data, &generation(5), 60);
    assert_accepted(&peer.request(message("first", &data, ext.clone())).await);
    assert_eq!(result(&peer.finish("first").await), "SUCCESS");
    guest.stop().await;
    let guest = launch.start().await;
    let mut peer = guest.follow().await;
    let refusal = peer.request(message("again", &data, ext)).await;
    assert_refused(&refusal, &["403:ext.cloudinit.generation:Replayed"]);
    guest.stop().await;
}

#[tokio::test]
async fn the_link_has_to_sign_too() {
    let sandbox = machine();
    let management = Management::start().await;
    let guest = Launch::on(&sandbox).connect(&management.url()).start().await;
    management.guest_subscribed(1).await;
    let (ops, data) = (key("ops", 1), card(0, 1400));
    management.push("network", "unsigned", &data);
    let finish = management.finish("unsigned").await;
    assert_eq!(result(&finish), "FAIL", "{finish}");
    assert!(description(&finish).contains("Config has to be signed here"), "{finish}");
    let ext = signed(&ops, INSTANCE, &data, &generation(1), 60);
    let long_id = "0b8cf2a4-5d1e-4f4e-8f5e-3d0d5c0f7a11";
    management.publish(&set_channel(INSTANCE), long_id, &data, Some(&ext));
    assert_eq!(result(&management.finish(long_id).await), "SUCCESS");
    // A server that has not heard that we have it sends it again: it is not done again, and has not failed.
    management.publish(&set_channel(INSTANCE), long_id, &data, Some(&ext));
    // Under another id it is somebody's copy.
    management.publish(&set_channel(INSTANCE), "copy", &data, Some(&ext));
    let finish = management.finish("copy").await;
    assert_eq!(result(&finish), "FAIL", "{finish}");
    assert!(description(&finish).contains("Replayed"), "{finish}");
    let finishes = management.published().iter().filter(|event| finishes(event, long_id)).count();
    assert_eq!(finishes, 1);
    guest.stop().await;
}

#[tokio::test]
async fn the_command_line_signs() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let file = sandbox.path("ops.pem").display().to_string();
    let made = guest.bare_command(&["keys", "generate", &file]).await;
    assert!(made.status.success(), "{made:?}");
    let line = String::from_utf8(made.stdout).unwrap();
    assert!(
        !guest.bare_command(&["keys", "generate", &file]).await.status.success(),
        "a key is never replaced"
    );
    assert_eq!(guest.bare_command(&["keys", "public", &file]).await.stdout, line.as_bytes());
    guest.stop().await;

    sandbox.write(CONFIG, &line);
    sandbox.write("card.json", &card(0, 1400).to_string());
    let guest = Launch::on(&sandbox).start().await;
    let config = sandbox.path("card.json").display().to_string();
    let unsigned = guest.command(&["set", "network", &config, "--generation", "1"]).await;
    assert_eq!(unsigned.status.code(), Some(1), "{unsigned:?}");
    let signed = guest.command(&["set", "network", &config, "--generation", "1", "--sign", &file]).await;
    assert!(signed.status.success(), "{signed:?}");
    let misnamed = ["set", "network", &config, "--generation", "2", "--sign", &file, "--key-name", "other"];
    let misnamed = guest.command(&misnamed).await;
    assert!(String::from_utf8_lossy(&misnamed.stderr).contains("no management key `other`"), "{misnamed:?}");
    guest.stop().await;
}
