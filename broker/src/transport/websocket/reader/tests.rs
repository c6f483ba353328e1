//! The reader against frames that another hand has written, by tables and by chance.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode::{self, Control as C, Data as D};

use super::*;

const LIMIT: usize = 1000;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A frame as a client sends it, by tungstenite's own hand.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, opcode, mask: Some(MASK), ..FrameHeader::default() };
    let mut bytes = Vec::new();
    header.format(payload.len() as u64, &mut bytes).unwrap();
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    frame(D(Data::Text), true, payload.as_bytes())
}

/// What came out after all pieces: messages, pings, and the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: Vec<Vec<u8>>,
    pings: Vec<Vec<u8>>,
    end: Option<End>,
}

fn feed<'a>(reader: &mut FrameReader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let mut heard = Heard::default();
    for piece in pieces {
        let taken = reader.feed(piece);
        heard.messages.extend(taken.messages.iter().map(<[u8]>::to_vec));
        heard.pings.extend(taken.ping);
        heard.end = taken.end;
        if heard.end.is_some() {
            break;
        }
    }
    heard
}

/// A reader that always has room.
fn reader_of(limit: usize) -> FrameReader {
    FrameReader::new(limit, Budget::of_bytes(1 << 30))
}

fn once(bytes: &[u8]) -> Heard {
    feed(&mut reader_of(LIMIT), [bytes])
}

#[test]
fn messages_of_every_length_form() {
    for size in [0, 1, 7, 8, 9, 125, 126, 127, 1000] {
        let payload = "x".repeat(size);
        assert_eq!(once(&text(&payload)).messages, [payload.as_bytes()], "{size} bytes");
    }
    let mut reader = reader_of(usize::MAX);
    let payload = "y".repeat(70_000);
    assert_eq!(feed(&mut reader, [&*text(&payload)]).messages, [payload.as_bytes()]);
    assert!(!reader.is_midway());
}

#[test]
fn nothing_is_kept_of_what_is_whole() {
    let mut reader = reader_of(LIMIT);
    let large = text(&"x".repeat(900));
    let heard = feed(&mut reader, large.chunks(100));
    assert_eq!(heard.messages.len(), 1);
    assert!(!reader.is_midway());
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        frame(D(Data::Text), false, b"on"),
        frame(C(Control::Ping), true, b"are you there"),
        frame(D(Data::Continue), false, b""),
        frame(C(Control::Pong), true, b"unasked"),
        frame(D(Data::Continue), true, b"e"),
        text("two"),
        frame(D(Data::Binary), true, b"\xff"),
    ]
    .concat();
    let heard = once(&bytes);
    assert_eq!(heard.messages, [&b"one"[..], b"two", b"\xff"]);
    assert_eq!(heard.pings, [b"are you there"]);
    assert_eq!(heard.end, None);
}

#[test]
fn what_is_not_allowed_ends_it() {
    let long = frame(D(Data::Text), true, &[b'x'; LIMIT + 1]);
    let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4].to_vec();
    let fragments = [frame(D(Data::Text), false, &[b'x'; LIMIT]), frame(D(Data::Continue), true, b"x")];
    let reserved = |bit: u8| {
        let mut bytes = text("x");
        bytes[0] |= bit;
        bytes
    };
    let close = |payload: &[u8]| frame(C(Control::Close), true, payload);
    for (what, bytes, violation, code) in [
        ("no mask", vec![0x81, 1, b'x'], Violation::NotMasked, 1002),
        ("compression", reserved(0x40), Violation::ReservedBits, 1002),
        ("a reserved bit", reserved(0x10), Violation::ReservedBits, 1002),
        ("an unknown data frame", vec![0x83, 0x80, 1, 2, 3, 4], Violation::UnknownKind, 1002),
        ("an unknown control frame", vec![0x8b, 0x80, 1, 2, 3, 4], Violation::UnknownKind, 1002),
        ("a long ping", frame(C(Control::Ping), true, &[0; 126]), Violation::ControlFrame, 1002),
        ("half a ping", frame(C(Control::Ping), false, b""), Violation::ControlFrame, 1002),
        ("no beginning", frame(D(Data::Continue), true, b"x"), Violation::NothingToContinue, 1002),
        (
            "two at once",
            [frame(D(Data::Text), false, b"x"), text("y")].concat(),
            Violation::NotContinued,
            1002,
        ),
        ("no text", frame(D(Data::Text), true, b"\xff\xfe"), Violation::NotUtf8 { limit: LIMIT }, 1007),
        ("half a character", frame(D(Data::Text), true, b"\xc3"), Violation::NotUtf8 { limit: LIMIT }, 1007),
        ("too large", long, Violation::TooLarge { limit: LIMIT }, 1009),
        ("far too large", huge, Violation::TooLarge { limit: LIMIT }, 1009),
        ("too large together", fragments.concat(), Violation::TooLarge { limit: LIMIT }, 1009),
        ("half a close code", close(b"\x03"), Violation::CloseFrame, 1002),
        ("a close code that is none", close(&1005_u16.to_be_bytes()), Violation::CloseFrame, 1002),
        ("a close reason that is no text", close(b"\x03\xe8\xff"), Violation::CloseReason, 1007),
    ] {
        let before = text("before");
        let heard = once(&[before.clone(), bytes.clone()].concat());
        assert_eq!(heard.end, Some(End::Violated(violation)), "{what}");
        assert_eq!(heard.messages, [b"before"], "{what}: what was whole counts");
        assert_eq!(u16::from(violation.code()), code, "{what}");
        // The same byte by byte.
        let mut reader = reader_of(LIMIT);
        let heard = feed(&mut reader, [before, bytes].concat().chunks(1));
        assert_eq!(heard.end, Some(End::Violated(violation)), "{what}, byte by byte");
        assert!(!reader.is_midway(), "{what}: nothing is kept");
    }
    assert!(Violation::TooLarge { limit: LIMIT }.to_string().contains("1000"));
}

