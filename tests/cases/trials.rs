//! A change of the network stays only if somebody confirms it.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, System};
use cloud_channel_tests::inside::{Inside, NETPLAN, OLD, machine};
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::{
    assert_accepted, assert_refused, cause, description, finishes, is_finish, result,
};
use cloud_channel_tests::patience::{eventually, within};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::relay::Relay;
use cloud_channel_tests::sandbox::INSTANCE;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Longer than any test.
const LONG: u64 = 600;

async fn push(peer: &mut Peer, id: &str, confirm_seconds: Option<u64>) {
    let data = json!({"ethernets": {"eth0": {"dhcp6": true}}});
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    let ext = json!({"cloudinit": {"confirm_seconds": confirm_seconds}});
    assert_accepted(&peer.request(json!({"channel": channel, "id": id, "data": data, "ext": ext})).await);
}

async fn word(peer: &mut Peer, verb: &str, data: Value) -> Value {
    let channel = format!("/cloudinit/{INSTANCE}/config/{verb}/network");
    peer.request(json!({"channel": channel, "data": data})).await
}

async fn until_on_trial(watcher: &mut Peer) {
    let on_trial = |status: &Value| status["modules"]["network"]["on_trial_seconds"].is_number();
    watcher.status_when("a trial", on_trial).await;
}

/// The peer reads, and so it connects again where a connect was answered.
async fn goes_on(peer: &mut Peer) {
    peer.status().await;
}

fn assert_kept(inside: &Inside) {
    let text = inside.system().text(NETPLAN).unwrap();
    assert!(text.contains("dhcp6: true"), "{text}");
    assert_eq!(reconfigured(inside), 1);
}

fn assert_taken_back(inside: &Inside) {
    assert_eq!(inside.system().text(NETPLAN).as_deref(), Some(OLD));
    assert_eq!(reconfigured(inside), 2, "once for the new files, once for the old");
}

fn reconfigured(inside: &Inside) -> usize {
    let commands = inside.system().invocations();
    commands.iter().filter(|command| command.args.first().is_some_and(|arg| arg == "reconfigure")).count()
}

#[tokio::test]
async fn a_change_stays_if_its_sender_is_still_there() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    push(&mut sender, "p", Some(LONG)).await;
    until_on_trial(&mut watcher).await;
    assert!(!watcher.events().iter().any(|event| finishes(event, "p")), "it has only been spoken to");
    goes_on(&mut sender).await;
    assert_eq!(result(&watcher.finish("p").await), "SUCCESS");
    assert_kept(&inside);
    inside.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_after_a_push_that_changed_nothing() {
    let inside = Inside::start(machine()).await;
    let (mut sender, mut remote) = (inside.here().await, inside.remote().await);
    // Its first connect is answered at once.
    remote.status().await;
    let mut asked = Vec::new();
    for id in ["change", "again"] {
        let before = remote.answered_connects();
        push(&mut sender, id, None).await;
        assert_eq!(result(&sender.finish(id).await), "SUCCESS");
        // What came before this reply was sent before it.
        remote.status().await;
        asked.push(remote.answered_connects() - before);
    }
    assert_eq!(asked, [1, 0]);
    assert_eq!(reconfigured(&inside), 1, "only the first had anything to do");
    inside.stop().await;
}

#[tokio::test]
async fn what_nobody_confirms_is_taken_back() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    push(&mut sender, "p", Some(1)).await;
    let finish = watcher.finish("p").await;
    assert_eq!(result(&finish), "FAIL");
    let text = description(&finish);
    assert!(text.contains("not confirmed within 1 s") && text.contains("put back as it was"), "{text}");
    assert_taken_back(&inside);
    // The module holds what it held before: the same push is a change again.
    push(&mut sender, "again", Some(1)).await;
    assert_eq!(result(&watcher.finish("again").await), "FAIL");
    assert_eq!(inside.system().text(NETPLAN).as_deref(), Some(OLD));
    inside.stop().await;
}

#[tokio::test]
async fn a_sender_who_comes_back_confirms() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    push(&mut sender, "p", Some(LONG)).await;
    until_on_trial(&mut watcher).await;
    drop(sender);
    let mut back = inside.remote().await;
    goes_on(&mut back).await;
    assert_eq!(result(&watcher.finish("p").await), "SUCCESS");
    assert_kept(&inside);
    back.leave().await;
    inside.stop().await;
}

