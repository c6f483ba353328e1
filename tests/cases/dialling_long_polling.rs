//! The guest as a client over HTTP long-polling, against a scripted server: what it asks, what it makes of each answer,
//! and what of none.

use cloud_channel_tests::guest::{Guest, Launch};
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::{cause, is_finish, result};
use cloud_channel_tests::patience::{eventually, within};
use cloud_channel_tests::polling::{PollingServer, Request};
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::payloads::card;

const COOKIE: &str = "BAYEUX_BROWSER=b4a7";

fn shaken(request: &Request, hold: u64) -> Value {
    json!([{"channel": "/meta/handshake", "id": request.messages[0]["id"], "successful": true, "version": "1.0",
            "clientId": "c1", "supportedConnectionTypes": ["long-polling"],
            "advice": {"reconnect": "retry", "interval": 0, "timeout": hold}}])
}

pub(crate) fn connected(request: &Request) -> Value {
    json!({"channel": "/meta/connect", "id": request.messages[0]["id"], "successful": true})
}

/// Answers a handshake and the subscriptions; gives the connect that follows them or goes before.
pub(crate) async fn begin(server: &mut PollingServer, hold: u64) -> Request {
    let handshake = server.expect("/meta/handshake").await;
    let reply = shaken(&handshake, hold);
    handshake.answer_with(&[&format!("Set-Cookie: {COOKIE}; Path=/; HttpOnly")], &reply);
    let (one, two) = (server.next("a connect or subscriptions").await, server.next("the other").await);
    let (connect, subscriptions) = if one.channel() == "/meta/connect" { (one, two) } else { (two, one) };
    assert_eq!(subscriptions.channel(), "/meta/subscribe");
    assert_eq!(subscriptions.messages.len(), 2, "{subscriptions:?}");
    subscriptions.accept();
    assert_eq!((connect.channel(), connect.messages.len()), ("/meta/connect", 1));
    assert_eq!(connect.messages[0]["connectionType"], "long-polling");
    connect
}

async fn plug(guest: &Guest<'_>, card: u8) {
    let output = guest.command(&["hotplug", "--nic", &format!("00:11:22:33:44:{card:02x}")]).await;
    assert!(output.status.success(), "{output:?}");
}

fn addresses(request: &Request) -> Vec<&str> {
    request.messages.iter().filter_map(|message| message["data"]["attrs"]["address"].as_str()).collect()
}

#[tokio::test]
async fn both_flows_go_through_two_requests_at_a_time() {
    let sandbox = Sandbox::machine();
    let mut server = PollingServer::start().await;
    let guest = Launch::on(&sandbox).connect(&server.url()).start().await;
    let handshake = server.expect("/meta/handshake").await;
    assert_eq!(handshake.line(), "POST /cometd HTTP/1.1");
    assert!(handshake.header("content-type").starts_with("application/json"), "{handshake:?}");
    assert_eq!(handshake.header("host"), server.url().split('/').nth(2).unwrap());
    assert_eq!(handshake.messages.len(), 1);
    assert_eq!(handshake.messages[0]["supportedConnectionTypes"], json!(["long-polling"]));
    handshake.respond("503 Service Unavailable", &[], b"later");

    let connect = begin(&mut server, 5_000).await;
    // Publishes pass while the connect is held, and those that wait for one another share a request.
    plug(&guest, 1).await;
    let publish = server.next("the first hotplug").await;
    assert_eq!(addresses(&publish), ["00:11:22:33:44:01"]);
    plug(&guest, 2).await;
    plug(&guest, 3).await;
    publish.accept();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let request = server.next("the other hotplugs").await;
        seen.extend(addresses(&request).into_iter().map(ToOwned::to_owned));
        request.accept();
    }
    assert_eq!(seen, ["00:11:22:33:44:02", "00:11:22:33:44:03"]);

    // A push comes with the connect's answer; the next connect follows while the push is at work.
    let set = format!("/cloudinit/{INSTANCE}/config/set/network");
    let push = json!([{"channel": set, "id": "push", "data": card(0, 1400)}, connected(&connect)]);
    connect.answer(&push);
    let (mut held, mut finish) = (None, None);
    while held.is_none() || finish.is_none() {
        let request = server.next("a connect, a start and a finish").await;
        if request.channel() == "/meta/connect" {
            assert!(held.replace(request).is_none(), "one connect at a time");
            continue;
        }
        finish = request.messages.iter().find(|message| is_finish(message)).cloned().or(finish);
        request.accept();
    }
    let finish = finish.unwrap();
    assert_eq!((cause(&finish), result(&finish)), (Some("push"), "SUCCESS"), "{finish}");

    guest.terminate();
    let goodbye = server.expect("/meta/disconnect").await;
    goodbye.accept();
    guest.end().await;
    assert_eq!(server.most_at_once(), 2);
    drop(held);
}

#[tokio::test]
async fn what_died_on_its_way_comes_again_in_the_resumed_session() {
    let sandbox = Sandbox::machine();
    let mut server = PollingServer::start().await;
    let guest = Launch::on(&sandbox).connect(&server.url()).start().await;
    let connect = begin(&mut server, 5_000).await;
    plug(&guest, 1).await;
    let publish = server.next("the hotplug").await;
    let first = publish.messages[0].clone();
    assert_eq!(publish.header("cookie"), COOKIE);
    publish.cut();
    drop(connect);
    let resuming = server.expect("/meta/connect").await;
    assert_eq!(resuming.messages[0]["clientId"], "c1");
    assert_eq!(resuming.messages[0]["advice"]["timeout"], 0);
    assert_eq!(resuming.header("cookie"), COOKIE, "the server would not know the session without");
    let reply = json!([connected(&resuming)]);
    resuming.answer(&reply);
    let (one, two) = (server.next("the hotplug or a connect").await, server.next("the other").await);
    let (connect, publish) = if one.channel() == "/meta/connect" { (one, two) } else { (two, one) };
    assert_eq!(publish.messages, [first], "under the same id");
    publish.accept();
    assert!(sandbox.log().contains("resumed=true"), "{}", sandbox.log());

    // The server has forgotten the session.
    let gone = json!([{"channel": "/meta/connect", "id": connect.messages[0]["id"], "successful": false,
                       "error": "402::Unknown client", "advice": {"reconnect": "handshake", "interval": 0}}]);
    connect.answer(&gone);
    begin(&mut server, 5_000).await.cut();
    guest.crash().await;
}

