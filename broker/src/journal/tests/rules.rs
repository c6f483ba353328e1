//! Each rule of the journal.

use cloud_channel_handlers::{FileState, Held, Preimage};
use serde_json::json;

use super::*;
use crate::witness::Witness;

fn root() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn shadow() -> Preimage {
    Preimage {
        files: vec![("/etc/shadow".into(), Some(FileState::of_root("root:*\n", 0o600)))],
        ..Default::default()
    }
}

#[test]
fn a_push_survives_until_it_is_finished() {
    let root = root();
    let mut journal = open(root.path());
    let mut wanted = push("m-1", r#"{"version": 2}"#);
    wanted.spelling = inbox::spelling_of("cc_set_password").unwrap();
    wanted.module = Module::SetPasswords;
    wanted.generation = Some(4);
    wanted.confirm_seconds = Some(30);
    wanted.witness = Some(Witness::Link);
    let accepted = accept(&mut journal, &wanted);
    once(&mut journal, |txn| txn.started(accepted.arrival, &shadow()));
    drop(journal);

    let mut journal = open(root.path());
    let contents = journal.load().unwrap();
    assert_eq!(contents.inbox, [Accepted { started: true, ..accepted.clone() }]);
    once(&mut journal, |txn| txn.on_trial(accepted.arrival));
    drop(journal);

    let mut journal = open(root.path());
    let contents = journal.load().unwrap();
    assert_eq!(contents.inbox, [Accepted { started: true, on_trial: true, ..accepted.clone() }]);
    assert_eq!(contents.inbox[0].spelling.as_str(), "cc_set_password");
    let entry = journal.entry(accepted.arrival).unwrap();
    assert_eq!(entry.payload.as_raw().get(), r#"{"version": 2}"#);
    assert_eq!(entry.preimage, Some(shadow()));

    let held = Held::document(json!({"a": 1}));
    finish(&mut journal, accepted.arrival, Some(&held));
    drop(journal);
    let mut journal = open(root.path());
    let contents = journal.load().unwrap();
    assert_eq!(contents.inbox, []);
    assert_eq!(contents.modules, [(Module::SetPasswords, ModuleState { held, generation: Some(4) })]);
    assert_eq!(contents.outbox.len(), 1);
    assert!(contents.outbox[0].1.keep);
    assert!(matches!(journal.entry(accepted.arrival), Err(JournalError::NoSuchPush(_))));
}

#[test]
fn what_is_not_committed_is_not_there() {
    let root = root();
    let mut journal = open(root.path());
    let mut txn = journal.begin().unwrap();
    assert!(matches!(txn.accept(&push("m", "1")), Ok(Admission::Accepted(_))));
    let numbers: Vec<Seq> = txn.reserve_seq(3).unwrap().collect();
    drop(txn);
    assert_eq!(journal.load().unwrap().inbox, []);
    let again: Vec<Seq> = once(&mut journal, |txn| txn.reserve_seq(3)).collect();
    assert_eq!(again, numbers, "a number is used up by a commit only");
}

#[test]
fn the_same_message_is_stored_once_while_it_waits() {
    let root = root();
    let mut journal = open(root.path());
    let first = accept(&mut journal, &push("m", "1"));
    let second = once(&mut journal, |txn| txn.accept(&push("m", "1")));
    assert_eq!(second, Admission::Pending(first.arrival));
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("m", "2"))), Admission::Conflict);
    // Another sender, another id, another module, or no id at all: another message.
    let mut other = push("m", "1");
    other.sender = Sender::parse("other").unwrap();
    accept(&mut journal, &other);
    accept(&mut journal, &push("n", "1"));
    other = push("m", "2");
    other.module = Module::SetPasswords;
    accept(&mut journal, &other);
    other.cause = None;
    accept(&mut journal, &other);
    accept(&mut journal, &other);
    assert_eq!(journal.load().unwrap().inbox.len(), 6);
}

