//! Hardware events of a real kernel, in a network of its own: each card that is plugged, renamed and unplugged is told
//! once, whatever happens to the daemon meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::namespace::Namespace;
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::say;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

fn network() -> String {
    format!("/cloudinit/{INSTANCE}/hotplug/network")
}

/// A sandbox for a daemon that listens to this kernel.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::machine();
    std::fs::write(sandbox.beside("config.yaml"), "hotplug: {ignore: [\"hidden*\"]}\n").unwrap();
    sandbox
}

/// Events about cards so far: `add nic0`, `move nic0 lan0`.
fn told(peer: &Peer) -> Vec<String> {
    let ours = peer.events().iter().filter(|event| event["channel"] == network());
    ours.map(|event| {
        let data = &event["data"];
        let words = [&data["action"], &data["attrs"]["old_name"], &data["attrs"]["name"]];
        words.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    })
    .collect()
}

/// Waits for an event about a card; what it tells of it.
async fn attrs(peer: &mut Peer, action: &str, name: &str) -> Value {
    let fits = |event: &Value| {
        let data = &event["data"];
        event["channel"] == network() && data["action"] == action && data["attrs"]["name"] == name
    };
    peer.event(&format!("{action} {name}"), fits).await["data"]["attrs"].clone()
}

/// Has a card come that is told of: all that was before it has been told then.
async fn marker(namespace: &Namespace, peer: &mut Peer, name: &str) {
    namespace.ip(&[format!("link add {name} type veth peer name hidden-{name}")]);
    attrs(peer, "add", name).await;
}

async fn listening(guest: &Guest<'_>) -> Peer {
    let mut peer = guest.follow().await;
    peer.status_when("the daemon to listen", |status| status["hotplug"]["listening"] == true).await;
    peer
}

#[tokio::test]
async fn a_card_comes_gets_another_name_and_goes() {
    let Some(namespace) = Namespace::make() else { return };
    namespace.ip(&["link add old0 type veth peer name old1".to_owned()]);
    let sandbox = sandbox();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = listening(&guest).await;
    let mac = "02:00:00:00:00:01";
    namespace.ip(&[format!("link add nic0 address {mac} type veth peer name hidden0")]);
    let card = attrs(&mut peer, "add", "nic0").await;
    assert_eq!((card["address"].as_str(), card["old_name"].as_str()), (Some(mac), None), "{card}");
    assert_eq!(card["devpath"], "/devices/virtual/net/nic0");
    namespace.ip(&["link set nic0 name lan0".to_owned()]);
    let renamed = attrs(&mut peer, "move", "lan0").await;
    assert_eq!((&renamed["old_name"], &renamed["ifindex"]), (&json!("nic0"), &card["ifindex"]));
    assert_eq!(renamed["address"], mac);
    // Nothing of this is hardware, or news.
    namespace.write("/sys/class/net/lan0/uevent", "add");
    namespace.ip(&[
        "link add br0 type bridge",
        "link set lan0 master br0",
        "link set lan0 up",
        "link set lan0 down",
        "link del br0",
    ]
    .map(str::to_owned));
    // Ignored under one name, and news under another.
    namespace.ip(&["link set hidden0 name peer0".to_owned()]);
    attrs(&mut peer, "add", "peer0").await;
    namespace.ip(&["link del lan0".to_owned()]);
    let gone = attrs(&mut peer, "remove", "lan0").await;
    assert_eq!((&gone["address"], &gone["ifindex"]), (&json!(mac), &card["ifindex"]));
    marker(&namespace, &mut peer, "last0").await;
    let mut told = told(&peer);
    // The kernel takes both ends of a veth away, in an order of its own.
    told[3..5].sort();
    assert_eq!(told, ["add nic0", "move nic0 lan0", "add peer0", "remove lan0", "remove peer0", "add last0"]);
    let status = peer.status().await;
    assert_eq!(status["hotplug"]["events"]["network_add"], 3, "{status}");
    assert_eq!((&status["hotplug"]["refused"], &status["events"]["lost"]), (&json!(0), &json!(0)));
    guest.stop().await;
    assert!(!sandbox.log().contains("WARN"), "a quiet life has no warnings in its log");
}

fn pairs(count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("link add nic{nth} type veth peer name far{nth}")).collect()
}

/// How often each card was told of by an action.
fn times(peer: &Peer, action: &str) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for text in told(peer) {
        if let Some(name) = text.strip_prefix(action) {
            *times.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    times
}

fn assert_each_once(peer: &Peer, action: &str, count: usize) {
    let times = times(peer, action);
    let wanted = (0..count).flat_map(|nth| [format!("nic{nth}"), format!("far{nth}")]);
    assert_eq!(times, wanted.map(|name| (name, 1)).collect(), "{action}");
}

#[tokio::test]
async fn sixty_cards_at_once() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = listening(&guest).await;
    namespace.ip(&pairs(60));
    marker(&namespace, &mut peer, "last0").await;
    namespace.ip(&(0..60).map(|nth| format!("link del nic{nth}")).collect::<Vec<_>>());
    marker(&namespace, &mut peer, "last1").await;
    let markers =
        |times: &BTreeMap<String, usize>| times.keys().filter(|name| name.starts_with("last")).count();
    assert_eq!(markers(&times(&peer, "add")), 2);
    assert_each_once(&peer, "remove", 60);
    let status = peer.status().await;
    say(&format!(
        "120 cards that came and went: {}, driver {}",
        status["hotplug"], status["queues"]["driver"]
    ));
    assert_eq!(status["hotplug"]["events"], json!({"network_add": 122, "network_remove": 120}), "{status}");
    guest.stop().await;
}