#[tokio::test]
async fn who_was_cut_off_and_comes_back_hears_the_finish() {
    let inside = Inside::start(machine()).await;
    let relay = Relay::to(&inside.tcp().await).await;
    let results = format!("/cloudinit/{INSTANCE}/modules-config/*");
    // Two of management's: who pushes, and who only listens.
    let mut sender = Peer::join(relay.address()).await;
    let mut listener = Peer::join(relay.address()).await;
    sender.subscribe(&results).await;
    listener.subscribe(&results).await;
    // The guest's words go nowhere, though their streams stand.
    push(&mut sender, "p", Some(1)).await;
    relay.swallow();
    let is_back = || (reconfigured(&inside) == 2).then_some(());
    eventually("the change to be taken back", is_back).await;
    let mut back = inside.remote().await;
    back.status_when("its end", |status| status["modules"]["network"]["results"]["fail"] == 1).await;
    back.subscribe(&results).await;
    goes_on(&mut back).await;
    assert_eq!(result(&back.finish("p").await), "FAIL", "no dead stream has had it");
    inside.stop().await;
}

#[tokio::test]
async fn a_word_decides_and_names_its_change() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    assert_refused(&word(&mut watcher, "confirm", json!({})).await, &["404:", "No change of network waits"]);
    push(&mut sender, "p", Some(LONG)).await;
    until_on_trial(&mut watcher).await;
    for (data, parts) in [
        (json!({"cause": "other"}), ["409:", "expected the cause \"p\""]),
        (json!({"cause": {}}), ["400:", "message id"]),
        (json!({"why": 1}), ["400:", "`cause`"]),
        (json!([]), ["400:", "an object"]),
    ] {
        assert_refused(&word(&mut watcher, "confirm", data).await, &parts);
    }
    assert_accepted(&word(&mut watcher, "confirm", json!({"cause": "p"})).await);
    assert_eq!(result(&watcher.finish("p").await), "SUCCESS");
    assert_kept(&inside);
    inside.stop().await;
}

#[tokio::test]
async fn people_may_take_a_change_back() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    push(&mut sender, "p", Some(LONG)).await;
    until_on_trial(&mut watcher).await;
    assert_accepted(&word(&mut watcher, "rollback", json!({"cause": null})).await);
    let finish = watcher.finish("p").await;
    assert_eq!(result(&finish), "FAIL");
    assert!(description(&finish).contains("asked for it"), "{finish}");
    assert_taken_back(&inside);
    inside.stop().await;
}

#[tokio::test]
async fn who_is_on_the_machine_is_not_cut_off_and_may_ask_for_a_trial() {
    let inside = Inside::start(machine()).await;
    let mut local = inside.here().await;
    push(&mut local, "at-once", None).await;
    assert_eq!(result(&local.finish("at-once").await), "SUCCESS");
    assert_kept(&inside);
    let undo = json!({"ethernets": {"eth0": {"dhcp6": null}}});
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    let ext = json!({"cloudinit": {"confirm_seconds": LONG}});
    assert_accepted(
        &local.request(json!({"channel": channel, "id": "tried", "data": undo, "ext": ext})).await,
    );
    until_on_trial(&mut local).await;
    assert_accepted(&word(&mut local, "confirm", json!({})).await);
    assert_eq!(result(&local.finish("tried").await), "SUCCESS");
    inside.stop().await;
}

#[tokio::test]
async fn an_end_of_the_daemon_takes_back_what_is_on_trial() {
    let inside = Inside::start(machine()).await;
    let (mut watcher, mut sender) = (inside.here().await, inside.remote().await);
    push(&mut sender, "p", Some(LONG)).await;
    until_on_trial(&mut watcher).await;
    // Nobody is there to hear of it before the next start.
    watcher.leave().await;
    let inside = inside.restart().await;
    let finish = inside.here().await.finish("p").await;
    assert_eq!(result(&finish), "FAIL");
    assert!(description(&finish).contains("stopped before it was confirmed"), "{finish}");
    assert_taken_back(&inside);
    inside.stop().await;
}

/// The moment at which links are set up anew; it lasts until this is dropped.
struct Moment {
    begun: mpsc::Receiver<()>,
    _end: SyncSender<()>,
}

impl Moment {
    /// A machine that has such a moment. Nobody may look at it meanwhile.
    fn machine() -> (MemorySystem, Self) {
        let (end, ended) = sync_channel::<()>(0);
        let (begins, begun) = mpsc::channel(2);
        let ended = Mutex::new(ended);
        let system = machine().with_command("/usr/bin/networkctl", move |command, _| {
            if command.args.first().is_some_and(|arg| arg == "reconfigure") {
                // A test that is past it is told of nothing, and waits for nothing.
                let _past = begins.try_send(());
                let _dropped = ended.lock().unwrap().recv();
            }
            Ok(String::new())
        });
        (system, Self { begun, _end: end })
    }

