//! The key `renderer` of documents: in netplan's words, which stack sets links up.

use serde_json::Value;

use super::device::Section;
use super::merge::devices;
use super::place::{Place, Reading};
use super::renderer::Renderer;
use crate::Refusal;

/// Every word there is.
pub(super) const WORDS: &[&str] = &["networkd", "NetworkManager"];

/// Refuses a document that asks for another stack than the machine has: what is written would be ignored. `path` is how
/// faults name its top.
pub(super) fn check(document: &Value, path: &str, renderer: &dyn Renderer) -> Result<(), Refusal> {
    let expected = if renderer.name() == "network-manager" { "NetworkManager" } else { "networkd" };
    let place = Place::top(path, Reading::Push);
    let check = |asked: &Value, place: &Place| match asked.get("renderer").and_then(Value::as_str) {
        Some(word) if word != expected => {
            let refusal = place.key("renderer").refuse_text(word, format!("`{expected}`, or none"));
            Err(refusal.hint(format!("this machine is configured by {}", renderer.name())))
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