#[tokio::test]
async fn what_was_plugged_while_nobody_listened_is_told_at_the_next_start() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    let launch = Launch::real(&sandbox, namespace.enter());
    namespace.ip(&pairs(2));
    let guest = launch.start().await;
    let mut peer = listening(&guest).await;
    marker(&namespace, &mut peer, "live0").await;
    assert_eq!(told(&peer), ["add live0"], "the first start learns");
    guest.stop().await;

    namespace.ip(&[
        "link set nic0 name lan0".to_owned(),
        "link del nic1".to_owned(),
        "link add new0 type veth peer name hidden0".to_owned(),
    ]);
    let guest = launch.start().await;
    let mut peer = listening(&guest).await;
    attrs(&mut peer, "add", "new0").await;
    let mut events = told(&peer);
    events.sort();
    assert_eq!(events, ["add new0", "move nic0 lan0", "remove far1", "remove nic1"]);
    guest.crash().await;

    namespace.ip(&["link del new0".to_owned()]);
    let guest = launch.start().await;
    let mut peer = listening(&guest).await;
    attrs(&mut peer, "remove", "new0").await;
    marker(&namespace, &mut peer, "last0").await;
    // What the killed daemon had told and nobody had confirmed may come again, under its old number.
    let fresh: Vec<String> =
        told(&peer).into_iter().filter(|text| text.contains("new0") && text.starts_with("remove")).collect();
    assert_eq!(fresh, ["remove new0"]);
    guest.stop().await;
}

/// The kernel may keep little for a daemon that does not read while many cards come.
#[tokio::test]
async fn what_the_kernel_drops_is_found_all_the_same() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    std::fs::write(sandbox.beside("config.yaml"), "hotplug: {ignore: [\"hidden*\"], buffer: 64KiB}\n")
        .unwrap();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = listening(&guest).await;
    kill_process(guest.pid(), Signal::STOP).unwrap();
    namespace.ip(&pairs(400));
    kill_process(guest.pid(), Signal::CONT).unwrap();
    let status = peer
        .status_when("all cards to be told of", |status| status["hotplug"]["events"]["network_add"] == 800)
        .await;
    let hotplug = &status["hotplug"];
    say(&format!("800 cards behind the back of the daemon: {hotplug}"));
    assert!(hotplug["overruns"].as_u64() >= Some(1) && hotplug["rescans"].as_u64() >= Some(1), "{hotplug}");
    assert_each_once(&peer, "add", 400);
    marker(&namespace, &mut peer, "last0").await;
    let last = peer.status().await["hotplug"]["events"].clone();
    assert_eq!(last, json!({"network_add": 801}));
    guest.stop().await;
}

#[tokio::test]
async fn links_are_looked_at_once_for_a_burst() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = listening(&guest).await;
    namespace.ip(&["link add nic0 type veth peer name hidden0".to_owned()]);
    let first = peer.status_when("the links to rest", |status| status["hotplug"]["link_changes"] != 0).await;
    // A bridge is no card, and may be what config waits for.
    namespace.ip(&["link add br0 type bridge".to_owned()]);
    let more = |status: &Value| {
        status["hotplug"]["link_changes"].as_u64() > first["hotplug"]["link_changes"].as_u64()
    };
    peer.status_when("the links to rest again", more).await;
    guest.stop().await;
}

#[tokio::test]
async fn in_a_sandbox_links_change_when_somebody_says_so() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = guest.follow().await;
    for nic in 0..5 {
        let mac = format!("52:54:00:00:00:1{nic}");
        let output = guest.command(&["hotplug", "--nic", &mac]).await;
        assert!(output.status.success(), "{output:?}");
    }
    let status = peer.status_when("the links to rest", |status| status["hotplug"]["link_changes"] != 0).await;
    assert_eq!(status["hotplug"]["listening"], false);
    assert_eq!(status["hotplug"]["events"], json!({}), "what others tell is theirs");
    // A disk is no link.
    let before = status["hotplug"]["link_changes"].as_u64().unwrap();
    assert!((1..=5).contains(&before), "{status}");
    guest.stop().await;
}

#[tokio::test]
async fn a_listening_daemon_sleeps_and_has_two_threads() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = listening(&guest).await;
    marker(&namespace, &mut peer, "nic0").await;
    peer.status_when("the links to rest", |status| status["hotplug"]["link_changes"] != 0).await;
    let tasks = format!("/proc/{}/task", guest.pid().as_raw_nonzero());
    let threads = || std::fs::read_dir(&tasks).map_or(0, Iterator::count);
    eventually("two threads", || (threads() == 2).then_some(())).await;
    let before = guest.context_switches();
    // This is the measurement, not a wait for something.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let switches = guest.context_switches() - before;
    let status = peer.status().await;
    say(&format!("a listening daemon: {switches} context switches in 3 s, {}", status["process"]));
    assert!(switches <= 10, "{switches} context switches in 3 s");
    guest.stop().await;
}

#[tokio::test]
async fn a_daemon_that_may_not_listen_goes_on() {
    let Some(namespace) = Namespace::make() else { return };
    let sandbox = sandbox();
    std::fs::write(sandbox.beside("config.yaml"), "hotplug: {listen: false}\n").unwrap();
    let guest = Launch::real(&sandbox, namespace.enter()).start().await;
    let mut peer = guest.follow().await;
    namespace.ip(&pairs(1));
    let said = json!({"subsystem": "net", "action": "add", "attrs": {"name": "nic0"}});
    let reply = peer.publish(&network(), "hook-1", said).await;
    assert_eq!(reply["successful"], true, "{reply}");
    assert_eq!(told(&peer), ["add nic0"], "the hook's alone");
    assert_eq!(peer.status().await["hotplug"]["listening"], false);
    guest.stop().await;
}
