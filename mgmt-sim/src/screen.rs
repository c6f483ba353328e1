//! What the terminal can show: colours, and characters beyond ASCII.

use std::io::IsTerminal;

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    colours: bool,
    unicode: bool,
}

impl Paint {
    /// No colours, ASCII marks.
    pub const PLAIN: Self = Self { colours: false, unicode: false };

    /// Colours if standard output is a terminal that wants them (`NO_COLOR`, `TERM=dumb`), UTF-8 marks if the
    /// locale says so.
    #[must_use]
    pub fn detect() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| set(name)).and_then(std::env::var_os);
        let locale = locale.map(|locale| locale.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let unicode = locale.contains("utf-8") || locale.contains("utf8");
        Self { colours: std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb, unicode }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Emphasis.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Less important.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Well done, or added.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Done, with something to know.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Not done, or removed.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// The mark of a step that went as it should, or did not.
    #[must_use]
    pub fn mark(self, well: bool) -> String {
        match (well, self.unicode) {
            (true, true) => self.good("✓"),
            (true, false) => self.good("ok  "),
            (false, true) => self.bad("✗"),
            (false, false) => self.bad("FAIL"),
        }
    }

    /// The mark of what we send or do.
    #[must_use]
    pub fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }
}

/// Writes one line for people, or for programs, to standard output.
///
/// # Errors
/// If nobody reads it any more.
pub fn say(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
