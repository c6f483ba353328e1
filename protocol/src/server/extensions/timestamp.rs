//! The timestamp extension (CometD's "timestamp"): every message that goes out says when.

use std::time::Duration;

use super::{Extension, Outgoing};
use crate::time::Now;

/// The extension. It keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timestamp;

impl Extension for Timestamp {
    fn outgoing(&self, now: Now, message: &mut Outgoing) {
        message.timestamp = Some(iso8601(now.wall));
    }
}

/// `YYYY-MM-DDThh:mm:ss.mmmZ` of a time since the Unix epoch.
fn iso8601(wall: Duration) -> String {
    let seconds = wall.as_secs();
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = date(seconds / 86_400);
    let millis = wall.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The Gregorian date of a day since the Unix epoch. Years are counted from March, so that the leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // days of 400 years
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days / ERA, days % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_date_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(iso8601(Duration::from_secs(seconds) + Duration::from_millis(7)), text);
        }
    }
}