#[test]
fn a_finished_message_is_accepted_again_and_knows_if_it_is_superseded() {
    let root = root();
    let mut journal = open(root.path());
    let a = accept(&mut journal, &push("a", "1"));
    finish(&mut journal, a.arrival, None);
    let again = accept(&mut journal, &push("a", "1"));
    assert!(!again.superseded);
    assert!(again.arrival > a.arrival);
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("a", "1"))), Admission::Pending(again.arrival));
    finish(&mut journal, again.arrival, None);
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("a", "2"))), Admission::Conflict);

    let b = accept(&mut journal, &push("b", "2"));
    assert!(!b.superseded);
    finish(&mut journal, b.arrival, None);
    // Both come again, as after a lost acknowledgement: the older must not undo the newer.
    let a = accept(&mut journal, &push("a", "1"));
    assert!(a.superseded);
    finish(&mut journal, a.arrival, None);
    assert!(!accept(&mut journal, &push("b", "2")).superseded);
}

fn with_generation(id: &str, payload: &str, generation: u64) -> Push {
    Push { generation: Some(generation), ..push(id, payload) }
}

#[test]
fn generations_rise() {
    let root = root();
    let mut journal = open(root.path());
    let five = accept(&mut journal, &with_generation("a", "1", 5));
    let stale = |given, highest| Admission::Stale { given, highest };
    assert_eq!(once(&mut journal, |txn| txn.accept(&with_generation("b", "2", 5))), stale(5, 5));
    // Another module has its own.
    let mut other = with_generation("b", "2", 1);
    other.module = Module::SetPasswords;
    accept(&mut journal, &other);

    // A failed push does not count.
    finish(&mut journal, five.arrival, None);
    let five = accept(&mut journal, &with_generation("b", "2", 5));
    finish(&mut journal, five.arrival, Some(&Held::nothing()));
    assert_eq!(once(&mut journal, |txn| txn.accept(&with_generation("c", "3", 4))), stale(4, 5));
    // The very same message is a repetition, not an older config.
    let repeated = accept(&mut journal, &with_generation("b", "2", 5));
    finish(&mut journal, repeated.arrival, Some(&Held::nothing()));
    // Without a generation nothing is compared, and the module keeps its own.
    let plain = accept(&mut journal, &push("d", "4"));
    finish(&mut journal, plain.arrival, Some(&Held::nothing()));
    let six = accept(&mut journal, &with_generation("e", "5", 6));
    finish(&mut journal, six.arrival, Some(&Held::nothing()));
    assert_eq!(once(&mut journal, |txn| txn.accept(&with_generation("b", "2", 5))), stale(5, 6));
    let state = journal.load().unwrap().modules.into_iter().find(|(module, _)| *module == Module::Network);
    assert_eq!(state.unwrap().1.generation, Some(6));
}

#[test]
fn what_is_signed_is_accepted_once() {
    let root = root();
    let signed = |id, generation| Push { signed: true, ..with_generation(id, "1", generation) };
    let replayed = |given, highest, repeated| Admission::Replayed { given, highest, repeated };
    {
        let mut journal = open(root.path());
        // One without a signature does not count for those that have one.
        let plain = accept(&mut journal, &with_generation("p", "0", 3));
        finish(&mut journal, plain.arrival, None);
        let five = accept(&mut journal, &signed("a", 5));
        assert_eq!(once(&mut journal, |txn| txn.accept(&signed("a", 5))), Admission::Pending(five.arrival));
        assert_eq!(once(&mut journal, |txn| txn.accept(&signed("b", 5))), replayed(5, 5, false));
        // That it failed does not make it new.
        finish(&mut journal, five.arrival, None);
    }
    let mut journal = open(root.path());
    assert_eq!(once(&mut journal, |txn| txn.accept(&signed("a", 5))), replayed(5, 5, true));
    assert_eq!(once(&mut journal, |txn| txn.accept(&signed("c", 4))), replayed(4, 5, false));
    accept(&mut journal, &signed("c", 6));
}

#[test]
fn a_full_inbox_is_busy() {
    let root = root();
    let limits = JournalLimits { inbox_entries: 2, inbox_bytes: 8192, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let large = format!("\"{}\"", "x".repeat(5000));
    let a = accept(&mut journal, &push("a", &large));
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("b", "1"))), Admission::Busy);
    finish(&mut journal, a.arrival, None);
    accept(&mut journal, &push("b", "1"));
    accept(&mut journal, &push("c", "1"));
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("d", "1"))), Admission::Busy);
    assert!(matches!(once(&mut journal, |txn| txn.accept(&push("c", "1"))), Admission::Pending(_)));
}

