//! What a password value is: a hash, a lock, or something else. Told by its first characters, as crypt(5) does.

/// Every prefix that Debian 12's libxcrypt writes or checks.
const PREFIXES: [&str; 14] = [
    "$y$", "$gy$", "$7$", "$2a$", "$2b$", "$2x$", "$2y$", "$6$", "$5$", "$sha1$", "$md5$", "$md5,", "$1$",
    "$3$",
];

/// The longest that crypt(5) makes (`CRYPT_OUTPUT_SIZE`), and what the machine's own programs can read.
const LONGEST: usize = 384;

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A hash with a crypt(5) prefix, or BSDi's `_` and 19 characters.
    Hash,
    /// Begins like a hash but cannot be one; why not.
    Broken(&'static str),
    /// Locks the account: `*`, `!`, `!!`, `!*`, or `!` before a hash.
    Lock,
    /// 13 characters that traditional DES could have made. So could a person.
    MaybeDes,
    /// Nothing of these.
    Other,
}

/// Tells the form of a value. Prefix and characters decide, and no exact lengths, because each method has its own
/// and new ones appear.
pub(super) fn form_of(value: &str) -> Form {
    if matches!(value, "*" | "!" | "!!" | "!*") {
        return Form::Lock;
    }
    if let Some(locked) = value.strip_prefix('!') {
        return match form_of(locked) {
            Form::Hash => Form::Lock,
            Form::Broken(why) => Form::Broken(why),
            Form::Lock | Form::MaybeDes | Form::Other => Form::Other,
        };
    }
    if let Some(prefix) = PREFIXES.iter().find(|prefix| value.starts_with(**prefix)) {
        return prefixed(&value[prefix.len()..]);
    }
    let rest = value.strip_prefix('_').unwrap_or_default();
    match value.len() {
        20 if rest.len() == 19 && rest.bytes().all(is_crypt64) => Form::Hash,
        13 if value.bytes().all(is_crypt64) => Form::MaybeDes,
        _ => Form::Other,
    }
}

/// The rest after the prefix: salt (or settings), `$`, hash.
fn prefixed(rest: &str) -> Form {
    let fault = rest.chars().find_map(|c| match c {
        '\n' | '\r' => Some("holds a line break"),
        ':' => Some("holds a colon"),
        '\0' => Some("holds a NUL"),
        c if c.is_whitespace() => Some("holds a space"),
        c if !c.is_ascii() => Some("holds a character that is not ASCII"),
        c if c.is_ascii_control() => Some("holds a control character"),
        // crypt(5) keeps these out of hashes, so that a lock can never look like one.
        '*' | '!' | ';' | '\\' => Some("holds one of `*`, `!`, `;` and `\\`"),
        _ => None,
    });
    let fault = fault.or_else(|| (rest.len() > LONGEST).then_some("is longer than 384 characters"));
    match (fault, rest.rsplit_once('$')) {
        (Some(fault), _) => Form::Broken(fault),
        (None, None) => Form::Broken("has no `$` between salt and hash"),
        (None, Some((_, ""))) => Form::Broken("ends with `$`, before the hash itself"),
        (None, Some(_)) => Form::Hash,
    }
}

const fn is_crypt64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_debian_is_a_hash() {
        for hash in [
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "$gy$j9T$Qn6yQEZCuBlvdyWhjRkcj1$rDoTZYS0uIWeeuPUvtBsQXZNrjZRKfyeFfGEwSvUZs8",
            "$7$CU..../....2Q9obwLhin8qvQl6sisAO/$E1HizYWxBmnIH4sdPkd1UOML9t62Gf.wvNTnt5XFzs8",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2b$12$abcdefghijklmnopqrstuuKUUJw2eX8yQ3pQ7qyW7Yw0rG5Y5mN9S",
            "$2x$05$6bNw2HLQYeqHYyBfLMsv/OiwqTymGIGzFsA4hOTWebfehXHNprcAS",
            "$2y$10$abcdefghijklmnopqrstuuKUUJw2eX8yQ3pQ7qyW7Yw0rG5Y5mN9S",
            "$6$rounds=5000$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eSBJxPlp./m",
            "$6$rL..$ej...",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$sha1$48000$mHh0IIOTS3Hhk6C.$o5kwhyWFBGjrNfHw1TqcY3TFhGcV",
            "$md5$GUBv0xjJ$$mSwgIswdjlTY0YxV7HBVm0",
            "$md5,rounds=904$GUBv0xjJ$mSwgIswdjlTY0YxV7HBVm0",
            "$1$deadbeef$0Huu6KHrKLVWfqa4WljDE0",
            "$3$$8846f7eaee8fb117ad06bdd830b7586c",
            "_J9..CCCCXBrJUJV154M",
        ] {
            assert_eq!(form_of(hash), Form::Hash, "{hash}");
        }
    }

    #[test]
    fn what_only_looks_like_a_hash_is_told_from_one() {
        for (value, expected) in [
            ("*", Form::Lock),
            ("!", Form::Lock),
            ("!!", Form::Lock),
            ("!*", Form::Lock),
            ("!$6$salt$hash", Form::Lock),
            ("!hunter2", Form::Other),
            ("CCNf8Sbh3HDfQ", Form::MaybeDes),
            ("CCNf8Sbh3HDf", Form::Other),
            ("_J9..CCCCXBrJUJV154", Form::Other),
            ("_J9..CCCCXBrJUJV15 M", Form::Other),
            ("", Form::Other),
            ("correct horse", Form::Other),
            ("$8$salt$hash", Form::Other),
            ("$money$", Form::Other),
            ("$6$", Form::Broken("has no `$` between salt and hash")),
            ("$6$salt", Form::Broken("has no `$` between salt and hash")),
            ("$6$salt$", Form::Broken("ends with `$`, before the hash itself")),
            ("$6$salt$ha\nsh", Form::Broken("holds a line break")),
            ("$6$salt$ha:sh", Form::Broken("holds a colon")),
            ("$6$salt$ha\0sh", Form::Broken("holds a NUL")),
            ("$6$salt$ha sh", Form::Broken("holds a space")),
            ("$6$salt$haß", Form::Broken("holds a character that is not ASCII")),
            ("$6$salt$ha\u{7}", Form::Broken("holds a control character")),
            ("$6$salt$ha*", Form::Broken("holds one of `*`, `!`, `;` and `\\`")),
            ("!$6$salt$ha:sh", Form::Broken("holds a colon")),
        ] {
            assert_eq!(form_of(value), expected, "{value:?}");
        }
        let long = format!("$6$salt${}", "x".repeat(LONGEST));
        assert_eq!(form_of(&long), Form::Broken("is longer than 384 characters"));
    }
}
