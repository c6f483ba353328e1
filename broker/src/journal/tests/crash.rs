//! A real process, really killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use cloud_channel_handlers::Held;

use super::*;

const ROOT: &str = "CLOUD_CHANNEL_TEST_JOURNAL";

/// The child: accepts and finishes pushes, and says what is committed, until it is killed.
#[test]
#[ignore = "runs as the child of the test below"]
fn child() {
    let root = std::env::var_os(ROOT).expect("started by its parent only");
    let mut journal = open(root.as_ref());
    let mut out = std::io::stdout();
    let next = journal.load().unwrap().inbox.last().map_or(0, |last| last.arrived_ms + 1);
    for number in next.. {
        let mut txn = journal.begin().unwrap();
        let mut wanted = push(&number.to_string(), &format!("\"{}\"", "x".repeat(2000)));
        wanted.arrived_ms = number;
        txn.accept(&wanted).unwrap();
        txn.commit().unwrap();
        writeln!(out, "accepted {number}").unwrap();

        let oldest = journal.load().unwrap().inbox[0].clone();
        if number - oldest.arrived_ms >= 5 {
            let held = Held::document(oldest.arrived_ms.into());
            finish(&mut journal, oldest.arrival, Some(&held));
            writeln!(out, "finished {}", oldest.arrived_ms).unwrap();
        }
    }
}

/// Lets a child run for so many lines, kills it, and gives its last words of each kind.
fn run_child(root: &Path, lines: usize) -> (Option<u64>, Option<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([concat!(module_path!(), "::child").split_once("::").unwrap().1])
        .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut accepted, mut finished) = (None, None);
    let mut hear = |line: &str| match line.rsplit_once(' ') {
        Some((kind, number)) if kind.ends_with("accepted") => accepted = Some(number.parse().unwrap()),
        Some(("finished", number)) => finished = Some(number.parse().unwrap()),
        _ => {}
    };
    told.by_ref().take(lines).for_each(|line| hear(&line.unwrap()));
    child.kill().unwrap();
    // What it said until the kill arrived counts too; its last line may be cut.
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    rest.iter().for_each(|line| hear(line));
    assert!(!child.wait().unwrap().success());
    (accepted, finished)
}

#[test]
fn what_was_committed_survives_kill_9() {
    let root = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..12 {
        let (accepted, finished) = run_child(root.path(), 12 + round * 3);
        let accepted = accepted.unwrap();
        assert!(round == 0 || accepted > last);
        let mut journal = open(root.path());
        let contents = journal.load().unwrap();
        let numbers: Vec<u64> = contents.inbox.iter().map(|push| push.arrived_ms).collect();
        let newest = *numbers.last().unwrap();
        let oldest = numbers[0];
        // The commit in flight may have made it, unheard; no more than one.
        assert!((accepted..=accepted + 1).contains(&newest), "{round}: {newest} after {accepted}");
        assert_eq!(numbers, (oldest..=newest).collect::<Vec<_>>(), "{round}: no gap, no double");
        if let Some(finished) = finished {
            assert!((finished + 1..=finished + 2).contains(&oldest), "{round}: {oldest} after {finished}");
        }
        // Removed from the inbox, held, and reported go together.
        let held = contents.modules.first().map(|(_, state)| state.held.clone());
        let expected = oldest.checked_sub(1).map(|finished| Held::document(finished.into()));
        assert_eq!(held, expected, "{round}");
        assert_eq!(contents.outbox.len() as u64, oldest, "{round}");
        for push in &contents.inbox {
            assert_eq!(journal.entry(push.arrival).unwrap().payload.as_raw().get().len(), 2002);
        }
        last = newest;
    }
}
