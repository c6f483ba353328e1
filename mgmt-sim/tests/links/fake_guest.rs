//! A guest that only talks: it reports a start and a finish for each push, and applies nothing.

use cloud_channel_protocol::{
    Branch, ChannelName, CloudinitExt, Endpoint, InstanceId, Limits, MessageId, Place, Publication, Topic,
    Verb,
};
use mgmt_sim::notice::Notice;
use mgmt_sim::peer::{Peer, PeerConfig};
use mgmt_sim::push::to_raw;
use serde_json::{Value, json};

pub(crate) const INSTANCE: &str = "i-fake";

pub(crate) fn instance() -> InstanceId {
    InstanceId::parse(INSTANCE).unwrap()
}

pub(crate) fn channel(tail: &str) -> ChannelName {
    ChannelName::parse(&format!("/cloudinit/{INSTANCE}/{tail}")).unwrap()
}

pub(crate) fn message(tail: &str, id: &str, data: &Value) -> Publication {
    Publication { channel: channel(tail), id: Some(MessageId::from_text(id)), data: to_raw(data), ext: None }
}

/// Dials a management server as the fake guest.
pub(crate) fn dial(endpoint: &str) -> Peer {
    let config = PeerConfig {
        endpoint: Endpoint::parse(endpoint).unwrap(),
        subscribe: vec![Topic::branch(&instance(), Branch::Config)],
        as_guest: Some(instance()),
        limits: Limits::default(),
    };
    Peer::start(config).unwrap()
}

/// Runs it until the test ends. A payload with `fail` in it is refused with that text.
pub(crate) async fn run(endpoint: String) {
    let mut peer = dial(&endpoint);
    let mut seq = 0;
    while let Some(notice) = peer.next().await {
        let Notice::Event(push) = notice else { continue };
        for (module, data) in answers(&push) {
            seq += 1;
            let ext = CloudinitExt { cause: push.id.clone(), seq: Some(seq), ..CloudinitExt::default() };
            let id = format!("{INSTANCE}-{seq}");
            let event = message(&format!("modules-config/{module}"), &id, &json!([data]));
            peer.publish(Publication { ext: Some(ext.to_ext()), ..event }).await.unwrap();
        }
    }
}

fn answers(push: &Publication) -> Vec<(String, Value)> {
    let Place::Instance(_, Some(Topic::Config(Verb::Set, module))) = Place::of(&push.channel) else {
        return Vec::new();
    };
    let data: Value = serde_json::from_str(push.data.get()).unwrap();
    let start = json!({"event_type": "start", "description": "running"});
    let finish = match data.get("fail").and_then(Value::as_str) {
        Some(text) => json!({"event_type": "finish", "result": "FAIL", "description": text}),
        None => json!({"event_type": "finish", "result": "SUCCESS", "description": "ran successfully"}),
    };
    [start, finish].map(|event| (module.to_string(), event)).to_vec()
}
