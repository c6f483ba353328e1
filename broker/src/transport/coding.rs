//! The transfer coding of a request's body (RFC 9112, 6.1 and 7).

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A body in a coding that nothing here undoes. The HTTP library looks at the last coding alone, so the body would be
/// taken for plain, and programs on its way may see its end elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected no Transfer-Encoding but chunked, once")]
pub(super) struct UnknownCoding;

impl IntoResponse for UnknownCoding {
    fn into_response(self) -> Response {
        // What follows on such a stream is not to be trusted either.
        (StatusCode::NOT_IMPLEMENTED, [(header::CONNECTION, "close")], format!("{self}\n")).into_response()
    }
}

/// Checks that a body is as it stands, or chunked.
pub(super) fn check(headers: &HeaderMap) -> Result<(), UnknownCoding> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(UnknownCoding),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(codings: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(coding));
        }
        headers
    }

    #[test]
    fn chunked_is_known_and_nothing_else() {
        for known in [vec![], vec!["chunked"], vec!["Chunked "]] {
            assert_eq!(check(&headers(&known)), Ok(()), "{known:?}");
        }
        for unknown in [
            vec!["gzip, chunked"],
            vec!["chunked, chunked"],
            vec!["chunked", "chunked"],
            vec!["gzip", "chunked"],
            vec!["identity"],
            vec!["chunked;q=1"],
            vec![""],
        ] {
            assert_eq!(check(&headers(&unknown)), Err(UnknownCoding), "{unknown:?}");
        }
    }
}
