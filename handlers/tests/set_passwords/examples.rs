//! The messages in `specs/examples` do what the page says.

use std::path::Path;

use cloud_channel_handlers::Held;

use crate::machine::{line_of, push, sandbox};

/// The payload of the one message in an example.
fn payload(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/examples");
    let text = std::fs::read_to_string(folder.join(format!("config-set-passwords-{name}.json"))).unwrap();
    let messages: serde_json::Value = serde_json::from_str(&text).unwrap();
    let [message] = messages.as_array().unwrap().as_slice() else { panic!("expected one message: {text}") };
    assert!(
        message["channel"]
            .as_str()
            .unwrap()
            .starts_with("/cloudinit/instance-abc/config/set/cc_set_password")
    );
    assert!(message["id"].is_string() && message.get("clientId").is_none());
    message["data"].to_string().replace("ubuntu", "alice")
}

#[test]
fn the_examples_are_applied() {
    let system = sandbox();
    push(&system, &Held::nothing(), &payload("hash"));
    let root = line_of(&system, "root");
    assert!(root.starts_with("root:$6$") && root.ends_with(":0:0:99999:7:::"), "{root}");

    push(&system, &Held::nothing(), &payload("users"));
    let (root, alice) = (line_of(&system, "root"), line_of(&system, "alice"));
    assert!(root.starts_with("root:$y$") && root.ends_with(":20000:0:99999:7:::"), "{root}");
    assert!(alice.starts_with("alice:$y$j9T$") && alice.ends_with(":20000:0:99999:7:::"), "{alice}");
    assert_eq!(system.console().len(), 1);

    push(&system, &Held::nothing(), &payload("text"));
    let expired = line_of(&system, "alice");
    assert!(expired != alice && expired.ends_with(":0:0:99999:7:::"), "{expired}");
}
