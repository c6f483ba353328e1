//! The key `renderer` of documents: in netplan's words, which stack sets links up.

use serde_json::Value;

use super::backend::{Backend, KEY, backend};
use super::device::Section;
use super::merge::devices;
use super::place::{Place, Reading};
use crate::Refusal;

/// The document with the `renderer` of a section as the `renderer` of each device in it that has none of its own, which
/// is what netplan means by it. So nobody else finds anything but devices in a section.
pub(crate) fn spread(document: &Value, place: &Place) -> Result<Value, Refusal> {
    let mut spread = document.clone();
    for section in Section::ALL.map(Section::key) {
        let Some(devices) = spread.get_mut(section).and_then(Value::as_object_mut) else { continue };
        // A map would be a device of that name.
        if devices.get(KEY).is_none_or(Value::is_object) {
            continue;
        }
        let Some(word) = devices.remove(KEY).filter(|word| !word.is_null()) else { continue };
        backend(&word, &place.key(section).key(KEY))?;
        for device in devices.values_mut().filter_map(Value::as_object_mut) {
            device.entry(KEY).or_insert_with(|| word.clone());
        }
    }
    Ok(spread)
}

/// Refuses a document that asks for another backend than the machine has: what is written would be ignored. `path` is how
/// faults name its top, `renderer` is what cloud-init calls the machine's.
pub(crate) fn check(document: &Value, path: &str, backend: Backend, renderer: &str) -> Result<(), Refusal> {
    let expected = backend.word();
    let place = Place::top(path, Reading::Push);
    let check = |asked: &Value, place: &Place| match asked.get(KEY).and_then(Value::as_str) {
        Some(word) if word != expected => {
            let refusal = place.key(KEY).refuse_text(word, format!("`{expected}`, or none"));
            Err(refusal.hint(format!("this machine is configured by {renderer}")))
        }
        _ => Ok(()),
    };
    check(document, &place)?;
    for section in Section::ALL.map(Section::key) {
        for (id, device) in devices(document, section).into_iter().flatten() {
            check(device, &place.key(section).key(id))?;
        }
    }
    Ok(())
}
