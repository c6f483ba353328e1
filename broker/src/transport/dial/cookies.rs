//! The cookies of one server: CometD binds sessions to one, load balancers stick by another (RFC 6265).

/// As many as are kept; a server that sets more loses the oldest.
const MAX_COOKIES: usize = 16;
/// Longest cookie that is kept, name and value.
const MAX_BYTES: usize = 4096;

/// Names and values, in memory only. There is one jar a server and one path is asked for, so that domains and paths
/// decide nothing; what ends with the browser's session ends with this process.
#[derive(Default)]
pub(super) struct CookieJar {
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
}

impl CookieJar {
    /// Takes over a `Set-Cookie` header's value. What is malformed or too long is passed over.
    pub(super) fn set(&mut self, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if name.is_empty() || name.len() + value.len() > MAX_BYTES || !fits(name) || !fits(value) {
            return;
        }
        self.cookies.retain(|cookie| cookie.name != name);
        if parts.any(takes_back) {
            return;
        }
        if self.cookies.len() == MAX_COOKIES {
            self.cookies.remove(0);
        }
        self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned() });
    }

    /// The `Cookie` header's value, if there are any.
    pub(super) fn header(&self) -> Option<String> {
        let pairs: Vec<String> =
            self.cookies.iter().map(|Cookie { name, value }| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// True for an attribute that says: forget it. (An `Expires` in the past says so too, in older servers; without the
/// time of day that is not looked at, and a cookie more does no harm.)
fn takes_back(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("max-age") && value.trim().parse::<i64>().is_ok_and(|age| age <= 0)
}

// Not derived: a cookie is a credential.
impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CookieJar({} cookies)", self.cookies.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_set_replaced_and_taken_back() {
        let mut jar = CookieJar::default();
        assert_eq!(jar.header(), None);
        jar.set("BAYEUX_BROWSER=abc123; Path=/; HttpOnly");
        jar.set("lb=1");
        assert_eq!(jar.header().unwrap(), "BAYEUX_BROWSER=abc123; lb=1");
        jar.set("BAYEUX_BROWSER=def");
        assert_eq!(jar.header().unwrap(), "lb=1; BAYEUX_BROWSER=def");
        jar.set("lb=gone; max-age=0");
        assert_eq!(jar.header().unwrap(), "BAYEUX_BROWSER=def");
        assert!(!format!("{jar:?}").contains("def"));
    }

    #[test]
    fn nonsense_is_passed_over_and_the_jar_is_bounded() {
        let mut jar = CookieJar::default();
        for bad in
            ["", "x", "=y", "a=b c", "a=\u{e9}", "a=b\r\nInjected: 1", &format!("a={}", "x".repeat(5000))]
        {
            jar.set(bad);
            assert_eq!(jar.header(), None, "{bad:?}");
        }
        for number in 0..=MAX_COOKIES {
            jar.set(&format!("c{number}=1"));
        }
        let header = jar.header().unwrap();
        assert_eq!(header.split("; ").count(), MAX_COOKIES);
        assert!(header.starts_with("c1=1") && header.ends_with("c16=1"), "{header}");
    }
}
