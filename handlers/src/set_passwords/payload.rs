//! The payload of `config/set/cc_set_passwords`, parsed: cloud-init's `chpasswd`, made strict.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::form::{Form, form_of};
use super::user_name::{self, UserName};
use crate::json::{self, JsonError};
use crate::nearest::nearest;
use crate::{Refusal, Secret};

/// Users in one push. Hashing a text takes some 50 ms, so this is also a limit on time.
const MOST_USERS: usize = 256;

/// The longest text that PAM takes.
const LONGEST_TEXT: usize = 512;

/// What a push asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Each user once, in the order of the payload.
    pub(super) entries: Vec<Entry>,
    /// True if each of them has to choose a new password at the next login.
    pub(super) expire: bool,
}

/// One user's new password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where the payload names the user: `chpasswd.users[1].name`.
    pub(super) place: String,
    /// Whose password it is.
    pub(super) name: UserName,
    /// The password.
    pub(super) password: Password,
}

/// A password as it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Password {
    /// What goes into the shadow file as it is.
    Hash(Secret),
    /// What the user types; to be hashed here.
    Text(Secret),
    /// One to be made up here and shown on the console.
    Random,
}

impl Request {
    /// Parses a payload. No refusal ever quotes a password.
    pub(super) fn parse(payload: &RawValue) -> Result<Self, Refusal> {
        let document = json::read(payload).map_err(|error| match error {
            JsonError::Twice { path, key } => Refusal::at(path, "each key of an object once").given(key),
            JsonError::Unreadable(text) => {
                Refusal::at("data", "JSON").hint(format!("it cannot be read: {text}"))
            }
        })?;
        let top = object(&document, "data", "an object with `chpasswd`")?;
        for (key, value) in top {
            match key.as_str() {
                "chpasswd" => {}
                "ssh_pwauth" if value.is_null() || value == "unchanged" => {}
                "ssh_pwauth" => {
                    return Err(Refusal::at("ssh_pwauth", "only `chpasswd`, or `ssh_pwauth: unchanged`")
                        .hint("how sshd authenticates is not set by this module; configure sshd itself"));
                }
                "password" => {
                    return Err(Refusal::at("password", "only `chpasswd`")
                        .hint("name the user in `chpasswd.users`; there is no default user here"));
                }
                _ => return Err(unknown("", key, &["chpasswd", "password", "ssh_pwauth"])),
            }
        }
        let Some(chpasswd) = top.get("chpasswd") else {
            return Err(Refusal::at("chpasswd", "an object with `users` or `list`, got nothing"));
        };
        Self::of(object(chpasswd, "chpasswd", "an object with `users` or `list`")?)
    }

    fn of(chpasswd: &Map<String, Value>) -> Result<Self, Refusal> {
        if let Some(key) = chpasswd.keys().find(|key| !matches!(key.as_str(), "users" | "list" | "expire")) {
            return Err(unknown("chpasswd", key, &["users", "list", "expire"]));
        }
        let expire = match chpasswd.get("expire") {
            // cloud-init's default.
            None | Some(Value::Null) => true,
            Some(Value::Bool(expire)) => *expire,
            Some(other) => return Err(Refusal::at("chpasswd.expire", "true or false").given(kind(other))),
        };
        let given = |key| chpasswd.get(key).filter(|value| !value.is_null());
        let (users, list) = (given("users"), given("list"));
        if users.is_none() && list.is_none() {
            return Err(Refusal::at("chpasswd", "`users` or `list`, got neither"));
        }
        let mut entries = Vec::new();
        if let Some(users) = users {
            let users = array(users, "chpasswd.users", "a list of objects with `name` and `password`")?;
            within_limit("chpasswd.users", users.len())?;
            for (at, user) in users.iter().enumerate() {
                entries.push(user_entry(user, &format!("chpasswd.users[{at}]"))?);
            }
        }
        if let Some(list) = list {
            for (place, line) in list_lines(list)? {
                entries.push(list_entry(place, line)?);
            }
        }
        each_once(&entries)?;
        within_limit("chpasswd", entries.len())?;
        Ok(Self { entries, expire })
    }
}

