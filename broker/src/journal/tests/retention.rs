//! What is kept of delivered events, how it is read, and the format before there was any of it.

use redb::Database;

use super::*;

const ALL: PageLimits = PageLimits { events: 1_000, bytes: 1 << 20, looked_at: 10_000 };

/// Appends an event at a time.
fn append(journal: &mut Journal, text: &str, at: u64) -> Seq {
    once(journal, |txn| {
        txn.at(at);
        let seq = txn.reserve_seq(1)?.next().unwrap();
        txn.append_event(seq, &event(text, false))?;
        Ok(seq)
    })
}

fn settle(journal: &mut Journal, seq: Seq, at: u64) {
    once(journal, |txn| {
        txn.at(at);
        txn.settle_event(seq)
    });
}

/// The numbers that are still there.
fn there(journal: &mut Journal) -> Vec<u64> {
    let page = journal.page(Seq(0), ALL, |_, _| true).unwrap();
    assert!(page.is_last);
    page.events.iter().map(|(seq, _)| seq.0).collect()
}

fn window(journal: &mut Journal) -> (u64, u64) {
    let window = journal.window().unwrap();
    (window.forgotten.0, window.newest.0)
}

#[test]
fn delivered_events_stay_and_the_oldest_go_first() {
    let root = tempfile::tempdir().unwrap();
    let limits = JournalLimits { retained_events: 2, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let seqs: Vec<Seq> = (0..5).map(|number| append(&mut journal, &number.to_string(), 1)).collect();
    assert_eq!(window(&mut journal), (0, 5));
    // The first is not delivered: it stays, whatever goes.
    for seq in &seqs[1..4] {
        settle(&mut journal, *seq, 1);
    }
    assert_eq!(there(&mut journal), [1, 3, 4, 5]);
    assert_eq!(window(&mut journal), (2, 5));
    drop(journal);
    let mut journal = Journal::open(root.path(), limits).unwrap();
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![1, 3, 4, 5], (2, 5)));
    assert_eq!(journal.load().unwrap().outbox.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [1, 5]);
    settle(&mut journal, seqs[0], 1);
    assert_eq!(there(&mut journal), [3, 4, 5], "the oldest delivered one went, though it was delivered last");
    // A smaller bound holds from the next commit on.
    drop(journal);
    let none = JournalLimits { retained_events: 0, ..limits };
    let mut journal = Journal::open(root.path(), none).unwrap();
    append(&mut journal, "6", 1);
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![5, 6], (4, 6)));
}

#[test]
fn they_go_by_bytes_and_by_age() {
    let root = tempfile::tempdir().unwrap();
    let limits = JournalLimits { retained_bytes: 10_000, retained_ms: 100, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let large = format!("\"{}\"", "x".repeat(3_000));
    for at in [10, 20, 30, 40] {
        let seq = append(&mut journal, &large, at);
        settle(&mut journal, seq, at);
    }
    assert_eq!(there(&mut journal), [3, 4], "each takes 4,096 bytes of the file");
    // The age is that of the event, not of its delivery.
    let late = append(&mut journal, "1", 129);
    assert_eq!(there(&mut journal), [3, 4, 5]);
    settle(&mut journal, late, 130);
    assert_eq!(there(&mut journal), [4, 5]);
    // Nothing is appended any more, yet nobody gets what is too old.
    once(&mut journal, |txn| {
        txn.at(140);
        txn.retire_events()
    });
    assert_eq!(there(&mut journal), [5]);
    // A clock that was set back makes nothing old.
    let early = append(&mut journal, "1", 5);
    settle(&mut journal, early, 5);
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![5, 6], (4, 6)));
}

#[test]
fn what_was_dropped_from_a_full_outbox_is_gone_too() {
    let root = tempfile::tempdir().unwrap();
    let limits = JournalLimits { outbox_events: 2, outbox_bytes: 4_000, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    for number in 0..3 {
        append(&mut journal, &number.to_string(), 1);
    }
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![2, 3], (1, 3)));
    append(&mut journal, &format!("\"{}\"", "x".repeat(5_000)), 1);
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![2, 3], (4, 4)), "it alone was too large");
}

