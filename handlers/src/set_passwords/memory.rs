//! What was pushed before, so that the same push changes nothing the second time, and yet nothing here helps
//! anybody to find a password.
//!
//! The same push must plan nothing even after the user has chosen a password of his own, so the shadow file
//! cannot answer whether it is the same. What is remembered of each kind:
//!
//! * **hash**: SHA-256 over a salt and the hash. A hash is no secret that can be guessed, for its own salt is in it.
//! * **text**: a yescrypt hash of its own, as costly to attack as the shadow file. A quick digest, or one keyed by a
//!   key kept beside it, would be the weakest copy of the password on the machine.
//! * **RANDOM**: nothing. The password is shown once and kept nowhere.

use std::collections::BTreeMap;
use std::io;

use cloud_channel_protocol::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::crypt::{Method, is_hash_of};
use super::payload::{Entry, Password};
use crate::{Held, System};

/// The last push for each user.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    users: BTreeMap<String, Record>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    expire: bool,
    #[serde(flatten)]
    digest: Digest,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "digest")]
enum Digest {
    #[serde(rename = "hash")]
    Hash(String),
    #[serde(rename = "text")]
    Text(String),
    #[serde(rename = "RANDOM")]
    Random,
}

impl Memory {
    /// What the module held. A document that is not ours counts as none: the worst is that a push is applied again.
    pub(super) fn of(held: &Held) -> Self {
        held.as_document().and_then(|document| Self::deserialize(document).ok()).unwrap_or_default()
    }

    /// The document to hold.
    pub(super) fn held(&self) -> Held {
        Held::document(serde_json::to_value(self).expect("names, words and texts are JSON"))
    }

    /// The users that were pushed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// True if the last push for this user was the same.
    pub(super) fn knows(&self, entry: &Entry, expire: bool) -> bool {
        let Some(record) = self.users.get(entry.name.as_str()) else { return false };
        record.expire == expire
            && match (&record.digest, &entry.password) {
                (Digest::Hash(digest), Password::Hash(hash)) => {
                    digest.split_once('$').is_some_and(|(salt, _)| *digest == salted(salt, hash.expose()))
                }
                (Digest::Text(digest), Password::Text(text)) => is_hash_of(digest, text) == Some(true),
                (Digest::Random, Password::Random) => true,
                _ => false,
            }
    }

    /// Remembers a push.
    pub(super) fn learn(&mut self, entry: &Entry, expire: bool, system: &dyn System) -> io::Result<()> {
        let digest = match &entry.password {
            Password::Hash(hash) => {
                let mut salt = [0; 16];
                system.random(&mut salt)?;
                Digest::Hash(salted(&hex::write(&salt), hash.expose()))
            }
            Password::Text(text) => Digest::Text(Method::Yescrypt.hash(text, system)?.expose().to_owned()),
            Password::Random => Digest::Random,
        };
        self.users.insert(entry.name.to_string(), Record { expire, digest });
        Ok(())
    }
}

fn salted(salt: &str, hash: &str) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update("$").chain_update(hash).finalize();
    format!("{salt}${}", hex::write(&digest))
}
