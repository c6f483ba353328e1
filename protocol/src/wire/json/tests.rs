//! What is JSON here is what is JSON to `serde_json`.

use proptest::prelude::*;

use super::*;

fn scan(text: &str) -> Result<&str, Fault> {
    let mut scanner = Scanner::new(text, 128);
    scanner.space();
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value.get())
}

/// What is JSON to `serde_json` is JSON here, and nothing else.
fn compare(text: &str) {
    let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(scan(text).ok(), expected, "{text:?}");
}

#[test]
fn values() {
    let without_space = concat!(
        "0 -0 01 - 1. 1.5 .5 1e 1e5 1E+05 1e- +1 1x --1 1e400 true tru truex null nul false True ",
        r#""" " "a "\" "\\" "\"" "\x" "\u12" "\u12G4" "\ud800" "\/\b\f\n\r\t" "\ "\u "é\u00e9" "#,
        "[] [ ] [1 [1, [1,] [,1] [[],[[]],{}] [} [1} {} { } {] {a:1} {1:1} ",
        r#"{"a":1} {"a"} {"a":} {"a":1,} {"a":1"b":2} {"a":{"b":[{}]}} {"a":1}] {"a":[1}] [{"a":1]}"#,
    );
    without_space.split(' ').for_each(compare);
    for text in
        [" ", "\u{a0}1", "1\u{a0}", "\r\n\t 1 \n", "\"\n\"", "\"\u{7f}\u{1F600}\"", "[1 2]", "[ 1 , 2 ]"]
    {
        compare(text);
    }
    for text in [r#"{"a" : 1 , "b":[]}"#, r#"{"a":1 "b":2}"#, r#"{ "a":1}"#, r#"{"a":1 ,}"#] {
        compare(text);
    }
    for size in 0..100 {
        for special in ["\"", "\\\"", "\u{1f}", "é", "\u{80}!#[]^\u{7f}", "\0", "!\"", "\\"] {
            let text = format!("\"{}{special}{}\"", "x".repeat(size), "y".repeat(40));
            compare(&text);
        }
    }
}

#[test]
fn depth_has_a_limit() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let levels = |levels: usize| Scanner::new(&deep(levels), 5).value().err();
    assert_eq!((levels(5), levels(6)), (None, Some(Fault::TooDeep)));
    assert!(scan(&deep(127)).is_ok() && scan(&deep(128)).is_ok());
    assert_eq!(scan(&deep(129)), Err(Fault::TooDeep));
    let side_by_side = format!("[{}1]", "[[]],".repeat(1_000));
    assert!(Scanner::new(&side_by_side, 3).value().is_ok());
}

#[test]
fn faults_say_where() {
    for (text, at, what) in
        [("[1 2]", 3, "`,` or `]`"), ("{\"a\" 1}", 5, "`:`"), ("tru", 0, "a value"), ("{}x", 2, "the end")]
    {
        assert_eq!(scan(text), Err(Fault::Expected { at, what }), "{text}");
    }
}

#[test]
fn texts() {
    let text = |json| Json(json).text().map(Cow::into_owned);
    assert_eq!(text(r#""a\/bé""#).as_deref(), Some("a/bé"));
    assert!(Json(r#""\/meta\/handshake""#).says("/meta/handshake") && Json(r#""""#).says(""));
    assert!(!Json(r#""/meta/handshake/""#).says("/meta/handshake") && !Json("7").says("7"));
    assert_eq!((text("7"), text(r#""\ud800""#), text("null")), (None, None, None));
}

/// Bits of JSON in any order: much of it is nearly right.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\"a\"",
        "\"b\":",
        "1",
        "-2.5e3",
        "true",
        "null",
        "é",
        "\\u00e9",
        "\n",
        "{\"c\":[]}",
        "0123456789012345678901234567890123456789",
    ]);
    prop::collection::vec(scrap, 0..24).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_serde_json(text in scraps()) {
        compare(&text);
    }
}