fn user_entry(user: &Value, place: &str) -> Result<Entry, Refusal> {
    let user = object(user, place, "an object with `name` and `password`")?;
    if let Some(key) = user.keys().find(|key| !matches!(key.as_str(), "name" | "password" | "type")) {
        return Err(unknown(place, key, &["name", "password", "type"]));
    }
    let name_place = format!("{place}.name");
    let name = text(user.get("name"), &name_place, user_name::EXPECTED)?;
    let Some(name) = UserName::parse(name) else {
        // Not repeated: what is no name may be a password or a hash in the wrong place.
        let given = format!("a text of {} characters that is none", name.chars().count());
        return Err(Refusal::at(name_place, user_name::EXPECTED).given(given));
    };
    let password_place = format!("{place}.password");
    let given = user.get("password");
    let password = match user.get("type").filter(|value| !value.is_null()) {
        None => Password::Hash(hash_of(given, &password_place)?),
        Some(Value::String(kind)) if kind == "hash" => Password::Hash(hash_of(given, &password_place)?),
        Some(Value::String(kind)) if kind == "text" => {
            let plain = text(given, &password_place, "the password's text")?;
            Password::Text(plain_text(plain, &password_place)?)
        }
        Some(Value::String(kind)) if kind == "RANDOM" => match given {
            None | Some(Value::Null) => Password::Random,
            Some(_) => {
                return Err(Refusal::at(password_place, "no password beside `type: RANDOM`")
                    .hint("leave the password out, or give its type as `hash` or `text`"));
            }
        },
        Some(other) => return Err(unknown_type(other, &format!("{place}.type"))),
    };
    Ok(Entry { place: name_place, name, password })
}

fn unknown_type(given: &Value, place: &str) -> Refusal {
    let known = ["hash", "text", "RANDOM"];
    let refusal = Refusal::at(place, "`hash`, `text` or `RANDOM`");
    // Only what is nearly right is repeated: anything else may be a password in the wrong place.
    match given.as_str().map(|word| (word, nearest(word, &known))) {
        Some((word, Some(meant))) => refusal.given(word).hint(format!("did you mean `{meant}`?")),
        Some((_, None)) => refusal.given("another text"),
        None => refusal.given(kind(given)),
    }
}

fn hash_of(given: Option<&Value>, place: &str) -> Result<Secret, Refusal> {
    let expected = "a crypt(5) hash or a lock (`!`, `*`)";
    let value = text(given, place, expected)?;
    let fault = match form_of(value) {
        Form::Hash | Form::Lock | Form::MaybeDes => return Ok(Secret::new(value)),
        Form::Broken(why) => {
            return Err(
                Refusal::at(place, expected).given(format!("a value that begins like a hash but {why}"))
            );
        }
        Form::Other => {
            format!("a text of {} characters that begins with no crypt(5) prefix", value.chars().count())
        }
    };
    Err(Refusal::at(place, expected).given(fault).hint("use `type: text` for a plain password"))
}

fn plain_text(value: &str, place: &str) -> Result<Secret, Refusal> {
    let refused = |given: String| {
        Err(Refusal::at(place, "a password of 1 to 512 bytes without control characters").given(given))
    };
    if value.is_empty() || value.len() > LONGEST_TEXT {
        return refused(format!("a text of {} bytes", value.len()));
    }
    if value.chars().any(char::is_control) {
        return refused("a text with a line break, a NUL or another control character".into());
    }
    Ok(Secret::new(value))
}

/// Each line of `list` with its place: a JSON list, or cloud-init's older text of several lines.
fn list_lines(list: &Value) -> Result<Vec<(String, &str)>, Refusal> {
    let expected = "a list of `user:password`, or a text with one a line";
    if let Value::String(text) = list {
        within_limit("chpasswd.list", text.lines().count())?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
        return Ok(lines.map(|(at, line)| (format!("chpasswd.list (line {})", at + 1), line)).collect());
    }
    let items = array(list, "chpasswd.list", expected)?;
    within_limit("chpasswd.list", items.len())?;
    let items = items.iter().enumerate().map(|(at, item)| (format!("chpasswd.list[{at}]"), item));
    items
        .map(|(place, item)| match item {
            Value::String(line) => Ok((place, line.as_str())),
            other => Err(Refusal::at(place, "`user:password`").given(kind(other))),
        })
        .collect()
}

/// One `user:password`. What stands before the colon is not quoted unless it is a user name: it may be a part of
/// a password whose user was forgotten.
fn list_entry(place: String, line: &str) -> Result<Entry, Refusal> {
    let Some((name, value)) = line.split_once(':') else {
        return Err(Refusal::at(place, "`user:password`").given("a text without a colon"));
    };
    let Some(name) = UserName::parse(name) else {
        return Err(Refusal::at(place, format!("{}, before the first colon", user_name::EXPECTED)));
    };
    let password = match form_of(value) {
        _ if matches!(value, "R" | "RANDOM") => Password::Random,
        Form::Hash => Password::Hash(Secret::new(value)),
        // A person's 13 letters are a password here, as in cloud-init.
        Form::MaybeDes | Form::Other => Password::Text(plain_text(value, &place)?),
        Form::Broken(why) => {
            return Err(Refusal::at(place, "`user:password` with a crypt(5) hash or a plain password")
                .given(format!("a value that begins like a hash but {why}"))
                .hint("if it is a plain password, name it in `chpasswd.users` with `type: text`"));
        }
        // cloud-init would set the password to an exclamation mark.
        Form::Lock => {
            return Err(Refusal::at(place, "`user:password` with a crypt(5) hash or a plain password")
                .given("a lock")
                .hint("to lock an account use `chpasswd.users` with `type: hash`"));
        }
    };
    Ok(Entry { place, name, password })
}