#[test]
fn a_page_ends_where_a_limit_is_reached_and_goes_on_from_there() {
    let root = tempfile::tempdir().unwrap();
    let mut journal = open(root.path());
    for number in 0..9 {
        append(&mut journal, &format!("\"{number}{}\"", "x".repeat(1_000)), 1);
    }
    let mut page = |after, limits, odd_only: bool| {
        let page = journal.page(Seq(after), limits, |seq, channel| {
            assert_eq!(channel.as_str(), "/cloudinit/i/modules-config");
            !odd_only || seq.0 % 2 == 1
        });
        let page = page.unwrap();
        (page.events.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), page.reached.0, page.is_last)
    };
    assert_eq!(page(3, PageLimits { events: 2, ..ALL }, false), (vec![4, 5], 5, false));
    assert_eq!(page(5, PageLimits { bytes: 2_500, ..ALL }, false), (vec![6, 7], 7, false));
    assert_eq!(page(5, PageLimits { bytes: 1, ..ALL }, false), (vec![6], 6, false), "one at least");
    assert_eq!(page(2, PageLimits { looked_at: 3, ..ALL }, true), (vec![3, 5], 5, false));
    assert_eq!(page(5, ALL, true), (vec![7, 9], 9, true));
    assert_eq!(page(9, ALL, false), (vec![], 9, true));
    // Full at the very end: that it is the end is found by the next look.
    assert_eq!(page(7, PageLimits { events: 2, looked_at: 2, ..ALL }, false), (vec![8, 9], 9, false));
}

#[test]
fn numbers_have_to_rise() {
    let root = tempfile::tempdir().unwrap();
    let mut journal = open(root.path());
    once(&mut journal, |txn| {
        let numbers: Vec<Seq> = txn.reserve_seq(3)?.collect();
        txn.append_event(numbers[1], &event("1", false))?;
        for used in &numbers[..2] {
            let again = txn.append_event(*used, &event("2", false));
            assert!(matches!(again, Err(JournalError::SeqInUse(seq)) if seq == *used));
        }
        txn.append_event(numbers[2], &event("3", false))
    });
    assert_eq!(there(&mut journal), [2, 3]);
}

/// A journal as the version before wrote it, with these events waiting and 1,024 numbers reserved.
fn make_former(root: &Path, events: &[u64]) {
    let path = open(root).path();
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for table in [table::EVENTS, table::RETAINED] {
        assert!(txn.delete_table(table.definition()).unwrap());
    }
    let mut bytes = 0;
    for seq in events {
        let row = format!(
            r#"{{"channel":"/cloudinit/i/hotplug/block","keep":false,"data":{seq},"ext":{{"cloudinit":{{"seq":{seq}}}}}}}"#
        );
        bytes += row.len();
        table::put(&txn, table::OUTBOX, *seq, row.as_bytes()).unwrap();
        table::put(&txn, table::DROPPABLE, *seq, &[]).unwrap();
    }
    let tally = format!(
        r#"{{"commits":9,"next_arrival":1,"next_seq":1025,"inbox_entries":0,"inbox_bytes":0,"outbox_events":{},
            "outbox_bytes":{bytes},"dropped":{{"reporting":3,"finish":0}},"modules":{{}}}}"#,
        events.len()
    );
    table::put(&txn, META, TALLY_KEY, tally.as_bytes()).unwrap();
    table::put(&txn, META, FORMAT_KEY, b"2").unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_journal_of_the_former_format_is_taken_over() {
    let root = tempfile::tempdir().unwrap();
    make_former(root.path(), &[7, 9, 12]);
    let mut journal = open(root.path());
    let contents = journal.load().unwrap();
    let events: Vec<_> =
        contents.outbox.iter().map(|(seq, event)| (seq.0, event.data.get().to_owned())).collect();
    assert_eq!(events, [(7, "7".to_owned()), (9, "9".to_owned()), (12, "12".to_owned())]);
    assert_eq!(contents.outbox[0].1.channel.as_str(), "/cloudinit/i/hotplug/block");
    assert_eq!(contents.outbox[0].1.ext.as_ref().unwrap().get(), r#"{"cloudinit":{"seq":7}}"#);
    assert_eq!(contents.dropped.reporting, 3);
    // Any number may have been delivered before: it cannot be known which events are gone.
    assert_eq!(window(&mut journal), (1024, 1024));
    settle(&mut journal, Seq(9), u64::MAX / 2);
    assert_eq!(append(&mut journal, "1", 1).0, 1025);
    drop(journal);
    let mut journal = open(root.path());
    assert_eq!((there(&mut journal), window(&mut journal)), (vec![7, 9, 12, 1025], (1024, 1025)));
    assert_eq!(journal.load().unwrap().outbox.len(), 3);
}

#[test]
fn a_kill_in_the_middle_of_taking_over_leaves_the_former_format() {
    use super::super::backend::fault;
    let mut faults = 0;
    for passing in 0.. {
        let root = tempfile::tempdir().unwrap();
        make_former(root.path(), &[7, 9]);
        fault::after(passing);
        let result = Journal::open(root.path(), JournalLimits::default());
        if !fault::clear() {
            result.unwrap();
            break;
        }
        faults += 1;
        drop(result);
        let mut journal = open(root.path());
        assert_eq!((there(&mut journal), window(&mut journal)), (vec![7, 9], (1024, 1024)), "{passing}");
    }
    assert!(faults > 3, "{faults}");
}
