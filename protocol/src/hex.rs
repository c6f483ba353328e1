//! Digests and keys in hexadecimal.

use std::fmt::Write as _;

/// 32 bytes of 64 digits in either case; pairs may have colons between them.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits: Vec<u8> = match text.len() {
        64 => text.bytes().collect(),
        // As openssl prints fingerprints.
        95 if text.split(':').all(|pair| pair.len() == 2) => {
            text.bytes().filter(|byte| *byte != b':').collect()
        }
        _ => return None,
    };
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Digits in lower case.
#[must_use]
pub fn write(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_both_ways() {
        let bytes = [0xAB; 32];
        assert_eq!(parse(&write(&bytes)), Some(bytes));
        assert_eq!(parse(&["AB"; 32].join(":")), Some(bytes));
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(95), &"é".repeat(32), &"+1".repeat(32)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