fn each_once(entries: &[Entry]) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeMap::new();
    for entry in entries {
        if let Some(first) = seen.insert(&entry.name, &entry.place) {
            let expected = format!("each user once; `{}` is named at `{first}` already", entry.name);
            return Err(Refusal::at(&entry.place, expected));
        }
    }
    Ok(())
}

fn within_limit(place: &str, users: usize) -> Result<(), Refusal> {
    if users <= MOST_USERS {
        return Ok(());
    }
    Err(Refusal::at(place, format!("at most {MOST_USERS} users in one push"))
        .given(users.to_string())
        .hint("push them in several messages"))
}

fn object<'a>(value: &'a Value, place: &str, expected: &str) -> Result<&'a Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| Refusal::at(place, expected).given(kind(value)))
}

fn array<'a>(value: &'a Value, place: &str, expected: &str) -> Result<&'a Vec<Value>, Refusal> {
    value.as_array().ok_or_else(|| Refusal::at(place, expected).given(kind(value)))
}

fn text<'a>(value: Option<&'a Value>, place: &str, expected: &str) -> Result<&'a str, Refusal> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => Err(Refusal::at(place, expected).given(other.map_or("nothing", kind))),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn unknown(folder: &str, key: &str, known: &[&str]) -> Refusal {
    let listed = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if !quotable(key) {
        // `{"root:secret": …}`: whatever this was meant to be, it is not repeated.
        let place = if folder.is_empty() { "data" } else { folder };
        return Refusal::at(place, format!("only the keys {listed}")).given("a key that is no word");
    }
    let place = if folder.is_empty() { key.to_owned() } else { format!("{folder}.{key}") };
    let refusal = Refusal::at(place, format!("one of the keys {listed}"));
    match nearest(key, known) {
        Some(meant) => refusal.hint(format!("did you mean `{meant}`?")),
        None => refusal,
    }
}

/// True for what can only be a misspelt word, and so may be repeated in a refusal.
fn quotable(word: &str) -> bool {
    word.len() <= 24 && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In every password below; no key, name or text of ours holds it.
    const MARK: &str = "Zq7Zq7";

    fn parse(payload: &Value) -> Result<Request, Refusal> {
        Request::parse(&serde_json::value::to_raw_value(payload).unwrap())
    }

    proptest! {
        #[test]
        fn no_refusal_and_no_request_shows_a_password(
            before in "(\\$6\\$|\\$y\\$j9T\\$|!|_)?\\PC{0,12}",
            after in "[\\$:\\n\\x00 -~äß]{0,12}",
            kind in prop_oneof![Just("hash"), Just("text"), Just("RANDOM"), Just("txet")],
            user in "(root|-r|a b|)",
        ) {
            let password = format!("{before}{MARK}{after}");
            let payloads = [
                serde_json::json!({"chpasswd": {"users": [{"name": user, "password": password, "type": kind}]}}),
                serde_json::json!({"chpasswd": {"users": [{"name": "root", "type": password}]}}),
                serde_json::json!({"chpasswd": {"list": [format!("{user}:{password}")]}}),
                // A forgotten user: what stands before the first colon is no name.
                serde_json::json!({"chpasswd": {"list": [format!("a b{password}")]}}),
                serde_json::json!({"chpasswd": {"list": format!("a b{password}")}}),
                serde_json::json!({"chpasswd": {"list": {user.as_str(): password}}}),
                serde_json::json!({"chpasswd": {format!("{user}:{password}"): 1}}),
                serde_json::json!({password.as_str(): 1, "password": password}),
                serde_json::json!({"chpasswd": password}),
            ];
            for payload in payloads {
                match parse(&payload) {
                    Ok(request) => prop_assert!(!format!("{:?}", request).contains(MARK), "{:?}", request),
                    Err(refusal) => prop_assert!(!format!("{refusal} {refusal:?}").contains(MARK), "{}", refusal),
                }
            }
        }

        #[test]
        fn no_document_makes_it_panic(document in "[\\[\\]{}\",:a-z0-9$ ]{0,60}") {
            if let Ok(payload) = RawValue::from_string(document) {
                // Whether it is refused is not the question here.
                let _answer = Request::parse(&payload);
            }
        }
    }
}
