//! Cuts, delays, foreign channels, strangers.

use std::time::{Duration, Instant};

use cloud_channel_protocol::{ChannelName, Endpoint, Limits, Publication};
use mgmt_sim::Fault;
use mgmt_sim::notice::Notice;
use mgmt_sim::peer::{Peer, PeerConfig};
use mgmt_sim::server_shell::{Management, ManagementConfig};
use serde_json::json;
use tokio::time::timeout;

use crate::fake_guest::{self, INSTANCE, message};
use crate::transports::{guest_is_ready, start, until};

async fn reply_of(management: &mut Management, wanted: &str) -> Result<(), String> {
    until(management, |notice| match notice {
        Notice::Reply { id, result } if id.text() == wanted => Some(result),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_push_during_a_cut_arrives_after_it() {
    let mut management = start("ws://127.0.0.1:0/events").await;
    tokio::spawn(fake_guest::run(management.endpoints()[0].clone()));
    guest_is_ready(&mut management).await;
    management.fault(Fault::Cut { away: Duration::from_millis(100) }).await.unwrap();
    until(&mut management, |notice| match notice {
        Notice::LineDown { reason, .. } if reason == "cut by us" => Some(()),
        _ => None,
    })
    .await;
    management.publish(message("config/set/network", "during", &json!({}))).await.unwrap();
    assert_eq!(reply_of(&mut management, "during").await, Ok(()));
    management.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_held_back_comes_later() {
    const HELD: Duration = Duration::from_millis(300);
    let mut management = start("ws://127.0.0.1:0/events").await;
    tokio::spawn(fake_guest::run(management.endpoints()[0].clone()));
    guest_is_ready(&mut management).await;
    let begun = Instant::now();
    management.fault(Fault::Hold(HELD)).await.unwrap();
    management.publish(message("config/set/network", "held", &json!({}))).await.unwrap();
    assert_eq!(reply_of(&mut management, "held").await, Ok(()));
    assert!(begun.elapsed() >= HELD);
    management.stop().await.unwrap();
}

#[tokio::test]
async fn a_push_to_nobody_is_told() {
    let mut management = start("ws://127.0.0.1:0/events").await;
    management.publish(message("config/set/network", "p", &json!({}))).await.unwrap();
    assert!(reply_of(&mut management, "p").await.unwrap_err().contains("nobody subscribes"));
}

async fn next_reply(peer: &mut Peer) -> Result<(), String> {
    let waiting = async {
        loop {
            if let Notice::Reply { result, .. } = peer.next().await.expect("the client runs") {
                return result;
            }
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it comes in time")
}

async fn ready(peer: &mut Peer) {
    while !matches!(peer.next().await.expect("the client runs"), Notice::Ready { .. }) {}
}

#[tokio::test]
async fn a_guest_speaks_for_itself_alone() {
    let management = start("ws://127.0.0.1:0/events").await;
    let mut guest = fake_guest::dial(&management.endpoints()[0]);
    ready(&mut guest).await;
    guest.publish(message("hotplug/network", "1", &json!({}))).await.unwrap();
    assert_eq!(next_reply(&mut guest).await, Ok(()));
    for foreign in
        ["/cloudinit/other/hotplug/network", "/custom/foobar", "/cloudinit/i-fake/config/set/network"]
    {
        let channel = ChannelName::parse(foreign).unwrap();
        let publication = Publication { channel, ..message("x", "2", &json!({})) };
        guest.publish(publication).await.unwrap();
        assert!(next_reply(&mut guest).await.unwrap_err().starts_with("403:"), "{foreign}");
    }
    guest.stop().await.unwrap();
}

fn observer(endpoint: &str) -> Peer {
    let config = PeerConfig {
        endpoint: Endpoint::parse(endpoint).unwrap(),
        subscribe: vec![cloud_channel_protocol::ChannelPattern::parse("/**").unwrap()],
        as_guest: None,
        limits: Limits::default(),
    };
    Peer::start(config).unwrap()
}

#[tokio::test]
async fn strangers_are_let_in_only_when_told_to() {
    let management = start("ws://127.0.0.1:0/events").await;
    let mut stranger = observer(&management.endpoints()[0]);
    let told = timeout(Duration::from_secs(20), async {
        loop {
            if let Some(Notice::Down { reason, .. } | Notice::LineDown { reason, .. }) = stranger.next().await
            {
                return reason;
            }
        }
    });
    assert!(told.await.unwrap().contains("Guests only"));

    let config = ManagementConfig { anyone: true, ..ManagementConfig::default() };
    let endpoints = [Endpoint::parse("ws://127.0.0.1:0/events").unwrap()];
    let management = Management::start(&endpoints, config).await.unwrap();
    let mut watcher = observer(&management.endpoints()[0]);
    ready(&mut watcher).await;
    watcher.publish(message("hotplug/network", "1", &json!({}))).await.unwrap();
    assert!(next_reply(&mut watcher).await.unwrap_err().starts_with("403:"));
    management.publish(message("config/set/network", "secret", &json!({}))).await.unwrap();
    management.publish(message("hotplug/network", "seen", &json!({}))).await.unwrap();
    let seen = timeout(Duration::from_secs(20), async {
        loop {
            if let Some(Notice::Event(event)) = watcher.next().await {
                return event.channel.to_string();
            }
        }
    });
    assert_eq!(
        seen.await.unwrap(),
        format!("/cloudinit/{INSTANCE}/hotplug/network"),
        "config is passed over"
    );
}
