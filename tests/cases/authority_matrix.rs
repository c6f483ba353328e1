//! Every kind of peer that a test can be, over both transports, against every kind of request, under rules that differ
//! for each. The dialled link, which is under none of them, is in `authority_link`.

use std::os::unix::fs::PermissionsExt;

use cloud_channel_tests::guest::{Guest, Launch, SOCKET};
use cloud_channel_tests::http::HttpConnection;
use cloud_channel_tests::message::error;
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
const REQUESTS: [&str; 14] = [
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
    "confirm",
    "rollback",
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

pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    servers: Authority,
    clients: Authority,
}

impl Scene {
    pub(crate) fn new() -> Self {
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

/// Who asks.
enum Client {
    /// Over a WebSocket.
    Stream(Box<Peer>),
    /// Over long-polling.
    Requests(Poller),
}

/// A client that makes a request of each message, on one connection.
struct Poller {
    connection: HttpConnection,
    headers: Vec<String>,
    events: Vec<Value>,
    last_id: u64,
}

impl Poller {
    async fn request(&mut self, mut message: Value) -> Value {
        self.last_id += 1;
        message["id"] = self.last_id.into();
        let headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        let body = json!([message]).to_string();
        let response = self.connection.request("POST", "/events", &headers, body.as_bytes()).await;
        let messages: Vec<Value> = serde_json::from_str(&response.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", response.status, response.body));
        let (replies, events): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.get("successful").is_some());
        self.events.extend(events);
        assert_eq!(replies.len(), 1, "{message}: {replies:?}");
        assert_eq!(replies[0]["id"], message["id"]);
        replies.into_iter().next().unwrap()
    }
}

impl Client {
    const TRANSPORTS: [&str; 2] = ["websocket", "long-polling"];

    async fn over(transport: &str, stream: Stream, headers: &[(&'static str, String)]) -> Self {
        if transport == "websocket" {
            return Self::Stream(Box::new(Peer::over(stream, headers).await));
        }
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let connection = HttpConnection::over(stream);
        Self::Requests(Poller { connection, headers, events: Vec::new(), last_id: 0 })
    }

    const fn transport(&self) -> &'static str {
        match self {
            Self::Stream(_) => "websocket",
            Self::Requests(_) => "long-polling",
        }
    }

    /// Asks within a session, or without one if that is null.
    async fn ask(&mut self, session: &Value, mut message: Value) -> Value {
        if !session.is_null() {
            message["clientId"] = session.clone();
        }
        match self {
            Self::Stream(peer) => peer.request_as_it_is(message).await,
            Self::Requests(poller) => poller.request(message).await,
        }
    }

    fn events(&self) -> &[Value] {
        match self {
            Self::Stream(peer) => peer.events(),
            Self::Requests(poller) => &poller.events,
        }
    }
}

/// A word where nothing is on trial: who may say it is told that, and nothing is changed.
fn is_heard(reply: &Value) -> bool {
    error(reply).starts_with("404:") && error(reply).contains("wait")
}

/// `x` for each request that is granted.
async fn granted(guest: &Guest<'_>, client: &mut Client, ext: Value) -> String {
    let below = |rest: &str| format!("/cloudinit/{INSTANCE}/{rest}");
    let publish = |channel: &str, data: Value| json!({"channel": channel, "data": data});
    let subscribe = |pattern: &str| json!({"channel": "/meta/subscribe", "subscription": pattern});
    let mut marks = String::new();
    let mut mark = |is_granted: bool| marks.push(if is_granted { 'x' } else { '-' });
    let taken = |reply: &Value| reply["successful"] == true;

    mark(taken(&client.ask(&Value::Null, publish("/custom/matrix", json!(1))).await));
    let mut handshake = json!({"channel": "/meta/handshake", "version": "1.0",
                               "supportedConnectionTypes": [client.transport()]});
    if !ext.is_null() {
        handshake["ext"] = ext;
    }
    let reply = client.ask(&Value::Null, handshake).await;
    mark(taken(&reply));
    let session = reply["clientId"].clone();
    for message in [
        // Asked to be answered at once; a held connect is for who has a session.
        json!({"channel": "/meta/connect", "connectionType": client.transport(), "advice": {"timeout": 0}}),
        publish("/custom/matrix", json!(1)),
        subscribe(&below("hotplug/network")),
        subscribe("/cloudinit/**"),
        subscribe(&below("config/set/**")),
        json!({"channel": "/meta/unsubscribe", "subscription": below("hotplug/network")}),
        publish(&below("config/get/network"), json!({})),
        publish("/service/cloud-channel/status", json!({})),
        json!({"channel": below("config/set/network"), "data": card(0, 1400), "ext": {"cloudinit": {"dry_run": true}}}),
    ] {
        mark(taken(&client.ask(&session, message).await));
    }
    mark(is_heard(&client.ask(&session, publish(&below("config/confirm/network"), json!({}))).await));
    let rollback = publish(&below("config/rollback/network"), json!({"cause": "nothing"}));
    mark(is_heard(&client.ask(&session, rollback).await));

    // Whatever it may hear of this has been sent when its next request is answered.
    let mut owner = guest.join().await;
    let plug = json!({"subsystem": "net", "action": "add", "attrs": {}});
    owner.publish(&below("hotplug/network"), "plug", plug).await;
    owner.leave().await;
    client.ask(&session, json!({"channel": "/meta/disconnect"})).await;
    mark(client.events().iter().any(|event| event["channel"] == below("hotplug/network")));
    let leaked = client.events().iter().find(|event| event["channel"] == below("config/set/network"));
    assert!(leaked.is_none(), "{leaked:?}");
    marks
}

/// Nothing at all, and everything that anybody can be granted.
const NOTHING: &str = "--------------";
const EVERYTHING: &str = "xxxxxx-xxxxxxx";

async fn check(guest: &Guest<'_>, what: &str, mut client: Client, ext: Value, expected: &str) {
    let granted = granted(guest, &mut client, ext).await;
    let wrong: Vec<&str> = REQUESTS
        .iter()
        .zip(granted.chars().zip(expected.chars()))
        .filter(|(_, (granted, expected))| granted != expected)
        .map(|(request, _)| *request)
        .collect();
    let transport = client.transport();
    assert!(
        wrong.is_empty() && granted.len() == REQUESTS.len() && expected.len() == REQUESTS.len(),
        "{what} over {transport}: expected {expected}, got {granted}, wrong in {wrong:?}"
    );
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
    let tls = |identity: Option<&Identity>| scene.secured(&guest, identity);
    let basic = vec![("authorization", "Basic b3BzOm9wcw==".to_owned())];

    for (what, address, headers, ext, expected) in [
        // unconnected, handshake, connect, publish, exact, wildcard, pushed, unsubscribe, get, status, set, confirm,
        // rollback, hear
        ("the own user", unix.clone(), vec![], Value::Null, EVERYTHING),
        ("TCP alone", tcp.clone(), vec![], Value::Null, NOTHING),
        ("a token", tcp.clone(), bearer("the-ops-token"), Value::Null, "xxxx-x-xxxxxx-"),
        // It cannot be seen before the handshake.
        ("a token in ext", tcp.clone(), vec![], in_ext("the-ops-token"), "-xxx-x-xxxxxx-"),
        ("a wrong token", tcp.clone(), bearer("the-ops-tokem"), Value::Null, NOTHING),
        ("a wrong token of the own user", unix.clone(), bearer("nothing"), Value::Null, NOTHING),
        ("another scheme", tcp.clone(), basic, Value::Null, NOTHING),
        ("a reader", tcp.clone(), bearer("the-readers-token"), Value::Null, "-xx-xx-x-----x"),
        ("TLS alone", tls(None), vec![], Value::Null, NOTHING),
        ("a certificate", tls(Some(&ops)), vec![], Value::Null, "-xx--x-xxx----"),
        ("a certificate no rule names alone", tls(Some(&ci)), vec![], Value::Null, NOTHING),
        ("a certificate and a token", tls(Some(&ci)), bearer("the-ops-token"), Value::Null, EVERYTHING),
    ] {
        for transport in Client::TRANSPORTS {
            let client = Client::over(transport, address.open().await.unwrap(), &headers).await;
            check(&guest, what, client, ext.clone(), expected).await;
        }
    }

    other_users(&guest).await;
    let log = scene.sandbox.log();
    assert!(!log.contains("ops-tok") && !log.contains("readers-token"), "a token is in the log");
    guest.stop().await;
}

/// Peers that only root can play.
async fn other_users(guest: &Guest<'_>) {
    if rustix::process::geteuid().is_root() {
        for (uid, expected) in [(STRANGER, NOTHING), (LISTENER, "-xx-xx-x-----x")] {
            for transport in Client::TRANSPORTS {
                let client = Client::over(transport, open_as(uid, &guest.unix()), &[]).await;
                check(guest, &format!("user {uid}"), client, Value::Null, expected).await;
            }
        }
    } else {
        say("other users of this machine: not tested, as that takes root");
    }
}