    /// Pushes over the dialled link, and waits for it.
    async fn of_push(&mut self, management: &Management, confirm_seconds: u64) {
        management.guest_subscribed(1).await;
        let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
        let ext = json!({"cloudinit": {"confirm_seconds": confirm_seconds}});
        let data = json!({"ethernets": {"eth0": {"dhcp6": true}}});
        management.publish(&channel, "p", &data, Some(&ext));
        within("links to be set up anew", self.begun.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn over_the_dialled_link_an_answer_confirms() {
    let management = Management::start().await;
    let (system, mut moment) = Moment::machine();
    let inside = Inside::start_dialling(system, &[management.url()]).await;
    moment.of_push(&management, LONG).await;
    drop(moment);
    assert_eq!(result(&management.finish("p").await), "SUCCESS");
    assert_kept(&inside);
    inside.stop().await;
}

#[tokio::test]
async fn a_link_that_was_cut_and_comes_back_confirms() {
    let management = Management::start().await;
    let (system, mut moment) = Moment::machine();
    let inside = Inside::start_dialling(system, &[management.url()]).await;
    moment.of_push(&management, LONG).await;
    let address = management.address().to_owned();
    management.crash().await;
    drop(moment);
    let management = Management::start_at(&address).await;
    assert_eq!(result(&management.finish("p").await), "SUCCESS");
    assert_kept(&inside);
    inside.stop().await;
}

#[tokio::test]
async fn a_link_that_stays_away_takes_the_change_back() {
    let management = Management::start().await;
    let (system, mut moment) = Moment::machine();
    let inside = Inside::start_dialling(system, &[management.url()]).await;
    moment.of_push(&management, 1).await;
    let address = management.address().to_owned();
    management.crash().await;
    drop(moment);
    let is_back = || (reconfigured(&inside) == 2).then_some(());
    eventually("the change to be taken back", is_back).await;
    assert_taken_back(&inside);
    let management = Management::start_at(&address).await;
    let finish = management.finish("p").await;
    assert_eq!(result(&finish), "FAIL");
    assert!(description(&finish).contains("the management server that is dialled to be there"), "{finish}");
    inside.stop().await;
}

#[tokio::test]
async fn what_is_done_when_a_card_has_come_is_confirmed_over_the_link() {
    let management = Management::start().await;
    let (system, mut moment) = Moment::machine();
    let inside = Inside::start_dialling(system, &[management.url()]).await;
    management.guest_subscribed(1).await;
    management.push("network", "p", &json!({"ethernets": {"eth1": {"dhcp4": true}}}));
    let finish = management.finish("p").await;
    assert_eq!(result(&finish), "WARN");
    assert!(description(&finish).contains("`eth1` waits until it is there"), "{finish}");
    assert_eq!((inside.system().text(NETPLAN).as_deref(), reconfigured(&inside)), (Some(OLD), 0));

    for (name, text) in [
        ("address", "52:54:00:00:00:02\n"),
        ("mtu", "1500\n"),
        ("flags", "0x1003\n"),
        ("uevent", "INTERFACE=eth1\nIFINDEX=3\n"),
    ] {
        let file = FileState::of_root(text, 0o444);
        inside.system().write(&format!("/sys/class/net/eth1/{name}"), &file).unwrap();
    }
    let mut local = inside.here().await;
    let data = json!({"subsystem": "net", "action": "add", "attrs": {"name": "eth1"}});
    assert_accepted(&local.publish(&format!("/cloudinit/{INSTANCE}/hotplug/network"), "plug", data).await);
    within("links to be set up anew", moment.begun.recv()).await.unwrap();
    // Who was there before is missed now.
    let address = management.address().to_owned();
    management.crash().await;
    drop(moment);
    until_on_trial(&mut local).await;
    let management = Management::start_at(&address).await;
    let own = |event: &Value| is_finish(event) && cause(event).is_none();
    let finish = management.event("the finish of what waited", own).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    assert!(inside.system().text(NETPLAN).unwrap().contains("eth1"));
    inside.stop().await;
}

#[tokio::test]
async fn how_long_a_trial_may_take_is_bounded() {
    let inside = Inside::start(machine()).await;
    let mut sender = inside.remote().await;
    let channel = format!("/cloudinit/{INSTANCE}/config/set/network");
    for seconds in [0, 86_401] {
        let ext = json!({"cloudinit": {"confirm_seconds": seconds}});
        let reply = sender.request(json!({"channel": channel, "data": {}, "ext": ext})).await;
        assert_refused(&reply, &["400:ext.cloudinit.confirm_seconds", "expected 1 to 86400 seconds"]);
    }
    inside.stop().await;
}