#[test]
fn a_length_alone_takes_no_memory() {
    let mut reader = reader_of(1 << 30);
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(1_u64 << 29).to_be_bytes());
    bytes.extend_from_slice(&MASK);
    bytes.push(b'x');
    assert_eq!(feed(&mut reader, [&*bytes]), Heard::default());
    let kept = reader.midway.as_ref().unwrap().message.capacity();
    assert!(kept < 100, "{kept}");
}

#[test]
fn large_messages_take_room_until_they_are_processed() {
    let budget = Budget::of_bytes(FREE);
    let reader = || FrameReader::new(1 << 20, budget.clone());
    let large = text(&"x".repeat(2 * FREE));
    let (mut one, mut other) = (reader(), reader());
    for piece in large[..large.len() - 1].chunks(1_400) {
        assert_eq!(one.feed(piece).end, None);
    }
    assert!(budget.left() < 4, "all of it is taken by what is not whole: {}", budget.left());
    // Somebody else: small messages and the beginnings of large ones, but no more.
    let heard = feed(&mut other, [&[text("small"), large[..FREE].to_vec()].concat()[..]]);
    assert_eq!((heard.messages.len(), heard.end), (1, None));
    let heard = feed(&mut other, large[FREE..].chunks(1_400));
    assert_eq!(heard.end, Some(End::NoRoom(NoRoom)));
    assert!(!other.is_midway(), "nothing is kept");
    let taken = one.feed(&large[large.len() - 1..]);
    assert_eq!(taken.messages.iter().map(<[u8]>::len).collect::<Vec<_>>(), [2 * FREE]);
    assert!(budget.left() < 4, "it waits to be processed");
    drop(taken);
    assert_eq!(budget.left(), FREE);
    assert_eq!(feed(&mut other, large.chunks(1_400)).messages.len(), 1, "there is room again");
    // One that is given up.
    one.feed(&large[..2 * FREE]);
    assert!(budget.left() < FREE);
    drop(one);
    assert_eq!(budget.left(), FREE);
}

/// The room is used up by others: many small messages in large reads come through all the same.
#[test]
fn small_messages_are_never_turned_away() {
    let budget = Budget::of_bytes(0);
    let mut reader = FrameReader::new(1 << 20, budget.clone());
    let bytes = text(&"x".repeat(3_000)).repeat(100);
    let (mut rest, mut messages) = (&bytes[..], 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(reader.appetite(64 * 1024).min(rest.len()));
        let taken = reader.feed(now);
        assert_eq!(taken.end, None, "after {messages} messages");
        messages += taken.messages.iter().count();
        rest = later;
    }
    assert_eq!(messages, 100);
}

#[test]
fn the_peer_may_close_with_and_without_a_code() {
    let close = |payload: &[u8]| once(&frame(C(Control::Close), true, payload)).end;
    assert_eq!(close(b""), Some(End::Closed(None)));
    assert_eq!(close(b"\x03\xe8bye"), Some(End::Closed(Some(CloseCode::Normal))));
    // RFC 6455, 7.4.2, and what IANA has registered since.
    for code in 0..=u16::MAX {
        let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let expected = if allowed {
            End::Closed(Some(CloseCode::from(code)))
        } else {
            End::Violated(Violation::CloseFrame)
        };
        assert_eq!(close(&code.to_be_bytes()), Some(expected), "{code}");
    }
}

/// A message, where its frames are cut, and whether a ping comes before each.
fn message() -> impl Strategy<Value = (String, Vec<(usize, bool)>)> {
    ("\\PC{0,200}", prop::collection::vec((0..800_usize, any::<bool>()), 0..4))
}

proptest! {
    /// However the messages are cut into frames and the frames into reads, the same messages come out.
    #[test]
    fn fragmentation_changes_nothing(
        messages in prop::collection::vec(message(), 1..6),
        cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        let mut pings = 0;
        for (message, fragments) in &messages {
            let mut rest = message.as_bytes();
            let mut opcode = D(Data::Text);
            for (size, ping) in fragments {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                bytes.extend(frame(opcode, false, now));
                (rest, opcode) = (later, D(Data::Continue));
                if *ping {
                    bytes.extend(frame(C(Control::Ping), true, b"ping"));
                    pings += 1;
                }
            }
            bytes.extend(frame(opcode, true, rest));
        }
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*size).min(rest.len()));
            pieces.push(now);
            rest = later;
        }
        let mut reader = reader_of(usize::MAX);
        let heard = feed(&mut reader, pieces);
        let expected: Vec<Vec<u8>> = messages.iter().map(|(text, _)| text.clone().into_bytes()).collect();
        prop_assert_eq!(heard.messages, expected);
        prop_assert!(heard.pings.len() <= pings && (pings == 0 || !heard.pings.is_empty()));
        prop_assert_eq!(heard.end, None);
        prop_assert!(!reader.is_midway());
    }

    /// Nothing a peer sends makes the reader fail, or keep more than it may.
    #[test]
    fn anything_is_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let mut reader = reader_of(LIMIT);
        for piece in &pieces {
            if reader.feed(piece).end.is_some() {
                break;
            }
            if let Some(midway) = &reader.midway {
                prop_assert!(midway.message.len() <= LIMIT && midway.rest.len() <= MAX_WHOLE);
            }
        }
    }

    #[test]
    fn masks_come_off(bytes in prop::collection::vec(any::<u8>(), 0..100), mask: [u8; 4]) {
        let mut unmasked = bytes.clone();
        unmask(&mut unmasked, mask);
        let expected: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        prop_assert_eq!(unmasked, expected);
    }
}
