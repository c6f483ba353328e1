//! Every kind of peer that a test can be, against every kind of request, under rules that differ for each.

use std::os::unix::fs::PermissionsExt;

use cloud_channel_tests::guest::{Guest, Launch, SOCKET};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::say;
use cloud_channel_tests::stream::{Address, Stream};
use cloud_channel_tests::tls::{Authority, Identity, Secured, Validity};
use rustix::thread::{set_thread_gid, set_thread_uid};
use serde_json::{Value, json};

use crate::payloads::{card, token_line};

const CONFIG: &str = "etc/cloud-channel/config.yaml";
const TOKENS: &str = "etc/cloud-channel/tokens";
/// A user that nobody is.
const STRANGER: u32 = 47_110;
/// A user that a rule names.
const LISTENER: u32 = 47_111;

/// What a peer can ask, in the order in which it does. The last is not asked: an event is published, and it comes
/// or not.
const REQUESTS: [&str; 12] = [
    "an unconnected publish",
    "handshake",
    "connect",
    "publish",
    "subscribe to a channel",
    "subscribe to a wildcard",
    "subscribe to pushed config",
    "unsubscribe",
    "get",
    "status",
    "set",
    "hear",
];

fn rules() -> String {
    let unix = "unix://SOCKET";
    format!(
        "listen: [\"{unix}\", \"ws://127.0.0.1:0/events\", \"wss://127.0.0.1:0/events\"]\n\
         socket-mode: \"0666\"\n\
         tls: {{certificate: /etc/own.pem, key: /etc/own.key, client-ca: /etc/clients.pem}}\n\
         authority:\n\
         - {{who: {{unix: self}}, may: [publish, subscribe, get], on: [/**]}}\n\
         - {{who: {{unix: {LISTENER}}}, may: [subscribe], on: [\"/cloudinit/<instance-id>/hotplug/*\"]}}\n\
         - {{who: {{token: ops}}, may: [publish, get], on: [/**]}}\n\
         - {{who: {{token: reader, tcp: loopback}}, may: [subscribe], on: [/cloudinit/**]}}\n\
         - {{who: {{certificate: \"spiffe://fleet/ops\"}}, may: [get], on: [/**]}}\n\
         - {{who: {{certificate: \"spiffe://fleet/ci\", token: ops}}, may: [subscribe], on: [/**]}}\n"
    )
}

struct Scene {
    sandbox: Sandbox,
    servers: Authority,
    clients: Authority,
}

impl Scene {
    fn new() -> Self {
        let scene =
            Self { sandbox: Sandbox::machine(), servers: Authority::new(), clients: Authority::new() };
        let own = scene.servers.issue(&["localhost"], Validity::Current);
        let socket = scene.sandbox.path(SOCKET).display().to_string();
        scene.sandbox.write("etc/own.pem", &own.certificate);
        scene.sandbox.write("etc/own.key", &own.key);
        scene.sandbox.write("etc/clients.pem", &scene.clients.pem());
        scene.sandbox.write(CONFIG, &rules().replace("SOCKET", &socket));
        let lines = [token_line("ops", "the-ops-token"), token_line("reader", "the-readers-token")];
        scene.sandbox.write(TOKENS, &lines.concat());
        // Other users have to reach the socket.
        let beside = scene.sandbox.beside("");
        std::fs::set_permissions(beside, std::fs::Permissions::from_mode(0o755)).unwrap();
        scene
    }

    fn secured(&self, guest: &Guest<'_>, identity: Option<&Identity>) -> Address {
        Address::Tls(Secured::new(guest.tls(), "localhost", &self.servers, identity))
    }
}

/// A stream that another user has opened. Its credentials are those of the moment of connecting, and of one thread.
fn open_as(uid: u32, address: &Address) -> Stream {
    let Address::Unix(path) = address.clone() else { panic!("users are known on Unix sockets alone") };
    let connect = move || {
        set_thread_gid(rustix::process::Gid::from_raw(uid)).expect("root may be any group");
        set_thread_uid(rustix::process::Uid::from_raw(uid)).expect("root may be any user");
        std::os::unix::net::UnixStream::connect(path)
    };
    let stream = std::thread::spawn(connect).join().unwrap().expect("the socket's mode lets everybody in");
    stream.set_nonblocking(true).unwrap();
    Box::new(tokio::net::UnixStream::from_std(stream).unwrap())
}