#[test]
fn only_the_newest_messages_are_remembered() {
    let root = root();
    let limits = JournalLimits { inbox_entries: 1, seen_per_module: 2, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    for id in ["a", "b", "c"] {
        let accepted = accept(&mut journal, &push(id, "1"));
        finish(&mut journal, accepted.arrival, None);
    }
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("b", "2"))), Admission::Conflict);
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("c", "2"))), Admission::Conflict);
    let forgotten = accept(&mut journal, &push("a", "2"));
    assert!(!forgotten.superseded);
}

/// A rollback as it is admitted when nothing is on trial.
fn rollback(id: &str) -> Push {
    Push { task: Task::Revert, payload: Payload::of_revert(), ..push(id, "{}") }
}

fn note_word(journal: &mut Journal, id: &str) {
    let Push { module, sender, cause, .. } = rollback(id);
    once(journal, |txn| txn.note_word(module, &sender, cause.as_ref().unwrap()));
}

#[test]
fn a_word_that_ended_a_trial_takes_nothing_else_back_when_it_comes_again() {
    let root = root();
    let mut journal = open(root.path());
    let on_trial = accept(&mut journal, &push("p", "1"));
    note_word(&mut journal, "word");
    finish(&mut journal, on_trial.arrival, None);
    drop(journal);
    let mut journal = open(root.path());
    let Push { module, sender, cause, .. } = rollback("word");
    assert!(journal.has_seen(module, &sender, cause.as_ref().unwrap()).unwrap());
    assert!(accept(&mut journal, &rollback("word")).superseded);
    assert!(!accept(&mut journal, &rollback("another")).superseded);
    // What the id stood for before stays known.
    note_word(&mut journal, "p");
    assert_eq!(once(&mut journal, |txn| txn.accept(&rollback("p"))), Admission::Conflict);
}

