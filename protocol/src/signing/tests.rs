//! What is signed is believed, and nothing else.

use super::*;
use crate::ids::MessageId;

const CHANNEL: &str = "/cloudinit/i-1/config/set/network";
const DATA: &str = r#"{"version": 2, "ethernets": {"é": {"mtu": 1400, "x": 9007199254740993}}}"#;
const NOW: u64 = 1_800_000_000;

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_pem(name, &pem_of_seed(&[seed; 32])).unwrap()
}

fn signed(key: &SigningKey) -> Publication {
    let ext = CloudinitExt { generation: Some(7), ..CloudinitExt::default() };
    let channel = ChannelName::parse(CHANNEL).unwrap();
    let data = RawValue::from_string(DATA.to_owned()).unwrap();
    let ext = sign(key, &channel, &data, &ext, NOW + 60).unwrap();
    Publication { channel, id: Some(MessageId::from_text("a")), data, ext: Some(ext) }
}

/// The same message with a piece of text replaced.
fn altered(publication: &Publication, what: &str, by: &str) -> Publication {
    let swap = |raw: &RawValue| RawValue::from_string(raw.get().replace(what, by)).unwrap();
    let channel = ChannelName::parse(&publication.channel.as_str().replace(what, by)).unwrap();
    let ext = publication.ext.as_deref().map(swap);
    Publication { channel, id: None, data: swap(&publication.data), ext }
}

fn refusal(publication: &Publication, now: u64) -> String {
    check(&[key("ops", 1).public()], publication, now).unwrap_err().to_string()
}

#[test]
fn a_signed_message_is_believed_however_it_is_written() {
    let keys = [key("other", 2).public(), key("ops", 1).public()];
    let message = signed(&key("ops", 1));
    assert_eq!(check(&keys, &message, NOW), Ok(()));
    // Another order, other spaces, other ways to write the same texts and numbers.
    let rewritten = r#"{"ethernets":{"\u00e9":{"x":9007199254740993.0,"mtu":14e2}},"version":2}"#;
    let data = RawValue::from_string(rewritten.to_owned()).unwrap();
    let rewritten = Publication { data, id: None, ..message.clone() };
    assert_eq!(check(&keys, &rewritten, NOW), Ok(()));
    // What others add beside ours is theirs.
    let beside = altered(&message, r#"{"cloudinit""#, r#"{"ack":true,"cloudinit""#);
    assert_eq!(check(&keys, &beside, NOW), Ok(()));
}

#[test]
fn each_fault_has_its_own_words() {
    let good = signed(&key("ops", 1));
    let without = Publication { ext: None, ..good.clone() };
    for (what, message, expected) in [
        ("unsigned", without, "403:ext.cloudinit.signature:Config has to be signed"),
        (
            "unsigned too",
            altered(&good, r#""signature""#, r#""signatur""#),
            "403:ext.cloudinit.signature:Config has",
        ),
        ("another key of that name", signed(&key("ops", 3)), "does not fit"),
        (
            "an unknown key",
            signed(&key("eve", 3)),
            "403:ext.cloudinit.signature:There is no management key `eve`",
        ),
        (
            "altered data",
            altered(&good, "1400", "1401"),
            "403:ext.cloudinit.signature:The signature does not fit",
        ),
        ("a rounded number", altered(&good, "9007199254740993", "9007199254740992"), "does not fit"),
        ("another instance", altered(&good, "i-1", "i-2"), "does not fit"),
        ("another module", altered(&good, "set/network", "set/storage"), "does not fit"),
        ("another generation", altered(&good, r#""generation":7"#, r#""generation":8"#), "does not fit"),
        ("a later end", altered(&good, &(NOW + 60).to_string(), &(NOW + 61).to_string()), "does not fit"),
        ("a trial", altered(&good, r#""generation""#, r#""dry_run":true,"generation""#), "does not fit"),
        (
            "no generation",
            altered(&good, r#""generation":7,"#, ""),
            "403:ext.cloudinit.generation:Signed config needs",
        ),
        ("a key twice", altered(&good, r#""mtu": 1400"#, r#""mtu": 1, "mtu": 1400"#), "a key stands twice"),
        (
            "no number",
            altered(&good, &(NOW + 60).to_string(), "true"),
            "400:ext.cloudinit.signature:expected",
        ),
    ] {
        let refusal = refusal(&message, NOW);
        assert!(refusal.contains(expected), "{what}: {refusal}");
    }
    for cut in [r#""sig":"!"#, r#""sig":"AAAA"},"x":{"y":""#, r#""sig":"AAAA"#] {
        let refusal = refusal(&altered(&good, r#""sig":""#, cut), NOW);
        assert!(refusal.starts_with("400:ext.cloudinit.signature:expected"), "{cut}: {refusal}");
    }
    let expired = refusal(&good, NOW + 70);
    assert_eq!(
        expired,
        "403:ext.cloudinit.signature:The signature has expired 10 s ago, sign the config again"
    );
}

#[test]
fn keys_are_read_and_never_shown() {
    let private = key("ops", 1);
    assert_eq!(format!("{private:?}"), "SigningKey(ops, …)");
    let public = private.public();
    assert_eq!(ManagementKey::parse("ops", &public.to_string()), Ok(public));
    // RFC 8032, section 7.1, test 1.
    let seed = crate::hex::parse("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let known = SigningKey::from_pem("known", &pem_of_seed(&seed)).unwrap().public();
    let hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(ManagementKey::parse("known", hex), Ok(known));
    for wrong in ["", "secret", &"g".repeat(64), "AAAA", &"é".repeat(32)] {
        let error = ManagementKey::parse("ops", wrong).unwrap_err();
        assert_eq!(error, InvalidKey::Public);
        let error = SigningKey::from_pem("ops", wrong).unwrap_err();
        assert_eq!(error, InvalidKey::Private);
    }
    assert_eq!(ManagementKey::parse("a b", hex), Err(InvalidKey::Name));
}
