//! The machine monitor's answer, compared with reading the line whole.

use cloud_channel_protocol::HybridAnswer;

/// No line that is worth waiting for is longer.
const LONGEST: usize = 32;

/// Feeds the bytes one by one: exactly the first line counts, and only if it is `OK <number>`.
///
/// # Panics
/// If the two disagree.
pub fn check(bytes: &[u8]) {
    let expected = expected(bytes);
    let mut answer = HybridAnswer::default();
    let mut taken = 0;
    let found = bytes.iter().find_map(|byte| {
        taken += 1;
        answer.push(*byte).transpose()
    });
    assert!(taken <= LONGEST + 1, "{taken} bytes were taken");
    match (expected, found) {
        (Expected::More, None) | (Expected::Refused, Some(Err(_))) => {}
        (Expected::Port(port, length), Some(Ok(found))) => assert_eq!((port, length), (found, taken)),
        (expected, found) => panic!("expected {expected:?}, found {found:?}"),
    }
}

#[derive(Debug)]
enum Expected {
    /// The line has not ended.
    More,
    Refused,
    /// The number, and the bytes of the line.
    Port(u32, usize),
}

fn expected(bytes: &[u8]) -> Expected {
    let Some(end) = bytes.iter().take(LONGEST + 1).position(|byte| *byte == b'\n') else {
        return if bytes.len() > LONGEST { Expected::Refused } else { Expected::More };
    };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let number = line.strip_prefix("OK ").filter(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    match number.map(str::parse) {
        Some(Ok(port)) => Expected::Port(port, end + 1),
        _ => Expected::Refused,
    }
}