/// `x` for each request that is granted.
async fn granted(guest: &Guest<'_>, peer: &mut Peer, ext: Value) -> String {
    let below = |rest: &str| format!("/cloudinit/{INSTANCE}/{rest}");
    let mut marks = String::new();
    let mut mark = |reply: &Value| marks.push(if reply["successful"] == true { 'x' } else { '-' });
    mark(&peer.publish("/custom/matrix", "unconnected", json!(1)).await);
    mark(&peer.handshake_with(ext).await);
    let session = peer.session();
    // Asked to be answered at once; a held connect is for who has a session.
    let connect = json!({"channel": "/meta/connect", "connectionType": "websocket", "advice": {"timeout": 0},
                         "clientId": session});
    mark(&peer.request_as_it_is(connect).await);
    mark(&peer.publish("/custom/matrix", "connected", json!(1)).await);
    let subscribe = |pattern: String| json!({"channel": "/meta/subscribe", "subscription": pattern});
    mark(&peer.request(subscribe(below("hotplug/network"))).await);
    mark(&peer.request(subscribe("/cloudinit/**".to_owned())).await);
    mark(&peer.request(subscribe(below("config/set/**"))).await);
    mark(
        &peer
            .request(json!({"channel": "/meta/unsubscribe", "subscription": below("hotplug/network")}))
            .await,
    );
    mark(&peer.publish(&below("config/get/network"), "get", json!({})).await);
    mark(&peer.publish("/service/cloud-channel/status", "status", json!({})).await);
    let set = json!({"channel": below("config/set/network"), "data": card(0, 1400), "ext": {"cloudinit": {"dry_run": true}}});
    mark(&peer.request(set).await);
    // Whatever it may hear of this has been sent when its next request is answered.
    let mut owner = guest.join().await;
    let plug = json!({"subsystem": "net", "action": "add", "attrs": {}});
    owner.publish(&below("hotplug/network"), "plug", plug).await;
    owner.leave().await;
    peer.request_as_it_is(json!({"channel": "/meta/disconnect", "clientId": session})).await;
    let hears = peer.events().iter().any(|event| event["channel"] == below("hotplug/network"));
    mark(&json!({"successful": hears}));
    let leaked = peer.events().iter().find(|event| event["channel"] == below("config/set/network"));
    assert!(leaked.is_none(), "{leaked:?}");
    marks
}

/// Nothing at all, and everything that anybody can be granted.
const NOTHING: &str = "------------";
const EVERYTHING: &str = "xxxxxx-xxxxx";

async fn check(guest: &Guest<'_>, what: &str, mut peer: Peer, ext: Value, expected: &str) {
    let granted = granted(guest, &mut peer, ext).await;
    let wrong: Vec<&str> = REQUESTS
        .iter()
        .zip(granted.chars().zip(expected.chars()))
        .filter(|(_, (granted, expected))| granted != expected)
        .map(|(request, _)| *request)
        .collect();
    assert!(wrong.is_empty(), "{what}: expected {expected}, got {granted}, wrong in {wrong:?}");
}

#[tokio::test]
async fn every_peer_and_every_request() {
    let scene = Scene::new();
    let guest = Launch::on(&scene.sandbox).start().await;
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let in_ext = |token: &str| json!({"cloudinit": {"token": token}});
    let (unix, tcp) = (guest.unix(), guest.tcp());
    let ops = scene.clients.issue(&["spiffe://fleet/ops"], Validity::Current);
    let ci = scene.clients.issue(&["spiffe://fleet/ci"], Validity::Current);
    let open = async |address: &Address| address.open().await.unwrap();

    for (what, stream, headers, ext, expected) in [
        // unconnected, handshake, connect, publish, exact, wildcard, pushed, unsubscribe, get, status, set, hear
        ("the own user", open(&unix).await, vec![], Value::Null, EVERYTHING),
        ("TCP alone", open(&tcp).await, vec![], Value::Null, NOTHING),
        ("a token", open(&tcp).await, bearer("the-ops-token"), Value::Null, "xxxx-x-xxxx-"),
        // It cannot be seen before the handshake.
        ("a token in ext", open(&tcp).await, vec![], in_ext("the-ops-token"), "-xxx-x-xxxx-"),
        ("a wrong token", open(&tcp).await, bearer("the-ops-tokem"), Value::Null, NOTHING),
        ("a wrong token of the own user", open(&unix).await, bearer("nothing"), Value::Null, NOTHING),
        (
            "another scheme",
            open(&tcp).await,
            vec![("authorization", "Basic b3BzOm9wcw==".to_owned())],
            Value::Null,
            NOTHING,
        ),
        ("a reader", open(&tcp).await, bearer("the-readers-token"), Value::Null, "-xx-xx-x---x"),
        ("TLS alone", open(&scene.secured(&guest, None)).await, vec![], Value::Null, NOTHING),
        (
            "a certificate",
            open(&scene.secured(&guest, Some(&ops))).await,
            vec![],
            Value::Null,
            "-xx--x-xxx--",
        ),
        (
            "a certificate no rule names alone",
            open(&scene.secured(&guest, Some(&ci))).await,
            vec![],
            Value::Null,
            NOTHING,
        ),
        (
            "a certificate and a token",
            open(&scene.secured(&guest, Some(&ci))).await,
            bearer("the-ops-token"),
            Value::Null,
            EVERYTHING,
        ),
    ] {
        check(&guest, what, Peer::over(stream, &headers).await, ext, expected).await;
    }

    other_users(&guest).await;
    let log = scene.sandbox.log();
    assert!(!log.contains("ops-tok") && !log.contains("readers-token"), "a token is in the log");
    guest.stop().await;
}

/// Peers that only root can play.
async fn other_users(guest: &Guest<'_>) {
    if rustix::process::geteuid().is_root() {
        for (uid, expected) in [(STRANGER, NOTHING), (LISTENER, "-xx-xx-x---x")] {
            let peer = Peer::over(open_as(uid, &guest.unix()), &[]).await;
            check(guest, &format!("user {uid}"), peer, Value::Null, expected).await;
        }
    } else {
        say("other users of this machine: not tested, as that takes root");
    }
}
