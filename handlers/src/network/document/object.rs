//! A map that is being read: it knows which keys were asked for, so that what is left over can be refused.

use serde_json::{Map, Value};

use super::place::{Place, Reading};
use crate::Refusal;
use crate::nearest::nearest;

/// A map of the document, read key by key.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    map: &'a Map<String, Value>,
    place: Place,
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Opens the map at a place.
    pub(crate) fn open(value: &'a Value, place: &Place) -> Result<Self, Refusal> {
        match value {
            Value::Object(map) => Ok(Self { map, place: place.clone(), known: Vec::new() }),
            other => Err(place.refuse(other, "a map")),
        }
    }

    /// Where the map is.
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Reads a key, if it is there. `null` means: not there.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a Value, &Place) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        // Nothing is refused for being unknown where everything may stay.
        if self.place.reading() == Reading::Push {
            self.known.push(key);
        }
        match entry(self.map, key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => parse(value, &self.place.key(key)).map(Some),
        }
    }

    /// Reads a list; empty if it is not there.
    pub(crate) fn read_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&'a Value, &Place) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let items = self.read(key, |value, place| super::value::list(value, place, parse))?;
        Ok(items.unwrap_or_default())
    }

    /// Reads a nested map, whose values have defaults.
    pub(crate) fn read_map<T: Default>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let read = self.read(key, |value, place| {
            let mut object = Object::open(value, place)?;
            let parsed = parse(&mut object)?;
            object.finish()?;
            Ok(parsed)
        })?;
        Ok(read.unwrap_or_default())
    }

    /// In a push, refuses keys that the format has and that are not served, each with the reason. In a file that was
    /// there before us they stay as they are.
    pub(crate) fn refuse_unserved(&self, keys: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        if self.place.reading() == Reading::Whole {
            return Ok(());
        }
        let given = keys.iter().find(|(key, _)| entry(self.map, key).is_some_and(|value| !value.is_null()));
        given.map_or(Ok(()), |(key, why)| {
            let refusal = self.place.key(key).refuse_text(key, "no such key: it is not supported");
            Err(refusal.hint(*why))
        })
    }

    /// Ends the reading: in a push, a key that nobody asked for is refused.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        if self.place.reading() == Reading::Whole {
            return Ok(());
        }
        match self.map.keys().find(|key| !self.known.contains(&key.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(unknown_key(&self.place, unknown, &self.known)),
        }
    }
}

/// The value of a key. A device has a handful of keys and is asked for some forty: to look at all it has is less work than
/// to hash each of those.
fn entry<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    const HANDFUL: usize = 8;
    if map.len() > HANDFUL {
        return map.get(key);
    }
    map.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
}

/// A fault: this key is not one of those that may be here.
pub(crate) fn unknown_key(place: &Place, unknown: &str, known: &[&'static str]) -> Refusal {
    let refusal = place.key(unknown).refuse_text(unknown, format!("one of {}", known.join(", ")));
    match nearest(unknown, known) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal,
    }
}
