//! Messages that were sent as an HTML form does: `message=…&message=…`, percent-encoded.

use axum::http::{HeaderMap, header};

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// A form that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FormError {
    #[error("expected `message=` in the form, once or more, each with messages as JSON")]
    NoMessage,
    #[error("expected two hexadecimal digits after each `%` of the form")]
    Encoding,
}

/// True if a body is a form. Some programs say that of JSON too; no form begins like JSON.
pub(super) fn is_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let json = matches!(body.trim_ascii_start().first(), Some(b'[' | b'{'));
    media.eq_ignore_ascii_case(FORM) && !json
}

/// The messages of a form as one batch. Each `message` is an array of messages or one of them; what is neither is for
/// the core to refuse.
pub(super) fn messages(form: &[u8]) -> Result<Vec<u8>, FormError> {
    let fields = form.trim_ascii().split(|byte| *byte == b'&');
    let texts = fields.filter_map(|field| field.strip_prefix(b"message="));
    let mut texts = texts.map(decode).collect::<Result<Vec<_>, _>>()?;
    match texts.len() {
        0 => Err(FormError::NoMessage),
        1 => Ok(texts.remove(0)),
        _ => Ok(join(&texts)),
    }
}

/// One array of several texts. They come from one peer and are read as one batch: if one is malformed, so is all.
fn join(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = b"[".to_vec();
    for text in texts {
        let text = text.trim_ascii();
        let inner = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(text);
        if inner.trim_ascii().is_empty() {
            continue;
        }
        if batch.len() > 1 {
            batch.push(b',');
        }
        batch.extend_from_slice(inner);
    }
    batch.push(b']');
    batch
}

fn decode(text: &[u8]) -> Result<Vec<u8>, FormError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => {
                let (digits, others) = others.split_first_chunk::<2>().ok_or(FormError::Encoding)?;
                decoded.push(digit(digits[0])? << 4 | digit(digits[1])?);
                rest = others;
            }
            plain => decoded.push(*plain),
        }
    }
    Ok(decoded)
}

const fn digit(byte: u8) -> Result<u8, FormError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(FormError::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_batches() {
        for (form, expected) in [
            ("message=%5B%7B%22a%22%3A+1%7D%5D", Ok(r#"[{"a": 1}]"#)),
            ("message={\"a\":1}", Ok(r#"{"a":1}"#)),
            ("x=1&message=%5b1%5d&y", Ok("[1]")),
            ("message=%5B1%5D&message=2&message=[]&message=+%5B3,4%5D+\r\n", Ok("[1,2,3,4]")),
            ("message=", Ok("")),
            ("message=%C3%BC", Ok("ü")),
            ("message=%", Err(FormError::Encoding)),
            ("message=%5", Err(FormError::Encoding)),
            ("message=%zz", Err(FormError::Encoding)),
            ("", Err(FormError::NoMessage)),
            ("massage=1", Err(FormError::NoMessage)),
        ] {
            let expected = expected.map(|text: &str| text.as_bytes().to_vec());
            assert_eq!(messages(form.as_bytes()), expected, "{form}");
        }
    }

    #[test]
    fn json_under_a_forms_name_is_json() {
        let mut headers = HeaderMap::new();
        assert!(!is_form(&headers, b"message=1"), "nothing says so");
        headers.insert(
            header::CONTENT_TYPE,
            "Application/X-WWW-Form-URLencoded; charset=UTF-8".parse().unwrap(),
        );
        assert!(is_form(&headers, b"message=1"));
        assert!(!is_form(&headers, b" [{}]"));
        headers.insert(header::CONTENT_TYPE, "text/json".parse().unwrap());
        assert!(!is_form(&headers, b"message=1"));
    }
}
