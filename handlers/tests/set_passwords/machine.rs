//! Machines in memory with three users, and pushes to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{
    ConfigModule as _, FileState, Held, Invocation, Outcome, Plan, Refusal, apply,
    set_passwords::SetPasswords,
};
use serde_json::value::RawValue;

pub(crate) const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n\
                      bob:x:1001:1001::/home/bob:/bin/sh\nghost:x:1002:1002::/:/bin/sh\n";
pub(crate) const SHADOW: &str = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n\
                      alice:$6$old$alice:19500:0:99999:7:::\nbob:!:0:0:99999:7:::\n";

/// A real machine with working programs.
pub(crate) fn machine() -> MemorySystem {
    with_programs(
        MemorySystem::new().with_file("/etc/passwd", PASSWD).with_file_state("/etc/shadow", shadow()),
    )
}

pub(crate) fn sandbox() -> MemorySystem {
    MemorySystem::sandbox().with_file("/etc/passwd", PASSWD).with_file_state("/etc/shadow", shadow())
}

pub(crate) fn shadow() -> FileState {
    FileState { gid: 42, ..FileState::of_root(SHADOW, 0o640) }
}

fn with_programs(system: MemorySystem) -> MemorySystem {
    system.with_command("/usr/sbin/chpasswd", chpasswd).with_command("/usr/bin/passwd", passwd)
}

/// A new salt for each password, as the real program takes.
static SALT: AtomicUsize = AtomicUsize::new(0);

/// Does what shadow's `chpasswd` does, with a hash that cannot be undone by looking at it.
pub(crate) fn chpasswd(run: &Invocation, files: &mut BTreeMap<String, FileState>) -> Result<String, String> {
    let hashed = run.args == ["-e"];
    for line in run.stdin.as_ref().expect("chpasswd reads its input").expose().lines() {
        let (name, password) = line.split_once(':').expect("user:password");
        let salt = SALT.fetch_add(1, Ordering::Relaxed);
        let made_up = format!("$2b$05${salt}$made.up.{}", password.len());
        edit(files, name, |fields| {
            fields[1] = if hashed { password.to_owned() } else { made_up };
            fields[2] = "20000".into();
        })?;
    }
    Ok(String::new())
}

fn passwd(run: &Invocation, files: &mut BTreeMap<String, FileState>) -> Result<String, String> {
    assert_eq!(run.args[0], "--expire");
    edit(files, &run.args[1], |fields| fields[2] = "0".into())?;
    Ok("passwd: password expiry information changed.\n".into())
}

fn edit(
    files: &mut BTreeMap<String, FileState>,
    name: &str,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<(), String> {
    let file = files.get_mut("/etc/shadow").ok_or("no shadow file")?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&file.content).lines().map(str::to_owned).collect();
    let start = format!("{name}:");
    let line = lines.iter_mut().find(|line| line.starts_with(&start)).ok_or_else(|| format!("no {name}"))?;
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    change(&mut fields);
    *line = fields.join(":");
    file.content = format!("{}\n", lines.join("\n")).into_bytes();
    Ok(())
}

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("the test's payload is JSON")
}

pub(crate) fn planned(system: &MemorySystem, held: &Held, payload: &str) -> Result<Plan, Refusal> {
    let payload = raw(payload);
    let plan = SetPasswords.plan(held, &payload, system)?;
    SetPasswords.check(&payload, system).expect("what can be planned passes the check");
    Ok(plan)
}

/// Plans and applies; gives back what is held then.
pub(crate) fn push(system: &MemorySystem, held: &Held, payload: &str) -> Held {
    let plan = planned(system, held, payload).unwrap();
    match apply(&plan, &plan.preimage(None), system) {
        Outcome::Done { held, .. } => held,
        failed @ Outcome::Failed { .. } => panic!("{failed}"),
    }
}

pub(crate) fn line_of(system: &MemorySystem, name: &str) -> String {
    let shadow = system.text("/etc/shadow").unwrap();
    shadow.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap().to_owned()
}

pub(crate) const HASHES: &str = r#"{"chpasswd": {"expire": true, "users": [
    {"name": "root", "password": "$y$j9T$salt$roots.hash"},
    {"name": "alice", "password": "$6$salt$alices.hash", "type": "hash"}]}}"#;
pub(crate) const MIXED: &str = r#"{"chpasswd": {"users": [
    {"name": "alice", "password": "correct horse: battery", "type": "text"},
    {"name": "bob", "type": "RANDOM"}], "list": ["root:$6$salt$roots.hash"]}}"#;
