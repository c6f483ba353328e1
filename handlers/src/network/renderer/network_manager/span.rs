//! A length of time in the whole units that NetworkManager's keys have.

use crate::network::document::virtual_device::Interval;

/// The units of the document, in microseconds, the finest of them.
const UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Whole milliseconds of an interval that is in milliseconds where it has no unit; `None` if it is no whole number of
/// them.
pub(super) fn milliseconds(interval: &Interval) -> Option<u64> {
    whole(&interval.in_milliseconds(), "ms")
}

/// Whole seconds of an interval that is in seconds where it has no unit; `None` if it is no whole number of them.
pub(super) fn seconds(interval: &Interval) -> Option<u64> {
    whole(&interval.in_seconds(), "s")
}

fn whole(text: &str, unit: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let factor = |name: &str| UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor);
    let given = match &text[digits.len()..] {
        "" => unit,
        given => given,
    };
    let microseconds = digits.parse::<u64>().ok()?.checked_mul(factor(given)?)?;
    let factor = factor(unit)?;
    microseconds.is_multiple_of(factor).then_some(microseconds / factor)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn units_are_converted_and_nothing_is_rounded() {
        for (text, unit, expected) in [
            ("100", "ms", Some(100)),
            ("2s", "ms", Some(2000)),
            ("500us", "ms", None),
            ("5000us", "ms", Some(5)),
            ("3", "s", Some(3)),
            ("1500ms", "s", None),
            ("2m", "s", Some(120)),
            ("1h", "s", Some(3600)),
        ] {
            assert_eq!(whole(text, unit), expected, "{text} in {unit}");
        }
    }
}
