//! An outcome as JUnit XML, which every CI reads.

use std::fmt::Write as _;
use std::path::Path;

use super::outcome::Outcome;

/// One test suite: a case for each step, skipped ones too.
#[must_use]
pub fn to_junit(name: &str, file: &Path, outcome: &Outcome) -> String {
    let failures = outcome.played.iter().filter(|step| step.failure.is_some()).count();
    let tests = outcome.played.len() + outcome.skipped.len();
    let skipped = outcome.skipped.len();
    let name = escape(name);
    let file = escape(&file.display().to_string());
    let time = outcome.took.as_secs_f64();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{name}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.3}\">\n"
    );
    // Writing into a string does not fail.
    for step in &outcome.played {
        let (title, time) = (escape(&step.title), step.took.as_secs_f64());
        let head = format!(
            "    <testcase classname=\"{name}\" name=\"{title}\" file=\"{file}\" line=\"{}\"",
            step.line
        );
        let _infallible = match &step.failure {
            None => writeln!(xml, "{head} time=\"{time:.3}\"/>"),
            Some(failure) => {
                let (expected, came) = (escape(&failure.expected), escape(&failure.came.join("\n")));
                writeln!(
                    xml,
                    "{head} time=\"{time:.3}\">\n      <failure message=\"expected {expected}\">{came}</failure>\n    \
                     </testcase>"
                )
            }
        };
    }
    for (title, line) in &outcome.skipped {
        let title = escape(title);
        let _infallible = writeln!(
            xml,
            "    <testcase classname=\"{name}\" name=\"{title}\" file=\"{file}\" line=\"{line}\"><skipped/></testcase>"
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text for an element or an attribute. Characters that XML 1.0 cannot hold at all become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push_str(if c == '\n' { "&#10;" } else { "&#9;" }),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
