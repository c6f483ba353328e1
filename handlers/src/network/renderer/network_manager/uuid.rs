//! The UUID of a profile, which is how profiles name one another.

use std::fmt;

use sha1::{Digest, Sha1};

use crate::network::document::name::DeviceId;

/// cloud-init's namespace for its profiles: with the same UUIDs, the two never make two profiles of one device.
const NAMESPACE: [u8; 16] =
    [0xa3, 0x92, 0x4c, 0xb8, 0x09, 0xe0, 0x43, 0xe9, 0x89, 0x0b, 0x77, 0x97, 0x2a, 0x80, 0x01, 0x08];

/// The UUID of a device's profile: version 5 of RFC 9562, section 5.5, of the device's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProfileUuid([u8; 16]);

impl ProfileUuid {
    /// The UUID of this device's profile.
    pub(crate) fn of(id: &DeviceId) -> Self {
        let digest = Sha1::new().chain_update(NAMESPACE).chain_update(id.as_str()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x50;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for ProfileUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::document::place::{Place, Reading};

    #[test]
    fn uuids_are_cloud_inits() {
        // As cloud-init 22.4.2 writes them.
        for (id, expected) in [
            ("eth0", "1dd9a779-d327-56e1-8454-c65e2556c12c"),
            ("bond0", "54317911-f840-516b-a10d-82cb4c1f075c"),
        ] {
            let id = DeviceId::from_key(id, &Place::top("", Reading::Push)).unwrap();
            assert_eq!(ProfileUuid::of(&id).to_string(), expected);
        }
    }
}
