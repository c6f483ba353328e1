//! The timesync extension (CometD's "timesync"): a client learns how its clock stands to ours.
//!
//! Request: `ext.timesync: {"tc": client's milliseconds, "l": its lag, "o": its offset}`. Reply: `tc` again, `ts` our
//! milliseconds at receipt, `p` how long we held the request, `a` the error of the client's estimate,
//! `tc + o + l - ts`. No reply once that error is below 25 ms.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Extension, Incoming, ReplyPart, Veto};
use crate::object::Object;
use crate::time::Now;

/// An estimate this good needs no correction, in milliseconds.
const GOOD: i64 = 25;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    timesync: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Request<'a> {
    /// Given back as it was written.
    #[serde(borrow)]
    tc: &'a RawValue,
    #[serde(default)]
    l: f64,
    #[serde(default)]
    o: f64,
}

/// The extension. It keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timesync;

impl Extension for Timesync {
    fn received(&mut self, now: Now, message: &Incoming<'_>) -> Result<Option<ReplyPart>, Veto> {
        let meta = matches!(message.channel.as_str(), "/meta/handshake" | "/meta/connect");
        // Nonsense is as good as absent: nobody's session may depend on a clock.
        Ok(meta.then_some(message.ext).flatten().and_then(read).and_then(|request| answer(now, &request)))
    }
}

fn read(ext: &RawValue) -> Option<Request<'_>> {
    let outer = Object::<Outer<'_>>::read(ext.get()).ok()?;
    Object::read(outer.timesync?.get()).ok()
}

fn answer(received: Now, request: &Request<'_>) -> Option<ReplyPart> {
    let milliseconds = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and nonsense gets nonsense")]
        let whole = number.round() as i64;
        whole
    };
    let written = request.tc.get().to_owned();
    let tc = milliseconds(written.parse().ok()?);
    let (lag, offset) = (milliseconds(request.l), milliseconds(request.o));
    let ts = i64::try_from(received.wall.as_millis()).unwrap_or(i64::MAX);
    let accuracy = tc.saturating_add(offset).saturating_add(lag).saturating_sub(ts);
    if lag != 0 && accuracy.saturating_abs() < GOOD {
        return None;
    }
    Some(ReplyPart::new("timesync", move |now: Now| {
        let held = now.uptime.saturating_sub(received.uptime).as_millis();
        format!(r#"{{"tc":{written},"ts":{ts},"p":{held},"a":{accuracy}}}"#)
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channel::ChannelName;
    use crate::ext::raw;

    fn at(uptime: u64, wall: u64) -> Now {
        Now { uptime: Duration::from_millis(uptime), wall: Duration::from_millis(wall) }
    }

    fn ask(channel: &str, ext: &str) -> Option<String> {
        let channel = ChannelName::parse(channel).unwrap();
        let ext = raw(ext);
        let message = Incoming { channel: &channel, client: None, ext: Some(&ext) };
        let part = Timesync.received(at(5, 10_000), &message).unwrap()?;
        Some(part.finish(at(1_005, 99)).1)
    }

    #[test]
    fn the_estimate_is_judged_at_receipt_and_the_hold_is_told() {
        for (channel, ext, expected) in [
            (
                "/meta/connect",
                r#"{"timesync":{"tc":9000,"l":20,"o":30}}"#,
                Some(r#"{"tc":9000,"ts":10000,"p":1000,"a":-950}"#),
            ),
            (
                "/meta/handshake",
                r#"{"timesync":{"tc":10000}}"#,
                Some(r#"{"tc":10000,"ts":10000,"p":1000,"a":0}"#),
            ),
            ("/meta/connect", r#"{"timesync":{"tc":9000,"l":10,"o":1000}}"#, None),
            ("/meta/subscribe", r#"{"timesync":{"tc":9000,"l":20,"o":30}}"#, None),
            (
                "/meta/connect",
                r#"{"timesync":{"tc":1795377371086.7}}"#,
                Some(r#"{"tc":1795377371086.7,"ts":10000,"p":1000,"a":1795377361087}"#),
            ),
            ("/meta/connect", r#"{"timesync":{"tc":"9000"}}"#, None),
            ("/meta/connect", r#"{"timesync":true,"ack":1}"#, None),
            ("/meta/connect", r#"{"timesync":[9000,20,30]}"#, None),
            ("/meta/connect", r#"[{"tc":9000}]"#, None),
            ("/meta/connect", r#"{"timesync":{"tc":1e300}}"#, Some("\"ts\":10000")),
        ] {
            let found = ask(channel, ext);
            assert_eq!(found.is_some(), expected.is_some(), "{ext}");
            assert!(found.is_none_or(|found| found.contains(expected.unwrap())), "{ext}");
        }
    }
}
