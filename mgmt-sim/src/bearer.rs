//! The bearer token that guests have to show: the one line of a file, which is read anew for each of them.

use std::path::PathBuf;

use subtle::ConstantTimeEq as _;
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;

/// Where the token is.
#[derive(Debug, Clone)]
pub struct BearerFile(PathBuf);

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    /// Nothing, or another token, was shown.
    #[error("expected `Authorization: Bearer …` with the token of this server")]
    Token,
    /// There is nothing to compare with.
    #[error("this server cannot read its token")]
    File,
}

impl BearerFile {
    /// In this file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Judges who asks for an upgrade.
    pub(crate) fn judge(&self, request: &Request) -> Result<(), Unknown> {
        let text = std::fs::read_to_string(&self.0).map_err(|_| Unknown::File)?;
        let token = text.trim_end();
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Unknown::Token)?;
        let fits = !token.is_empty() && bool::from(shown.as_bytes().ct_eq(token.as_bytes()));
        if fits { Ok(()) } else { Err(Unknown::Token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(authorization: Option<&str>) -> Request {
        let mut request = Request::new(());
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn the_token_of_now_opens_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let bearer = BearerFile::at(path.clone());
        let right = asking(Some("Bearer one"));
        assert!(matches!(bearer.judge(&right), Err(Unknown::File)));
        std::fs::write(&path, "one\n").unwrap();
        assert!(bearer.judge(&right).is_ok());
        for wrong in [None, Some("Bearer on"), Some("Bearer "), Some("one"), Some("Basic one")] {
            assert!(matches!(bearer.judge(&asking(wrong)), Err(Unknown::Token)), "{wrong:?}");
        }
        std::fs::write(&path, "two\n").unwrap();
        assert!(bearer.judge(&right).is_err() && bearer.judge(&asking(Some("Bearer two"))).is_ok());
        // An empty file lets nobody in.
        std::fs::write(&path, "\n").unwrap();
        assert!(bearer.judge(&asking(Some("Bearer "))).is_err());
    }
}
