//! A file change as people read it: a unified diff.

use std::borrow::Cow;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

use crate::{FileChange, FileState};

/// Unchanged lines that are shown around a change.
const CONTEXT: u32 = 3;

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
    let mut shown =
        format!("--- {}\n+++ {}\n", name("a", change.before.as_ref()), name("b", change.after.as_ref()));
    let files = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &files);
    diff.postprocess_lines(&files);
    let hunks: Vec<Hunk> = diff.hunks().collect();
    if hunks.is_empty() {
        return String::new();
    }
    for near in hunks.chunk_by(|left, right| right.before.start - left.before.end <= 2 * CONTEXT) {
        show_hunks(near, &files, &mut shown);
    }
    cut(shown)
}

/// Changes that lie near each other, with what is around them.
fn show_hunks(hunks: &[Hunk], files: &InternedInput<&str>, shown: &mut String) {
    let (first, last) = (&hunks[0], &hunks[hunks.len() - 1]);
    let lead = first.before.start.min(CONTEXT);
    // Files that are compared are far shorter than this could not say.
    let lines = u32::try_from(files.before.len()).unwrap_or(u32::MAX);
    let trail = (lines - last.before.end).min(CONTEXT);
    let before = first.before.start - lead..last.before.end + trail;
    let after = first.after.start - lead..last.after.end + trail;
    shown.push_str(&format!("@@ -{} +{} @@\n", numbers(&before), numbers(&after)));
    let mut next = before.start;
    for hunk in hunks {
        show_lines(' ', &files.before, next..hunk.before.start, files, shown);
        show_lines('-', &files.before, hunk.before.clone(), files, shown);
        show_lines('+', &files.after, hunk.after.clone(), files, shown);
        next = hunk.before.end;
    }
    show_lines(' ', &files.before, next..before.end, files, shown);
}

fn show_lines(
    sign: char,
    lines: &[Token],
    range: Range<u32>,
    files: &InternedInput<&str>,
    shown: &mut String,
) {
    for token in &lines[range.start as usize..range.end as usize] {
        let line = files.interner[*token];
        shown.push(sign);
        shown.push_str(line);
        if !line.ends_with('\n') {
            shown.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Lines as a hunk's head names them: the first, counted from 1, and how many unless it is one. No lines are named
/// by the line before them.
fn numbers(lines: &Range<u32>) -> String {
    match lines.end - lines.start {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
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
    fn near_changes_share_a_hunk_and_far_ones_do_not() {
        let lines: Vec<String> = (1..=30).map(|number| format!("{number}\n")).collect();
        let before = lines.concat();
        let mut changed = lines;
        changed[1] = "two\n".into();
        changed.insert(8, "new\n".into());
        changed.remove(23);
        let expected = "--- a/etc/x\n+++ b/etc/x\n\
            @@ -1,11 +1,12 @@\n 1\n-2\n+two\n 3\n 4\n 5\n 6\n 7\n 8\n+new\n 9\n 10\n 11\n\
            @@ -20,7 +21,6 @@\n 20\n 21\n 22\n-23\n 24\n 25\n 26\n";
        assert_eq!(unified(&change(Some(before.as_bytes()), Some(changed.concat().as_bytes()))), expected);
    }

    #[test]
    fn a_last_line_without_an_end_is_marked() {
        let expected =
            "--- a/etc/x\n+++ b/etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n";
        assert_eq!(unified(&change(Some(b"a\nb"), Some(b"a\nb\n"))), expected);
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
