//! A file change as people read it: a unified diff.

use std::borrow::Cow;

use similar::TextDiff;

use crate::{FileChange, FileState};

/// What a dry run may answer for one file.
const LONGEST: usize = 64 * 1024;

/// Comparing costs the product of the file's length and its changes: longer files are only named.
const LARGEST_COMPARED: usize = 128 * 1024;

/// The change as a unified diff with three lines of context; `(binary)` if a side is not UTF-8. Cut, and said so,
/// after 64 KiB.
pub(crate) fn unified(change: &FileChange) -> String {
    let (Some(before), Some(after)) = (text(change.before.as_ref()), text(change.after.as_ref())) else {
        return "(binary)".into();
    };
    if before.len().max(after.len()) > LARGEST_COMPARED {
        return format!("(too large to compare: {} bytes before, {} after)", before.len(), after.len());
    }
    let name = |prefix, state: Option<&FileState>| match state {
        Some(_) => Cow::Owned(format!("{prefix}{}", change.path)),
        None => Cow::Borrowed("/dev/null"),
    };
    let diff = TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&name("a", change.before.as_ref()), &name("b", change.after.as_ref()))
        .to_string();
    cut(diff)
}

fn text(state: Option<&FileState>) -> Option<&str> {
    state.map_or(Some(""), |state| std::str::from_utf8(&state.content).ok())
}

fn cut(mut diff: String) -> String {
    if diff.len() <= LONGEST {
        return diff;
    }
    let mut end = LONGEST;
    while !diff.is_char_boundary(end) {
        end -= 1;
    }
    let hidden = diff.len() - end;
    diff.truncate(end);
    diff.push_str(&format!("\n(cut here: {hidden} more bytes)\n"));
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Option<&[u8]>, after: Option<&[u8]>) -> FileChange {
        let state = |content: &[u8]| FileState::of_root(content, 0o644);
        FileChange {
            path: "/etc/x".into(),
            before: before.map(state),
            after: after.map(state),
            secret: false,
        }
    }

    #[test]
    fn shows_what_changed_and_nothing_far_from_it() {
        let before = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let expected = "--- a/etc/x\n+++ b/etc/x\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
        assert_eq!(unified(&change(Some(before), Some(after))), expected);
    }

    #[test]
    fn a_new_file_comes_from_dev_null_and_a_removed_one_goes_there() {
        assert_eq!(unified(&change(None, Some(b"a\n"))), "--- /dev/null\n+++ b/etc/x\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(unified(&change(Some(b"a\n"), None)), "--- a/etc/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_not_shown() {
        assert_eq!(unified(&change(Some(b"\xff"), Some(b"a"))), "(binary)");
    }

    #[test]
    fn is_bounded() {
        let long = "ä line\n".repeat(12_000);
        let shown = unified(&change(None, Some(long.as_bytes())));
        assert!(shown.len() < LONGEST + 100 && shown.contains("(cut here: "), "{}", shown.len());
        let longer = "line\n".repeat(100_000);
        assert_eq!(
            unified(&change(None, Some(longer.as_bytes()))),
            "(too large to compare: 0 bytes before, 500000 after)"
        );
    }
}
