//! Keys of the tables: typed towards us, bytes towards the store, in the same order.
//!
//! The store's code is compiled once for each pair of key and value types. Bytes alone keep it to one.

use std::fmt::Debug;
use std::marker::PhantomData;

use redb::TableDefinition;

use super::fault::Fault;

/// A table as the store has it.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// A table and what its keys are.
pub(super) struct Table<K> {
    name: &'static str,
    keys: PhantomData<K>,
}

impl<K: Keys> Table<K> {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, keys: PhantomData }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn definition(&self) -> Definition {
        TableDefinition::new(self.name)
    }
}

/// A kind of keys.
pub(super) trait Keys {
    /// What we know them as.
    type Key<'k>: Copy + Debug;

    /// As bytes. They are in the order of the keys.
    fn encode(key: Self::Key<'_>) -> Vec<u8>;
}

/// Keys that are numbers.
pub(super) enum Number {}
/// Keys that are names.
pub(super) enum Name {}
/// A module and a message of it.
pub(super) enum Message {}
/// A module and a push of it.
pub(super) enum Place {}

impl Keys for Number {
    type Key<'k> = u64;

    fn encode(key: u64) -> Vec<u8> {
        key.to_be_bytes().to_vec()
    }
}

impl Keys for Name {
    type Key<'k> = &'k str;

    fn encode(key: &str) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

impl Keys for Message {
    type Key<'k> = (&'k str, &'k [u8]);

    fn encode((module, message): (&str, &[u8])) -> Vec<u8> {
        within(module, message)
    }
}

impl Keys for Place {
    type Key<'k> = (&'k str, u64);

    fn encode((module, arrival): (&str, u64)) -> Vec<u8> {
        within(module, &arrival.to_be_bytes())
    }
}

/// No module's name has a NUL, so none is the beginning of another's keys.
fn within(module: &str, key: &[u8]) -> Vec<u8> {
    [module.as_bytes(), &[0], key].concat()
}

/// The number at a key's end.
pub(super) fn number(table: &str, key: &[u8]) -> Result<u64, Fault> {
    let bytes = key.last_chunk().ok_or_else(|| Fault::unreadable(table, &key))?;
    Ok(u64::from_be_bytes(*bytes))
}

/// The name that a key is.
pub(super) fn name<'k>(table: &str, key: &'k [u8]) -> Result<&'k str, Fault> {
    std::str::from_utf8(key).map_err(|_| Fault::unreadable(table, &key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_the_order_of_the_keys() {
        let numbers = [0, 1, 255, 256, 65_536, u64::MAX].map(Number::encode);
        assert!(numbers.is_sorted());
        let places = [("a", 0), ("a", 256), ("a", u64::MAX), ("a-b", 0), ("ab", 1)].map(Place::encode);
        assert!(places.is_sorted());
    }

    #[test]
    fn numbers_and_names_are_read_back() {
        assert_eq!(number("t", &Number::encode(258)).unwrap(), 258);
        assert_eq!(number("t", &Place::encode(("network", 258))).unwrap(), 258);
        assert_eq!(name("t", &Name::encode("network")).unwrap(), "network");
        assert!(number("t", &[0; 7]).is_err() && name("t", b"\xff").is_err());
    }
}
