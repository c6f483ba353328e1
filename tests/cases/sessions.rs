//! Sessions outlive their streams: what comes meanwhile is there afterwards, and what was acknowledged is not told twice.

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::message::{assert_accepted, assert_refused, finishes, result, seq};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::Address;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::payloads::card;

#[tokio::test]
async fn a_lost_stream_is_replaced_and_nothing_is_missed() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut peer = guest.follow().await;
    peer.push_through("network", "before", card(0, 1400)).await;
    let client = peer.client().to_owned();
    // Without a close frame, as when a machine goes away.
    drop(peer);
    let mut other = guest.join().await;
    other.subscribe("/custom/**").await;
    let reply = other.push("network", "meanwhile", card(1, 1400)).await;
    assert_accepted(&reply);
    other
        .status_when("the push to be done", |status| status["modules"]["network"]["results"]["success"] == 2)
        .await;

    let mut peer = Peer::resume(&guest.unix(), &client).await;
    let finish = peer.finish("meanwhile").await;
    assert_eq!(result(&finish), "SUCCESS");
    assert!(!peer.events().iter().any(|event| finishes(event, "before")), "told twice: {:?}", peer.events());
    // Another kind of stream is another party: the id alone is worth nothing there.
    let mut thief = Peer::resume(&guest.tcp(), &client).await;
    let reply = thief.reply("the thief's refusal", |reply| reply["channel"] == "/meta/connect").await;
    assert_refused(&reply, &["402::"]);
    peer.status().await;
    guest.stop().await;
}

#[tokio::test]
async fn a_session_moves_to_a_newer_stream() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut former = guest.follow().await;
    let mut newer = Peer::resume(&guest.unix(), former.client()).await;
    newer.status().await;
    let (code, reason) = former.close().await;
    assert!(code == 1000 && reason.contains("another connection"), "{code} {reason}");
    newer.push_through("network", "pushed", card(0, 1400)).await;
    guest.stop().await;
}

#[tokio::test]
async fn what_is_not_acknowledged_is_told_again() {
    let sandbox = Sandbox::machine();
    let guest = Launch::on(&sandbox).start().await;
    let mut peer = Peer::open(&guest.unix()).await;
    let hello = json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"],
                       "ext": {"ack": true}});
    let reply = peer.request(hello).await;
    assert_eq!(reply["ext"]["ack"], true, "{reply}");
    let client = reply["clientId"].clone();
    let connect = |batch: &Value, timeout: u64| {
        json!({"channel": "/meta/connect", "clientId": client, "connectionType": "websocket",
               "advice": {"timeout": timeout}, "ext": {"ack": batch}})
    };
    let reply = peer.request(connect(&json!(0), 0)).await;
    let subscribe =
        json!({"channel": "/meta/subscribe", "clientId": client, "subscription": "/cloudinit/**"});
    assert_accepted(&peer.request(subscribe).await);
    let mut batch = reply["ext"]["ack"].clone();
    let mut pusher = guest.join().await;
    assert_accepted(&pusher.push("network", "pushed", card(0, 1400)).await);
    // A start and a finish, recorded and on their way.
    pusher.waiting(2).await;

    // Asked again with the old batch, as if the first answer had been lost: the same events come again.
    let numbers = |peer: &Peer| peer.events().iter().filter_map(seq).collect::<Vec<u64>>();
    peer.request(connect(&batch, 0)).await;
    let once = numbers(&peer);
    assert_eq!(once.len(), 2, "a start and a finish: {:?}", peer.events());
    let mut peer = Peer::open(&guest.unix()).await;
    batch = peer.request(connect(&batch, 0)).await["ext"]["ack"].clone();
    assert_eq!(numbers(&peer), once, "again, under the same numbers");
    // Acknowledged: they come no more, and wait for nobody.
    peer.request(connect(&batch, 0)).await;
    assert_eq!(numbers(&peer), once);
    pusher.waiting(0).await;
    guest.stop().await;
}

/// A peer with another address of the loopback.
async fn neighbour(address: &Address) -> Peer {
    let Address::Tcp(address) = address else { panic!("not TCP: {address:?}") };
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    Peer::over(Box::new(socket.connect(address.parse().unwrap()).await.unwrap()), &[]).await
}

#[tokio::test]
async fn one_peer_cannot_take_all_sessions() {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/config.yaml", "limits: {sessions: 20, sessions-per-peer: 3}\n");
    let guest = Launch::on(&sandbox).dev().tcp().start().await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(Peer::join(&guest.tcp()).await);
    }
    let mut further = Peer::open(&guest.tcp()).await;
    let reply = further.handshake().await;
    assert_refused(&reply, &["503::", "of one peer", "the limit is 3"]);
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");

    assert_accepted(&neighbour(&guest.tcp()).await.handshake().await);
    let mut local = guest.join().await;
    let status = local.status().await;
    assert_eq!((&status["sessions"], &status["messages"]["refused"]), (&json!(5), &json!(1)), "{status}");
    taken.remove(0).leave().await;
    assert_accepted(&further.handshake().await);
    assert_refused(&Peer::open(&guest.tcp()).await.handshake().await, &["503::", "of one peer"]);
    guest.stop().await;
}