#[tokio::test]
async fn connections_that_the_server_closes_between_requests_cost_nothing() {
    let sandbox = Sandbox::machine();
    let mut server = PollingServer::start().await;
    let guest = Launch::on(&sandbox).connect(&server.url()).start().await;
    let mut connect = begin(&mut server, 5_000).await;
    let mut connections = vec![connect.connection];
    for number in 1..4 {
        plug(&guest, number).await;
        let publish = server.next("a hotplug").await;
        assert_eq!(publish.messages.len(), 1);
        connections.push(publish.connection);
        let replies = json!([{"channel": publish.messages[0]["channel"], "id": publish.messages[0]["id"],
                              "successful": true}]);
        publish.answer_with(&["Connection: close"], &replies);
        let reply = json!([connected(&connect)]);
        connect.answer_with(&["Connection: close"], &reply);
        connect = server.expect("/meta/connect").await;
        connections.push(connect.connection);
    }
    let count = connections.len();
    connections.sort_unstable();
    connections.dedup();
    assert_eq!(connections.len(), count, "each request had a connection of its own");
    assert!(!sandbox.log().contains("link down"), "{}", sandbox.log());
    guest.crash().await;
}

#[tokio::test]
async fn the_first_endpoint_that_works_is_taken_whatever_it_speaks() {
    let sandbox = Sandbox::machine();
    let management = Management::start().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (mut lost, mut large, mut odd, silent) = (
        PollingServer::start().await,
        PollingServer::start().await,
        PollingServer::start().await,
        PollingServer::start().await,
    );
    let launch = Launch::on(&sandbox)
        .connect(&format!("http://{dead}/events"))
        .connect(&lost.url())
        .connect(&large.url())
        .connect(&odd.url())
        .connect(&silent.url())
        .connect(&management.url());
    let guest = launch.start().await;
    lost.expect("/meta/handshake").await.respond("404 Not Found", &[], b"no such page");
    large.expect("/meta/handshake").await.respond("200 OK", &[], &vec![b' '; 2 * 1024 * 1024]);
    odd.expect("/meta/handshake").await.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec());
    eventually("the link to be up", || {
        sandbox.log().contains(&format!("link up endpoint={}", management.url())).then_some(())
    })
    .await;
    let log = sandbox.log();
    for reason in
        ["refused", "404 Not Found", "larger than", "not answered", "no reply to a handshake in time"]
    {
        assert!(log.contains(reason), "{reason:?} is not in {log}");
    }
    management.guest_subscribed(1).await;
    management.push("network", "at-last", &card(0, 1400));
    assert_eq!(result(&management.finish("at-last").await), "SUCCESS");
    guest.stop().await;
}

/// Answers a handshake over WebSocket, and then says nothing ever.
async fn silent_socket(listener: TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let handshake = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let messages: Value = serde_json::from_str(&handshake).unwrap();
    let reply = json!([{"channel": "/meta/handshake", "id": messages[0]["id"], "successful": true, "clientId": "c1",
                        "version": "1.0", "advice": {"reconnect": "retry", "interval": 0, "timeout": 100}}]);
    socket.send(Message::text(reply.to_string())).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_for_the_next() {
    let over_polling = async {
        let sandbox = Sandbox::machine();
        let mut server = PollingServer::start().await;
        let management = Management::start().await;
        let guest = Launch::on(&sandbox).connect(&server.url()).connect(&management.url()).start().await;
        let held = begin(&mut server, 100).await;
        management.guest_subscribed(1).await;
        assert!(sandbox.log().contains("no reply to a connect in time"), "{}", sandbox.log());
        drop(held);
        guest.stop().await;
    };
    let over_websocket = async {
        let sandbox = Sandbox::machine();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/events", listener.local_addr().unwrap());
        let silent = tokio::spawn(silent_socket(listener));
        let management = Management::start().await;
        let guest = Launch::on(&sandbox).connect(&url).connect(&management.url()).start().await;
        management.guest_subscribed(1).await;
        assert!(sandbox.log().contains("no reply to a connect in time"), "{}", sandbox.log());
        within("the silent server to notice", silent).await.unwrap();
        guest.stop().await;
    };
    tokio::join!(over_polling, over_websocket);
}

#[tokio::test]
async fn commands_go_over_long_polling() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let cloud_channel_tests::stream::Address::Tcp(address) = guest.tcp() else { panic!("it listens on TCP") };
    let endpoint = format!("http://{address}/events");
    let mut subscriber = guest.join().await;
    subscriber.subscribe("/custom/**").await;
    for (command, more) in [
        ("status", vec![]),
        ("publish", vec!["/custom/cli", r#"{"x":1}"#]),
        ("get", vec!["network"]),
        ("hotplug", vec!["--nic", "00:11:22:33:44:01"]),
    ] {
        let mut arguments = vec![command];
        arguments.extend(more);
        arguments.extend(["--endpoint", endpoint.as_str()]);
        let output = guest.bare_command(&arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    subscriber.event("what the command published", |event| event["data"] == json!({"x": 1})).await;
    guest.stop().await;
}
