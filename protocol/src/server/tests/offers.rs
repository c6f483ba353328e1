//! Publishes that a local session accepts or refuses: the reply waits for its verdict.

use serde_json::{Value, json};

use super::super::{Input, LocalId, OfferId, Output};
use super::{Driver, NOTHING, assert_success, channels, connect, error, publish};
use crate::error::{BayeuxError, ErrorCode};

const SET: &str = "/cloudinit/i/config/set/network";

fn with_acceptor() -> Driver {
    let mut driver = Driver::new();
    driver.attach(1, &["/cloudinit/i/config/**"], &["/**"]);
    driver.attach(2, &["/cloudinit/**"], &[]);
    driver
}

/// The offers so far, taken out, and who was asked.
fn offers(driver: &mut Driver) -> Vec<(OfferId, LocalId)> {
    let of = |output: &Output| match output {
        Output::Offer { offer, to, .. } => Some((*offer, *to)),
        _ => None,
    };
    let offers = driver.outputs.iter().filter_map(of).collect();
    driver.outputs.retain(|output| of(output).is_none());
    offers
}

fn settle(driver: &mut Driver, offer: OfferId, verdict: Result<(), BayeuxError>) {
    driver.input(Input::Settled { offer, verdict });
}

#[test]
fn the_reply_waits_for_the_verdict_and_the_rest_of_the_batch_does_not() {
    let mut driver = with_acceptor();
    let client = driver.begin(1, &json!({}));
    driver.outputs.clear();
    let batch = json!([
        publish(&client, "/a", &json!(1)),
        publish(&client, SET, &json!({"secret": 1})),
        connect(&client),
        publish(&client, "/b", &json!(1)),
    ]);
    assert_eq!(channels(&driver.ask(1, &batch)), ["/a", "/meta/connect", "/b"]);
    let delivered = driver.outputs.iter().filter(|output| matches!(output, Output::Deliver { .. })).count();
    assert_eq!(delivered, 2, "what is offered is not delivered besides: {:?}", driver.outputs);
    let found = offers(&mut driver);
    assert_eq!(found.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [LocalId(1)], "the first that accepts");
    settle(&mut driver, found[0].0, Ok(()));
    assert_eq!(driver.take(1), [json!({"channel": SET, "id": "p", "successful": true})]);
    settle(&mut driver, found[0].0, Ok(()));
    assert_eq!(driver.take(1), NOTHING, "one verdict, one reply");
}

#[test]
fn an_offer_has_the_publisher_and_the_message() {
    let mut driver = with_acceptor();
    let client = driver.begin(1, &json!({"user": "admin"}));
    driver.outputs.clear();
    let mut message = publish(&client, SET, &json!({"secret": 1}));
    message["ext"] = json!({"cloudinit": {"generation": 3}});
    driver.send(1, &message);
    let Some(Output::Offer { sender, publication, .. }) = driver.outputs.pop() else { panic!("no offer") };
    assert_eq!(sender.principal.as_str(), "admin");
    assert_eq!(sender.client.map(|client| client.reveal()), Some(client));
    assert_eq!(publication.channel.as_str(), SET);
    assert_eq!(publication.id.unwrap().text(), "p");
    assert_eq!(publication.data.get(), r#"{"secret":1}"#);
    assert_eq!(publication.ext.unwrap().get(), r#"{"cloudinit":{"generation":3}}"#);
}

#[test]
fn offers_go_to_nobody_else() {
    let mut driver = with_acceptor();
    driver.ready(2, &json!({"user": "admin"}), &json!(["/**", SET]));
    let client = driver.begin(1, &json!({}));
    driver.send(1, &publish(&client, SET, &json!(1)));
    let (offer, _) = offers(&mut driver)[0];
    settle(&mut driver, offer, Ok(()));
    assert_eq!(driver.take(1).len(), 1);
    assert_eq!(driver.take(2), NOTHING);
}

#[test]
fn a_refusal_is_what_the_publisher_reads() {
    let mut driver = with_acceptor();
    let client = driver.begin(1, &json!({}));
    driver.send(1, &publish(&client, SET, &json!(1)));
    let (offer, _) = offers(&mut driver)[0];
    let refusal = BayeuxError::new(ErrorCode::Conflict, "generation", "expected more than 7, got 3");
    settle(&mut driver, offer, Err(refusal));
    let reply = driver.take(1).remove(0);
    assert_eq!(error(&reply), "409:generation:expected more than 7, got 3");
    assert_eq!((&reply["channel"], &reply["id"]), (&json!(SET), &json!("p")));
}

#[test]
fn verdicts_may_come_in_any_order() {
    let mut driver = with_acceptor();
    let client = driver.begin(1, &json!({}));
    for id in 0..3 {
        let mut message = publish(&client, SET, &json!(id));
        message["id"] = json!(id);
        driver.send(1, &message);
    }
    let found = offers(&mut driver);
    for (offer, _) in found.into_iter().rev() {
        settle(&mut driver, offer, Ok(()));
    }
    let ids: Vec<Value> = driver.take(1).iter().map(|reply| reply["id"].clone()).collect();
    assert_eq!(ids, [json!(2), json!(1), json!(0)]);
}

#[test]
fn a_verdict_for_a_stream_that_is_gone_goes_nowhere() {
    let mut driver = with_acceptor();
    let client = driver.begin(1, &json!({}));
    driver.send(1, &publish(&client, SET, &json!(1)));
    let (offer, _) = offers(&mut driver)[0];
    driver.cut(1);
    settle(&mut driver, offer, Ok(()));
    settle(&mut driver, OfferId(999), Ok(()));
    driver.open(2);
    assert_success(&driver.ask_one(2, &connect(&client)));
}

#[test]
fn pending_offers_are_limited() {
    let mut driver = with_acceptor();
    driver.server.config.limits.pending_offers = 2;
    let client = driver.begin(1, &json!({}));
    driver.send(1, &json!([publish(&client, SET, &json!(1)), publish(&client, SET, &json!(2))]));
    assert_eq!(driver.take(1), NOTHING);
    let reply = driver.ask_one(1, &publish(&client, SET, &json!(3)));
    assert!(error(&reply).starts_with("503::"), "{reply}");
    let (offer, _) = offers(&mut driver)[0];
    settle(&mut driver, offer, Ok(()));
    driver.take(1);
    assert_eq!(driver.ask(1, &publish(&client, SET, &json!(4))), NOTHING);
    assert_eq!(offers(&mut driver).len(), 1);
}

#[test]
fn what_may_not_be_published_is_not_offered() {
    let mut driver = Driver::new();
    driver.attach(1, &["/**"], &[]);
    let client = driver.begin(1, &json!({}));
    driver.outputs.clear();
    assert!(error(&driver.ask_one(1, &publish(&client, "/readonly", &json!(1)))).starts_with("403:"));
    assert!(error(&driver.ask_one(1, &publish(&client, "/meta/x", &json!(1)))).starts_with("403:"));
    assert!(error(&driver.ask_one(1, &json!({"channel": "/a", "clientId": client}))).starts_with("400:"));
    assert_eq!(offers(&mut driver), []);
    driver.send(1, &publish(&client, "/service/x", &json!(1)));
    assert_eq!(offers(&mut driver).len(), 1, "a service may accept");
}
