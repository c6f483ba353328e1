//! Ed25519 keys: the public ones that a guest believes, and the private ones that sign.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Longest name of a key.
const LONGEST_NAME: usize = 64;
/// What stands before the 32 bytes of a private key in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why a text is no key. Never shows it: it may be a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The name.
    #[error("the key's name: expected 1 to {LONGEST_NAME} letters, digits, `-`, `_` and `.`")]
    Name,
    /// A public key.
    #[error("expected an Ed25519 public key, its 32 bytes in base64 or hexadecimal")]
    Public,
    /// A private key.
    #[error(
        "expected an Ed25519 private key as PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it"
    )]
    Private,
}

/// A public key whose signatures are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementKey {
    name: String,
    public: [u8; 32],
}

impl ManagementKey {
    /// Reads a name and a public key: 32 bytes in base64 or hexadecimal.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidKey> {
        let name = checked_name(name)?;
        let public = match text.len() {
            64 => crate::hex::parse(text),
            _ => Base64::decode_vec(text).ok().and_then(|bytes| bytes.try_into().ok()),
        };
        public.map(|public| Self { name, public }).ok_or(InvalidKey::Public)
    }

    /// The name that messages call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if the signature is its own, of this content.
    #[must_use]
    pub fn verifies(&self, content: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(content, signature).is_ok()
    }
}

impl fmt::Display for ManagementKey {
    /// In base64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.public))
    }
}

/// A private key.
pub struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Reads a private key: PKCS #8 in PEM.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, InvalidKey> {
        let name = checked_name(name)?;
        let body = pem.split_once(PEM_BEGIN).and_then(|(_, rest)| rest.split_once(PEM_END));
        let body: String = body.ok_or(InvalidKey::Private)?.0.split_whitespace().collect();
        let der = Base64::decode_vec(&body).map_err(|_| InvalidKey::Private)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| InvalidKey::Private)?;
        Ok(Self { name, pair })
    }

    /// The name that messages call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a guest has to know to believe it.
    ///
    /// # Panics
    /// Never: an Ed25519 public key has 32 bytes.
    #[must_use]
    pub fn public(&self) -> ManagementKey {
        let public = self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        ManagementKey { name: self.name.clone(), public }
    }

    pub(super) fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.pair.sign(content).as_ref().to_vec()
    }
}

// Not derived: it is a secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.name)
    }
}

/// A private key of 32 random bytes, as PEM.
#[must_use]
pub fn pem_of_seed(seed: &[u8; 32]) -> String {
    let der = [PKCS8_PREFIX.as_slice(), seed].concat();
    format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", Base64::encode_string(&der))
}

fn checked_name(name: &str) -> Result<String, InvalidKey> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits);
    if is_name { Ok(name.to_owned()) } else { Err(InvalidKey::Name) }
}
