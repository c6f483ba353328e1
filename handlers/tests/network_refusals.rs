//! What the network module refuses, and what it says: where, what was given, what was expected, what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{ConfigModule, Held, Refusal, System, config_module};
use cloud_channel_protocol::Module;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

/// One row of `test_data/network/refusals.json`: a faulty payload and the refusal of it.
#[derive(Debug, Deserialize)]
struct Row {
    /// `form`: refused before acceptance. `whole`: refused when it is known what the push is merged into.
    found_by: String,
    payload: Value,
    path: String,
    given: Option<String>,
    /// A piece of what was expected.
    expected: String,
    /// A piece of what to do, if we know.
    hint: Option<String>,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../test_data/network/refusals.json")).unwrap()
}

fn raw(payload: &Value) -> Box<RawValue> {
    to_raw_value(payload).unwrap()
}

fn planned(payload: &Value) -> Result<(), Refusal> {
    let system = MemorySystem::sandbox();
    let plan = network().plan(&Held::nothing(), &raw(payload), &system).map(drop);
    assert!(system.files().is_empty(), "planning wrote files for {payload}");
    plan
}

fn checked(payload: &Value) -> Result<(), Refusal> {
    network().check(&raw(payload), &MemorySystem::sandbox())
}

fn assert_row(result: Result<(), Refusal>, row: &Row) {
    let refusal = result.expect_err(&format!("accepted: {row:?}"));
    assert_eq!(refusal.path(), row.path, "{row:?}");
    assert_eq!(refusal.given_value(), row.given.as_deref(), "{row:?}");
    assert!(refusal.expected().contains(&row.expected), "{row:?}: {refusal}");
    assert_eq!(refusal.hint_text().is_some(), row.hint.is_some(), "{row:?}: {refusal}");
    let hint = row.hint.as_deref().unwrap_or_default();
    assert!(refusal.hint_text().unwrap_or_default().contains(hint), "{row:?}: {refusal}");
}

/// A payload with one network card.
fn card(settings: &Value) -> Value {
    json!({"network": {"version": 2, "ethernets": {"e0": settings}}})
}

fn document(sections: &Value) -> Value {
    let mut document = json!({"version": 2});
    for (key, value) in sections.as_object().unwrap() {
        document[key] = value.clone();
    }
    json!({ "network": document })
}

#[test]
fn every_fault_is_refused_where_it_is() {
    let rows = rows();
    assert!(rows.len() > 60, "only {} rows", rows.len());
    for row in &rows {
        match row.found_by.as_str() {
            "form" => assert_row(checked(&row.payload), row),
            "whole" => assert_eq!(checked(&row.payload), Ok(()), "may be a part of what is held: {row:?}"),
            other => panic!("unknown kind of row: {other}"),
        }
        assert_row(planned(&row.payload), row);
    }
}

#[test]
fn a_key_twice_is_refused_and_not_lost() {
    let text =
        r#"{"network": {"version": 2, "ethernets": {"e0": {"dhcp4": true}, "e1": {}, "e0": {"mtu": 1400}}}}"#;
    let payload = RawValue::from_string(text.to_owned()).unwrap();
    for module in [Module::Network, Module::SetPasswords] {
        let refusal = config_module(module).check(&payload, &MemorySystem::sandbox()).unwrap_err();
        assert_eq!((refusal.path(), refusal.given_value()), ("network.ethernets.e0", Some("e0")));
        assert!(refusal.expected().contains("once"), "{refusal}");
    }
}

#[test]
fn a_key_twice_in_a_file_is_told_by_its_line() {
    let file = "network:\n  version: 2\n  ethernets:\n    e0: {mtu: 1400, mtu: 1500}\n";
    let refusal = network().check(&raw(&json!(file)), &MemorySystem::sandbox()).unwrap_err();
    let expected = "`network`: expected each key of a map once, got `one again at line 4 column 21`";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn an_empty_push_changes_nothing_also_where_there_is_no_config() {
    for push in [json!({}), json!({"network": {}}), json!({"ethernets": {}, "bonds": null})] {
        let plan = network().plan(&Held::nothing(), &raw(&push), &MemorySystem::sandbox()).unwrap();
        assert!(plan.is_empty(), "{push}: {plan:?}");
    }
}

#[test]
fn nulls_are_accepted_at_every_key() {
    let push = document(&json!({
        "renderer": null,
        "bonds": null,
        "ethernets": {"e0": null, "e1": {"match": null, "dhcp4": null, "nameservers": {"search": null}, "mtu": null}},
        "bridges": {"br0": {"parameters": {"path-cost": {"e1": null}}}},
    }));
    assert_eq!(checked(&push), Ok(()));
    assert_eq!(planned(&push), Ok(()));
}

#[test]
fn devices_are_limited() {
    let devices = |count: usize| -> Value {
        let devices: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("e{n}"), json!({}))).collect();
        document(&json!({ "ethernets": devices }))
    };
    assert_eq!(planned(&devices(1024)), Ok(()));
    let refusal = planned(&devices(1025)).unwrap_err();
    assert_eq!((refusal.path(), refusal.given_value()), ("network.ethernets", Some("1025 devices")));
}

#[test]
fn keys_of_a_wireless_network_are_shown_nowhere() {
    let existing =
        "network:\n  version: 2\n  wifis:\n    w0:\n      access-points: {home: {password: hunter2}}\n";
    let system = MemorySystem::sandbox().with_file("/etc/netplan/50-cloud-init.yaml", existing);
    let plan = network().plan(&Held::nothing(), &raw(&card(&json!({"dhcp4": true}))), &system).unwrap();
    let change = plan.file_changes().next().unwrap();
    assert!(String::from_utf8_lossy(&change.after.as_ref().unwrap().content).contains("hunter2"));
    let shown = format!("{plan:?}{}{}", plan.to_json(), network().describe(&plan.held, &system));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!system.is_sandbox() || system.effects() == 0);
}
