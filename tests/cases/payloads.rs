//! What tests push, and what must never be seen again of it.

use serde_json::{Value, json};

/// A SHA-512 hash that crypt(5) would take.
pub(crate) const HASH: &str = "$6$rLk0pQ7vXw2sTn9e$tY9Qv5lQSKnU7yR1t7oZxlw9Abrpjl/RY.41LL867757ZEj1z7D8y6S6i5yn/fFz7pG2t2TOBGvlyKUGwbnDL/";
/// A yescrypt hash, Debian's default.
pub(crate) const YESCRYPT: &str = "$y$j9T$qbZ8RzWk3mPn5vXtLd7fH/$cR14KCR22wEOBm4hyVf.W6vTU0Z6M4Mlz/j9aowbiI8";
/// A plain password.
pub(crate) const PLAIN: &str = "tr0ub4dor-and-3-plain";

/// The line of a token file that makes a token valid.
#[must_use]
pub(crate) fn token_line(name: &str, token: &str) -> String {
    use sha2::Digest;
    let digest: Vec<String> = sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{}\n", digest.concat())
}

/// Parts of all of these, since half a secret is one too.
const SECRET_PARTS: [&str; 5] = ["tY9Qv5lQSK", "rLk0pQ7vXw2", "cR14KCR22w", "qbZ8RzWk3m", "tr0ub4dor"];

/// The card `nic<number>` with an MTU.
#[must_use]
pub(crate) fn card(number: u8, mtu: u64) -> Value {
    let name = format!("nic{number}");
    let device = json!({"match": {"macaddress": format!("00:11:22:33:44:{number:02x}")}, "set-name": name, "mtu": mtu});
    json!({"network": {"version": 2, "ethernets": {name: device}}})
}

/// Root's password as a hash.
#[must_use]
pub(crate) fn password(hash: &str) -> Value {
    json!({"chpasswd": {"expire": false, "list": [format!("root:{hash}")]}})
}

/// Checks that a text has no secret in it.
///
/// # Panics
/// If it has; says where and which, not around what.
pub(crate) fn nothing_secret_in(place: &str, text: &str) {
    for part in SECRET_PARTS {
        assert!(!text.contains(part), "{place} has a secret in it: {part}…");
    }
}
