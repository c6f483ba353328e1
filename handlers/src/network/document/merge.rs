//! Merging a push into a document: maps by key, everything else is replaced, `null` removes.
//!
//! Pure, and blind to what keys mean, except that a device is a device even if nothing is said of it (a
//! bond's member is often `{}`), while any other map that became empty says nothing and goes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Depth of a device in a document: the document is 0, a section 1.
const DEVICE: usize = 2;

/// The document with the push merged in, in canonical order.
pub(crate) fn merge(base: &Value, push: &Value) -> Value {
    let mut merged = base.clone();
    merge_into(&mut merged, push);
    into_canonical(merged)
}

/// The document with its keys sorted and its empty maps gone: equal documents have equal text.
pub(crate) fn canonical(document: &Value) -> Value {
    into_canonical(document.clone())
}

fn into_canonical(mut document: Value) -> Value {
    if tidy(&mut document, 0) { document } else { Value::Object(Map::new()) }
}

/// The ids of the devices that differ between two documents.
pub(crate) fn changed_devices(old: &Value, new: &Value) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    for section in super::device::Section::ALL {
        let (old, new) = (devices(old, section.key()), devices(new, section.key()));
        let ids = old.into_iter().chain(new).flat_map(Map::keys);
        for id in ids {
            let same = old.and_then(|old| old.get(id)) == new.and_then(|new| new.get(id));
            if !same {
                changed.insert(id.clone());
            }
        }
    }
    changed
}

/// The devices of a section.
pub(crate) fn devices<'a>(document: &'a Value, section: &str) -> Option<&'a Map<String, Value>> {
    document.get(section)?.as_object()
}

fn merge_into(base: &mut Value, push: &Value) {
    let Value::Object(push) = push else {
        *base = push.clone();
        return;
    };
    if !base.is_object() {
        *base = Value::Object(Map::new());
    }
    let Value::Object(base) = base else { return };
    for (key, value) in push {
        if value.is_null() {
            base.remove(key);
        } else {
            merge_into(base.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// False if nothing is left of it.
fn tidy(value: &mut Value, depth: usize) -> bool {
    let Value::Object(map) = value else { return !value.is_null() };
    map.retain(|key, value| {
        if tidy(value, depth + 1) {
            return true;
        }
        // A `match` without conditions is a mistake that must be seen, not one that goes away.
        let stays = key == "match";
        if stays {
            *value = Value::Object(Map::new());
        }
        stays
    });
    if !map.keys().is_sorted() {
        map.sort_keys();
    }
    !map.is_empty() || depth == DEVICE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A value of a device's key, with or without `null`s.
    fn setting(nulls: bool) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            4 => any::<bool>().prop_map(Value::from),
            4 => (0_u32..5).prop_map(Value::from),
            2 => proptest::collection::vec((0_u32..3).prop_map(Value::from), 0..3).prop_map(Value::from),
            (if nulls { 3 } else { 0 }) => Just(Value::Null),
        ];
        let map = proptest::collection::btree_map("[ab]", leaf.clone(), 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        prop_oneof![3 => leaf, 1 => map]
    }

    fn document(ids: &'static str, nulls: bool) -> impl Strategy<Value = Value> {
        let settings = proptest::collection::btree_map("[a-e]", setting(nulls), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        let device = prop_oneof![
            6 => settings,
            (if nulls { 1 } else { 0 }) => Just(Value::Null),
        ];
        let section = proptest::collection::btree_map(ids, device, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        proptest::collection::btree_map("ethernets|bonds", section, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn an_empty_push_changes_nothing(base in document("x[0-3]", false)) {
            let base = canonical(&base);
            prop_assert_eq!(merge(&base, &json!({})), base);
        }

        #[test]
        fn a_push_twice_is_a_push_once(base in document("x[0-3]", false), push in document("x[0-3]", true)) {
            let once = merge(&base, &push);
            let twice = merge(&once, &push);
            prop_assert_eq!(changed_devices(&once, &twice), BTreeSet::new());
            prop_assert_eq!(twice, once);
        }

        #[test]
        fn pushes_to_different_devices_commute(
            base in document("[xy][0-3]", false),
            left in document("x[0-3]", true),
            right in document("y[0-3]", true),
        ) {
            prop_assert_eq!(merge(&merge(&base, &left), &right), merge(&merge(&base, &right), &left));
        }

        #[test]
        fn what_is_pushed_is_there(base in document("x[0-3]", false), push in document("x[0-3]", false)) {
            let merged = merge(&base, &push);
            for (section, devices) in push.as_object().unwrap() {
                for (id, settings) in devices.as_object().unwrap() {
                    for (key, value) in settings.as_object().unwrap().iter().filter(|(_, v)| !v.is_object()) {
                        prop_assert_eq!(&merged[section][id][key], value);
                    }
                }
            }
        }
    }

    #[test]
    fn null_removes_and_empty_maps_go_but_devices_stay() {
        let base =
            json!({"version": 2, "ethernets": {"e0": {"mtu": 1400, "nameservers": {"search": ["a"]}}}});
        let merged =
            merge(&base, &json!({"ethernets": {"e0": {"mtu": null, "nameservers": {"search": null}}}}));
        assert_eq!(merged, json!({"version": 2, "ethernets": {"e0": {}}}));
        assert_eq!(merge(&merged, &json!({"ethernets": {"e0": null}})), json!({"version": 2}));
    }

    #[test]
    fn lists_and_scalars_are_replaced() {
        let base = json!({"ethernets": {"e0": {"addresses": ["192.0.2.1/24", "192.0.2.2/24"], "mtu": 1400}}});
        let push = json!({"ethernets": {"e0": {"addresses": ["192.0.2.3/24"]}}});
        let expected = json!({"ethernets": {"e0": {"addresses": ["192.0.2.3/24"], "mtu": 1400}}});
        assert_eq!(merge(&base, &push), expected);
    }

    #[test]
    fn both_sides_of_a_change_are_seen() {
        let old = json!({"ethernets": {"e0": {}, "e1": {"mtu": 1400}, "e2": {}}});
        let new = json!({"ethernets": {"e1": {"mtu": 1500}, "e2": {}}, "bridges": {"br0": {}}});
        assert_eq!(changed_devices(&old, &new), ["br0", "e0", "e1"].map(str::to_owned).into());
    }
}
