//! Subscribing and unsubscribing.

use serde_json::{Value, json};

use super::super::Output;
use super::{Driver, NOTHING, assert_success, data, error, subscribe};

fn unsubscribe(client: &str, subscription: &Value) -> Value {
    json!({"channel": "/meta/unsubscribe", "clientId": client, "subscription": subscription, "id": "u"})
}

#[test]
fn one_or_an_array_and_the_reply_repeats_it() {
    for subscription in [json!("/a"), json!(["/a", "/b/*", "/a"]), json!([]), json!("/**")] {
        let mut driver = Driver::new();
        let client = driver.begin(1, &json!({}));
        let reply = driver.ask_one(1, &subscribe(&client, &subscription));
        let mut expected = json!({"channel": "/meta/subscribe", "id": "s", "successful": true});
        expected["subscription"] = subscription.clone();
        assert_eq!(reply, expected);
        let reply = driver.ask_one(1, &unsubscribe(&client, &subscription));
        expected["channel"] = json!("/meta/unsubscribe");
        expected["id"] = json!("u");
        assert_eq!(reply, expected);
        driver.publish("/a", 1);
        assert_eq!(driver.take(1), NOTHING);
    }
}

#[test]
fn refused_ones_say_why_and_change_nothing() {
    let cases = [
        (json!("/private"), "403:/private:Subscribing here is not allowed"),
        (json!("/meta/connect"), "403:/meta/connect:Meta channels cannot be subscribed to"),
        (json!("/meta/*"), "403:/meta/*:Meta channels cannot be subscribed to"),
        (json!("/meta/**"), "403:/meta/**:Meta channels cannot be subscribed to"),
        (json!("/meta"), "403:/meta:Meta channels cannot be subscribed to"),
        (json!("a"), "405:a:Invalid channel"),
        (json!("/a/"), "405:/a/:Invalid channel"),
        (json!("/*/a"), "405:/*/a:Invalid channel"),
        (json!("/a*"), "405:/a*:Invalid channel"),
        (json!(""), "405::Invalid channel"),
        (json!(7), "400:subscription:expected a channel or an array of channels, got a number"),
        (json!(null), "400:subscription:expected a channel or an array of channels, got null"),
        (json!({"a": 1}), "400:subscription:expected a channel or an array of channels, got an object"),
    ];
    for (refused, expected) in cases {
        for subscription in [refused.clone(), json!(["/a", refused, "/b"])] {
            let mut driver = Driver::new();
            let client = driver.begin(1, &json!({}));
            let reply = driver.ask_one(1, &subscribe(&client, &subscription));
            // An array with something else in it is told as a whole.
            let expected =
                if refused.is_string() || subscription == refused { expected } else { "400:subscription:" };
            assert!(error(&reply).starts_with(expected), "{subscription}: {reply}");
            assert_eq!(reply["subscription"], subscription);
            assert_eq!(reply["id"], "s");
            driver.publish("/a", 1);
            driver.publish("/b", 2);
            assert_eq!(driver.take(1), NOTHING, "all or nothing: {subscription}");
        }
    }
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    for channel in ["/meta/subscribe", "/meta/unsubscribe"] {
        let reply = driver.ask_one(1, &json!({"channel": channel, "clientId": client}));
        assert_eq!(error(&reply), "400:subscription:Missing required field");
    }
}

#[test]
fn service_channels_are_accepted_and_recorded_nowhere() {
    let mut driver = Driver::with(|config| config.limits.subscriptions_per_session = 1);
    let client = driver.begin(1, &json!({}));
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!(["/service/a", "/service/**", "/a"]))));
    driver.publish("/service/a", 1);
    driver.publish("/a", 2);
    assert_eq!(data(&driver.take(1)), [2]);
}

#[test]
fn the_number_of_subscriptions_is_limited() {
    let mut driver = Driver::with(|config| config.limits.subscriptions_per_session = 2);
    let client = driver.begin(1, &json!({}));
    let reply = driver.ask_one(1, &subscribe(&client, &json!(["/a", "/b", "/c"])));
    assert_eq!(error(&reply), "403::Too many subscriptions, the limit is 2 a session");
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!(["/a", "/a", "/b"]))));
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!(["/b", "/a"]))));
    assert!(error(&driver.ask_one(1, &subscribe(&client, &json!("/c")))).starts_with("403:"));
    assert_success(&driver.ask_one(1, &unsubscribe(&client, &json!("/a"))));
    assert_success(&driver.ask_one(1, &subscribe(&client, &json!("/c"))));
}

#[test]
fn a_subscription_is_told_with_what_there_was() {
    let mut driver = Driver::new();
    let client = driver.begin(1, &json!({}));
    driver.outputs.clear();
    for subscription in [json!(["/a", "/service/x", "/b/*"]), json!("/a"), json!(["/a", "/c"])] {
        assert_success(&driver.ask_one(1, &subscribe(&client, &subscription)));
    }
    let told: Vec<(String, String)> = driver
        .outputs
        .iter()
        .map(|output| match output {
            Output::Subscribed { added, had, .. } => (format!("{added:?}"), format!("{had:?}")),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("[/a, /b/*]", "[]"), ("[/c]", "[/a, /b/*]")];
    assert_eq!(told, expected.map(|(added, had)| (added.to_owned(), had.to_owned())));
}

#[test]
fn unsubscribing_takes_exactly_what_it_names() {
    let mut driver = Driver::new();
    let client = driver.ready(1, &json!({}), &json!(["/a/b", "/a/*", "/c"]));
    assert_success(&driver.ask_one(1, &unsubscribe(&client, &json!(["/a/b", "/never", "/c"]))));
    for channel in ["/a/b", "/c"] {
        driver.publish(channel, 1);
    }
    assert_eq!(data(&driver.take(1)), [1], "still by /a/*");
    assert_success(&driver.ask_one(1, &unsubscribe(&client, &json!("/a/*"))));
    driver.publish("/a/b", 2);
    assert_eq!(driver.take(1), NOTHING);
    let reply = driver.ask_one(1, &unsubscribe(&client, &json!("/a//b")));
    assert!(error(&reply).starts_with("405:/a//b:"), "{reply}");
    assert_eq!(reply["subscription"], "/a//b");
}
