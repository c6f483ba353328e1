//! When nothing happens, nothing runs.

use std::time::Duration;

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::management::Management;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::say;

/// How long an idle daemon is watched.
const WATCH: Duration = Duration::from_secs(5);
/// Context switches allowed in that time. There is nothing to do; the kernel may still move a thread now and then.
const MOST_SWITCHES: u64 = 10;

#[tokio::test]
async fn an_idle_daemon_sleeps() {
    let sandbox = Sandbox::machine();
    let management = Management::start().await;
    let guest = Launch::on(&sandbox).connect(&management.url()).start().await;
    management.guest_subscribed(1).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = guest.follow().await;
        peer.status().await;
        peers.push(peer);
    }
    let before = guest.context_switches();
    // This is the measurement, not a wait for something.
    tokio::time::sleep(WATCH).await;
    let switches = guest.context_switches() - before;
    say(&format!("an idle daemon with three sessions and a link: {switches} context switches in {WATCH:?}"));
    assert!(switches <= MOST_SWITCHES, "{switches} context switches in {WATCH:?}");
    for peer in &mut peers {
        peer.status().await;
    }
    guest.stop().await;
}