#[test]
fn words_push_no_message_out_that_is_not_finished() {
    let root = root();
    let limits = JournalLimits { inbox_entries: 2, seen_per_module: 1, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let first = accept(&mut journal, &push("a", "1"));
    accept(&mut journal, &push("b", "1"));
    note_word(&mut journal, "word");
    assert_eq!(once(&mut journal, |txn| txn.accept(&push("a", "1"))), Admission::Pending(first.arrival));
    // Then the oldest is forgotten, as ever.
    note_word(&mut journal, "next");
    assert!(!journal.has_seen(first.module, &first.sender, first.cause.as_ref().unwrap()).unwrap());
}

#[test]
fn reporting_events_make_room_before_finish_events() {
    let root = root();
    let limits = JournalLimits { outbox_events: 3, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let mut append = |keep| {
        once(&mut journal, |txn| {
            let seq = txn.reserve_seq(1)?.next().unwrap();
            txn.append_event(seq, &event("[]", keep))
        })
        .into_iter()
        .map(Seq::get)
        .collect::<Vec<_>>()
    };
    for keep in [true, false, true] {
        assert_eq!(append(keep), [0_u64; 0]);
    }
    assert_eq!(append(false), [2]);
    assert_eq!(append(true), [4]);
    assert_eq!(append(false), [6], "the new one is the only one that may go");
    assert_eq!(append(true), [1]);
    let contents = journal.load().unwrap();
    assert_eq!(contents.outbox.iter().map(|(seq, _)| seq.get()).collect::<Vec<_>>(), [3, 5, 7]);
    assert_eq!(contents.dropped, Dropped { reporting: 3, finish: 1 });
    drop(journal);
    assert_eq!(open(root.path()).dropped().unwrap(), Dropped { reporting: 3, finish: 1 });
}

#[test]
fn the_outbox_is_bounded_in_bytes() {
    let root = root();
    let limits = JournalLimits { outbox_bytes: 4000, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let large = format!("\"{}\"", "x".repeat(1500));
    let mut append = |text: &str| {
        once(&mut journal, |txn| {
            let seq = txn.reserve_seq(1)?.next().unwrap();
            txn.append_event(seq, &event(text, false))
        })
    };
    assert_eq!(append(&large), []);
    assert_eq!(append(&large), []);
    assert_eq!(append(&large), [Seq(1)]);
    assert_eq!(append(&format!("\"{}\"", "x".repeat(4000))), [Seq(4)], "too large by itself, others stay");
    assert_eq!(journal.load().unwrap().outbox.len(), 2);
    assert_eq!(journal.dropped().unwrap().reporting, 2);
}

#[test]
fn events_leave_when_they_are_settled_and_are_read_from_a_number_on() {
    let root = root();
    let mut journal = open(root.path());
    once(&mut journal, |txn| {
        for seq in txn.reserve_seq(5)? {
            txn.append_event(seq, &Event { ext: Some(raw(r#"{"a":1}"#)), ..event(&seq.to_string(), false) })?;
        }
        txn.settle_event(Seq(2))
    });
    assert!(!once(&mut journal, |txn| txn.settle_event(Seq(2))));
    let events = journal.events(Some(Seq(1)), 2).unwrap();
    assert_eq!(events.iter().map(|(seq, _)| seq.get()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(events[0].1.data.get(), "3");
    assert_eq!(events[0].1.ext.as_ref().unwrap().get(), r#"{"a":1}"#);
    assert_eq!(events[0].1.channel.as_str(), "/cloudinit/i/modules-config");
}

#[test]
fn refused_operations_leave_the_transaction_usable() {
    let root = root();
    let limits = JournalLimits { preimage_bytes: 10, held_bytes: 10, ..JournalLimits::default() };
    let mut journal = Journal::open(root.path(), limits).unwrap();
    let accepted = accept(&mut journal, &push("a", "1"));
    let mut txn = journal.begin().unwrap();
    let held = Held::document(json!("a long memory"));
    let seq = txn.reserve_seq(1).unwrap().next().unwrap();
    txn.append_event(seq, &event("[]", false)).unwrap();
    let done = event("[]", true);
    assert!(matches!(txn.append_event(seq, &done), Err(JournalError::SeqInUse(_))));
    assert!(matches!(txn.complete(accepted.arrival, None, seq, &done), Err(JournalError::SeqInUse(_))));
    assert!(matches!(
        txn.complete(accepted.arrival, Some(&held), Seq(9), &done),
        Err(JournalError::TooLarge { .. })
    ));
    assert!(matches!(txn.started(accepted.arrival, &shadow()), Err(JournalError::TooLarge { .. })));
    assert!(matches!(txn.started(ArrivalNo(99), &Preimage::default()), Err(JournalError::NoSuchPush(_))));
    txn.commit().unwrap();
    let contents = journal.load().unwrap();
    assert_eq!(contents.inbox, [accepted]);
    assert_eq!(contents.outbox.len(), 1);
}

#[test]
fn an_unknown_format_is_refused() {
    let root = root();
    let path = open(root.path()).path();
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    table::put(&txn, META, FORMAT_KEY, b"7").unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = Journal::open(root.path(), JournalLimits::default()).unwrap_err();
    assert!(matches!(error, JournalError::Format { found: 7, .. }));
    assert!(error.to_string().contains("has format 7, expected 3: use the version"), "{error}");
}

#[test]
fn the_first_format_is_told_from_damage() {
    let root = root();
    let path = open(root.path()).path();
    std::fs::remove_file(&path).unwrap();
    let database = Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(redb::TableDefinition::<&str, &[u8]>::new("meta")).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = Journal::open(root.path(), JournalLimits::default()).unwrap_err();
    assert!(matches!(error, JournalError::Format { found: 1, .. }), "{error:?}");
}

#[test]
fn a_strange_or_cut_file_is_damaged_and_stays() {
    let root = root();
    let path = open(root.path()).path();
    let whole = std::fs::read(&path).unwrap();
    for content in [&b"[1, 2, 3]"[..], &[0; 10_000], b"", &whole[..whole.len() / 2], &whole[..100]] {
        std::fs::write(&path, content).unwrap();
        let error = Journal::open(root.path(), JournalLimits::default()).unwrap_err();
        let expected = matches!(error, JournalError::Damaged { .. });
        assert!(expected, "{} bytes: {error:?}", content.len());
    }
}

#[test]
fn every_spelling_is_read_back() {
    for spelling in ["network", "cc_set_password", "set-passwords", "a.b", "x~y"] {
        assert_eq!(inbox::spelling_of(spelling).unwrap().as_str(), spelling);
    }
}
