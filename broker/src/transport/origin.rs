//! Web pages: which may reach us through a browser, and what the browser is told (CORS).

use axum::http::{HeaderMap, HeaderValue, header};

/// How long a browser may keep what it was told of what is allowed, in seconds.
const MAX_AGE: &str = "600";

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A program, or a page of our own address.
    Own,
    /// A page that the configuration allows: its origin is said back to the browser.
    Allowed(HeaderValue),
    /// Any other page.
    Foreign,
}

impl Origin {
    /// Judges a request by its headers; `allowed` are the origins of the configuration.
    ///
    /// Programs send no Origin, or the one they connect to. A page can only claim that one if its host is a name: so
    /// names other than `localhost` are refused too.
    pub(super) fn of(headers: &HeaderMap, allowed: &[String]) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Self::Own };
        // No browser sends two, and whoever has added one cannot be told apart from it.
        if origins.next().is_some() {
            return Self::Foreign;
        }
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
        let named = text(origin).unwrap_or_default();
        if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&named)) {
            return Self::Allowed(origin.clone());
        }
        let host = headers.get(header::HOST).and_then(text).unwrap_or_default();
        let rest = named.strip_prefix("http://").or_else(|| named.strip_prefix("https://"));
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _port)| name);
        let literal =
            name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if rest.is_some_and(|rest| rest == host) && literal { Self::Own } else { Self::Foreign }
    }

    /// What the browser is told with a response.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Self::Allowed(origin) = self {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            // Clients ask with credentials, whether they have any or not.
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// What it is told beforehand, when it asks what is allowed.
    pub(super) fn tell_before(&self, headers: &mut HeaderMap) {
        self.tell(headers);
        if matches!(self, Self::Allowed(_)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("Content-Type, Authorization"),
            );
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_a_stranger() {
        let allowed = ["https://console.example".to_owned()];
        for (origin, host, expected) in [
            (None, "127.0.0.1", Some("own")),
            (Some("http://127.0.0.1"), "127.0.0.1", Some("own")),
            (Some("https://127.0.0.1:169"), "127.0.0.1:169", Some("own")),
            (Some("http://[::1]:169"), "[::1]:169", Some("own")),
            (Some("http://LOCALHOST:169"), "localhost:169", Some("own")),
            (Some("http://127.0.0.1:170"), "127.0.0.1:169", None),
            (Some("http://evil.example"), "127.0.0.1", None),
            (Some("http://evil.example"), "evil.example", None),
            (Some("null"), "127.0.0.1", None),
            (Some(""), "", None),
            (Some("https://console.example"), "127.0.0.1", Some("allowed")),
            (Some("https://Console.Example"), "guest.example", Some("allowed")),
            (Some("http://console.example"), "127.0.0.1", None),
            (Some("https://console.example.evil"), "127.0.0.1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let judged = match Origin::of(&headers, &allowed) {
                Origin::Own => Some("own"),
                Origin::Allowed(said) => {
                    assert_eq!(said, origin.unwrap(), "said back as it came");
                    Some("allowed")
                }
                Origin::Foreign => None,
            };
            assert_eq!(judged, expected, "{origin:?} to {host}");
        }
    }

    #[test]
    fn two_origins_are_none_of_ours() {
        let allowed = ["https://console.example".to_owned()];
        for first in ["https://console.example", "http://127.0.0.1"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1"));
            headers.append(header::ORIGIN, first.parse().unwrap());
            headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
            assert_eq!(Origin::of(&headers, &allowed), Origin::Foreign, "{first}");
        }
    }
}
