//! Disks that fail or are full.

use cloud_channel_handlers::{FileState, Held, Preimage};

use super::super::backend::fault;
use super::*;

/// A bit of everything in one transaction.
fn change(journal: &mut Journal, arrival: ArrivalNo) -> Result<(), JournalError> {
    let mut txn = journal.begin()?;
    for number in 0..6 {
        txn.accept(&push(&format!("f-{number}"), &format!("\"{}\"", "x".repeat(3000))))?;
    }
    let seq = txn.reserve_seq(1)?.next().unwrap();
    txn.complete(arrival, Some(&Held::document(1.into())), seq, &event("[]", true))?;
    txn.commit()
}

/// What tells the state before [`change`] from the state after it.
fn state(journal: &mut Journal) -> (usize, usize, usize) {
    let contents = journal.load().unwrap();
    (contents.inbox.len(), contents.outbox.len(), contents.modules.len())
}

/// Each write, sync and resize of a transaction fails once, one after another.
#[test]
fn a_failing_disk_leaves_all_or_nothing_and_a_usable_journal() {
    let mut faults = 0;
    for passing in 0.. {
        let root = tempfile::tempdir().unwrap();
        let mut journal = open(root.path());
        let arrival = accept(&mut journal, &push("first", "1")).arrival;
        fault::after(passing);
        let result = change(&mut journal, arrival);
        if !fault::clear() {
            result.unwrap();
            break;
        }
        faults += 1;
        let after = state(&mut journal);
        match result {
            // Freeing what the commit left over comes after it, and is no part of it.
            Ok(()) | Err(JournalError::Commit { in_doubt: true, .. }) => {
                assert_eq!(after, (6, 1, 1), "{passing}");
            }
            Err(error) => {
                assert_eq!(after, (1, 0, 0), "{passing}: {error:?}");
                change(&mut journal, arrival).unwrap();
                assert_eq!(state(&mut journal), (6, 1, 1), "{passing}");
            }
        }
        let copy = tempfile::tempdir().unwrap();
        killed(&journal, copy.path());
        assert_eq!(state(&mut open(copy.path())), (6, 1, 1), "{passing}");
    }
    assert!(faults > 3, "{faults}");
}

#[test]
fn a_journal_that_cannot_be_made_is_made_the_next_time() {
    let mut faults = 0;
    for passing in 0.. {
        let root = tempfile::tempdir().unwrap();
        fault::after(passing);
        let result = Journal::open(root.path(), JournalLimits::default());
        if !fault::clear() {
            result.unwrap();
            break;
        }
        faults += 1;
        drop(result);
        let mut journal = open(root.path());
        accept(&mut journal, &push("a", "1"));
    }
    assert!(faults > 3, "{faults}");
}

#[test]
fn a_full_journal_says_so_and_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let limits = JournalLimits { journal_bytes: 512 * 1024, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let large = format!("\"{}\"", "x".repeat(60_000));
    let mut arrivals = Vec::new();
    let error = loop {
        let mut txn = journal.begin().unwrap();
        let admission = txn.accept(&push(&arrivals.len().to_string(), &large));
        match admission.and_then(|admission| txn.commit().map(|()| admission)) {
            Ok(Admission::Accepted(accepted)) => arrivals.push(accepted.arrival),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { limit: 524_288 }), "{error:?}");
    assert!(arrivals.len() >= 3, "{arrivals:?}");
    let kept: Vec<_> = journal.load().unwrap().inbox.iter().map(|accepted| accepted.arrival).collect();
    assert_eq!(kept, arrivals);
    for arrival in arrivals {
        finish(&mut journal, arrival, None);
    }
    accept(&mut journal, &push("again", &large));
}

/// What the other limits allow must fit into the file. All is scaled down alike, since what the store takes for a
/// value grows with it.
#[test]
fn all_limits_together_fit() {
    const SCALE: usize = 8;
    let root = tempfile::tempdir().unwrap();
    let full = JournalLimits::default();
    let limits = JournalLimits {
        outbox_bytes: full.outbox_bytes / SCALE as u64,
        // As much as can be configured.
        retained_events: 1_000_000,
        retained_bytes: (8 << 20) / SCALE as u64,
        inbox_bytes: full.inbox_bytes / SCALE as u64,
        preimage_bytes: full.preimage_bytes / SCALE,
        held_bytes: full.held_bytes / SCALE,
        journal_bytes: full.journal_bytes / SCALE as u64,
        ..full
    };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let payload = format!("\"{}\"", "x".repeat(250 * 1024 / SCALE));
    let mut arrivals = Vec::new();
    loop {
        let mut wanted = push(&arrivals.len().to_string(), &payload);
        wanted.module = if arrivals.len() % 2 == 0 { Module::Network } else { Module::SetPasswords };
        match once(&mut journal, |txn| txn.accept(&wanted)) {
            Admission::Accepted(accepted) => arrivals.push(accepted.arrival),
            Admission::Busy => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(arrivals.len(), 64);
    let report = event(&format!("\"{}\"", "x".repeat(400)), false);
    for _ in 0..10 {
        once(&mut journal, |txn| {
            for seq in txn.reserve_seq(100)? {
                txn.append_event(seq, &report)?;
            }
            Ok(())
        });
    }
    assert!(journal.dropped().unwrap().reporting > 100);
    for _ in 0..40 {
        once(&mut journal, |txn| {
            for seq in txn.reserve_seq(100)? {
                txn.append_event(seq, &report)?;
                txn.settle_event(seq)?;
            }
            Ok(())
        });
    }
    assert!(journal.window().unwrap().forgotten.0 > 1_000, "the retained events are over their bound");
    // Written as numbers, a file's bytes take up to four times their size.
    let state = FileState::of_root(vec![200; limits.preimage_bytes / 4 - 100], 0o600);
    let preimage = Preimage { files: vec![("/f".into(), Some(state))], ..Preimage::default() };
    let held = Held::document("x".repeat(limits.held_bytes - 10).into());
    for arrival in &arrivals[..2] {
        once(&mut journal, |txn| txn.started(*arrival, &preimage));
    }
    for (number, arrival) in arrivals.into_iter().enumerate() {
        finish(&mut journal, arrival, (number < 4).then_some(&held));
    }
    let contents = journal.load().unwrap();
    assert_eq!((contents.inbox.len(), contents.modules.len()), (0, 2));
    assert!(std::fs::metadata(journal.path()).unwrap().len() <= limits.journal_bytes);
}
