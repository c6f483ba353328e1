//! Jobs on a machine in memory, with a driver that records what it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Invocation, UndoCommand};
use cloud_channel_protocol::{EventResult, Module};
use serde_json::value::RawValue;

use super::*;
use crate::journal::{Accepted, ArrivalNo, Digest, Payload, Sender};

fn command(program: &'static str) -> Invocation {
    let deadline = Duration::from_secs(1);
    Invocation { program: program.into(), args: Vec::new(), stdin: None, deadline, subjects: Vec::new() }
}

/// A push that was done and waited to be confirmed when everything stopped.
fn left_on_trial(preimage: Option<Preimage>) -> InboxEntry {
    let payload = Payload::from(RawValue::from_string("{}".to_owned()).unwrap());
    InboxEntry {
        accepted: Accepted {
            task: Task::Push,
            arrival: ArrivalNo::default(),
            module: Module::Network,
            spelling: Module::Network.into(),
            cause: None,
            sender: Sender::parse("s").unwrap(),
            digest: Digest::of(&payload),
            generation: None,
            confirm_seconds: None,
            witness: None,
            arrived_ms: 0,
            started: true,
            on_trial: true,
            superseded: false,
        },
        payload,
        preimage,
    }
}

/// Works on an entry that is to change nothing of what the module holds.
fn work_on(entry: InboxEntry, system: &Arc<MemorySystem>) -> (EventResult, String) {
    let Ending { result, remark, held } = work_to_its_end(entry, system);
    assert_eq!(held, None, "the module holds what it held before");
    (result, remark.unwrap())
}

/// Works, with a driver that records what it is told.
fn work_to_its_end(entry: InboxEntry, system: &Arc<MemorySystem>) -> Ending {
    let (driver, mut happenings) = DriverHandle::new();
    let (held, span) = (Held::nothing(), tracing::Span::none());
    let job = Job { entry, held, system: system.clone(), driver, span };
    let worker = std::thread::spawn(move || job.work());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while let Some(happening) = runtime.block_on(happenings.next()) {
        if let Happening::Job(report) = happening
            && let JobReport::Begin { go, .. } = *report
        {
            go.send(()).unwrap();
        }
    }
    worker.join().unwrap()
}

#[test]
fn what_was_on_trial_at_a_crash_is_taken_back_with_its_commands() {
    let seen = |_: &Invocation, files: &mut BTreeMap<String, FileState>| {
        let text = String::from_utf8(files["/etc/a"].content.clone()).unwrap();
        if text == "old" { Ok(String::new()) } else { Err(format!("the file says {text}")) }
    };
    let machine = MemorySystem::new()
        .with_file("/etc/a", "new")
        .with_file("/etc/b", "made")
        .with_program("/bin/generate")
        .with_command("/bin/reload", seen);
    let system = Arc::new(machine);
    let preimage = Preimage {
        files: vec![
            ("/etc/a".to_owned(), Some(FileState::of_root("old", 0o644))),
            ("/etc/b".to_owned(), None),
        ],
        lines: Vec::new(),
        commands: vec![
            UndoCommand::Regenerate { command: command("/bin/generate"), folder: "/run/x".to_owned() },
            UndoCommand::Run(command("/bin/reload")),
        ],
        is_earlier: false,
    };
    // As the journal keeps it.
    let kept = serde_json::to_string(&preimage).unwrap();
    let preimage = serde_json::from_str(&kept).unwrap();
    let (result, text) = work_on(left_on_trial(Some(preimage)), &system);
    assert_eq!(result, EventResult::Fail);
    assert!(text.contains("stopped before the change was confirmed; everything was put back"), "{text}");
    assert_eq!((system.text("/etc/a").as_deref(), system.text("/etc/b")), (Some("old"), None));
    let programs: Vec<String> =
        system.invocations().into_iter().map(|run| run.program.into_owned()).collect();
    assert_eq!(programs, ["/bin/generate", "/bin/reload"]);
}

#[test]
fn nothing_is_planned_before_udev_has_named_the_cards() {
    for task in [Task::Push, Task::Resume, Task::Revert] {
        let machine = MemorySystem::new().with_program("/usr/sbin/netplan");
        let settled = Arc::new(machine);
        let mut entry = left_on_trial(None);
        entry.accepted.on_trial = false;
        entry.accepted.task = task;
        work_to_its_end(entry.clone(), &settled);
        assert_eq!(settled.paused(), Duration::ZERO, "{task:?}");
        let busy = MemorySystem::new().with_program("/usr/sbin/netplan").with_file("/run/udev/queue", "");
        let busy = Arc::new(busy);
        work_to_its_end(entry, &busy);
        assert_eq!(busy.paused(), Duration::from_secs(20), "{task:?}: for long enough, and no longer");
    }
}

#[test]
fn what_an_interrupted_try_did_is_undone_if_its_push_is_refused_now() {
    let system = Arc::new(MemorySystem::new().with_file("/etc/a", "new").with_program("/bin/reload"));
    let preimage = Preimage {
        files: vec![("/etc/a".to_owned(), Some(FileState::of_root("old", 0o644)))],
        commands: vec![UndoCommand::Run(command("/bin/reload"))],
        ..Preimage::default()
    };
    let mut entry = left_on_trial(Some(preimage));
    entry.accepted.on_trial = false;
    // There is no renderer on this machine any more.
    let (result, text) = work_on(entry, &system);
    assert_eq!(result, EventResult::Fail);
    assert!(text.contains("expected a machine that has netplan"), "{text}");
    assert!(text.contains("everything was put back"), "{text}");
    assert_eq!(system.text("/etc/a").as_deref(), Some("old"));
    assert_eq!(system.invocations().len(), 1);
}

#[test]
fn what_an_interrupted_try_did_is_undone_if_its_card_is_gone_now() {
    let machine = MemorySystem::new()
        .with_program("/usr/sbin/netplan")
        .with_file("/sys/class/net/eth0/address", "52:54:00:00:00:01\n")
        .with_command("/bin/reload", |_, _| Err("no link lan0".to_owned()));
    let system = Arc::new(machine);
    let preimage =
        Preimage { commands: vec![UndoCommand::Run(command("/bin/reload"))], ..Preimage::default() };
    let mut entry = left_on_trial(Some(preimage));
    entry.accepted.on_trial = false;
    let lan = r#"{"version": 2, "ethernets": {"lan": {"match": {"macaddress": "00:11:22:33:44:55"}}}}"#;
    entry.payload = Payload::from(RawValue::from_string(lan.to_owned()).unwrap());
    let Ending { result, remark, held } = work_to_its_end(entry, &system);
    let text = remark.unwrap();
    assert_eq!(result, EventResult::Warn);
    assert!(text.contains("`lan` waits until it is there"), "{text}");
    assert!(text.contains("this could not be undone: `/bin/reload` failed: no link lan0"), "{text}");
    assert!(held.is_some(), "the push is not lost");
}

#[test]
fn what_cannot_be_taken_back_is_told() {
    let (result, text) = work_on(left_on_trial(None), &Arc::new(MemorySystem::new()));
    assert_eq!(result, EventResult::Fail);
    assert!(text.contains("putting everything back failed as well"), "{text}");
}
