//! What single pushes lead to, on a machine with programs and in a sandbox.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{
    ConfigModule as _, FileState, Held, Secret, System as _, apply, set_passwords::SetPasswords,
};

use crate::machine::{
    HASHES, MIXED, PASSWD, SHADOW, chpasswd, line_of, machine, planned, push, raw, sandbox,
};

#[test]
fn hashes_end_as_the_same_shadow_line_on_a_machine_and_in_a_sandbox() {
    for payload in [HASHES, &HASHES.replace("true", "false")] {
        let (real, folder) = (machine(), sandbox());
        push(&real, &Held::nothing(), payload);
        push(&folder, &Held::nothing(), payload);
        assert_eq!(real.text("/etc/shadow"), folder.text("/etc/shadow"));
        let file = &folder.files()["/etc/shadow"];
        assert_eq!((file.mode, file.uid, file.gid), (0o640, 0, 42), "mode and owner are kept");
    }
}

#[test]
fn the_commands_of_a_machine_are_few_and_their_arguments_hold_no_secret() {
    let system = machine();
    let plan = planned(&system, &Held::nothing(), MIXED).unwrap();
    assert_eq!(
        plan.to_json(),
        serde_json::json!({
            "files": [],
            "commands": [
                ["/usr/sbin/chpasswd", "-e"],
                ["/usr/sbin/chpasswd"],
                ["/usr/bin/passwd", "--expire", "alice"],
                ["/usr/bin/passwd", "--expire", "bob"],
                ["/usr/bin/passwd", "--expire", "root"],
            ],
            "warnings": [],
            "conflicts": [],
            "deferred": [],
            "trial": false,
        })
    );
    push(&system, &Held::nothing(), MIXED);
    let inputs: Vec<Option<String>> = system
        .invocations()
        .iter()
        .map(|run| run.stdin.as_ref().map(|text| text.expose().to_owned()))
        .collect();
    assert_eq!(inputs[0].as_deref(), Some("root:$6$salt$roots.hash\n"));
    let texts = inputs[1].as_deref().unwrap();
    assert!(texts.starts_with("alice:correct horse: battery\nbob:"), "{texts}");
    assert_eq!(inputs[2..], [None, None, None]);
    let made_up = texts.trim_end().rsplit_once(':').unwrap().1;
    assert_eq!(
        system.console(),
        [Secret::new(format!("Set the following 'random' passwords\nbob:{made_up}"))]
    );
}

#[test]
fn the_same_push_changes_nothing_even_after_the_user_chose_another_password() {
    for system in [machine(), sandbox()] {
        let held = push(&system, &Held::nothing(), MIXED);
        let shadow = system.text("/etc/shadow").unwrap();
        let alice = line_of(&system, "alice");
        let own = shadow.replace(&alice, "alice:$y$j9T$own$choice:20001:0:99999:7:::");
        system.write("/etc/shadow", &FileState::of_root(own.clone(), 0o640)).unwrap();

        let plan = planned(&system, &held, MIXED).unwrap();
        assert!(plan.is_empty() && plan.held == held);
        // Another content does change it.
        let other = MIXED.replace("horse", "donkey");
        let plan = planned(&system, &held, &other).unwrap();
        assert!(!plan.is_empty());
        push(&system, &held, &other);
        assert_ne!(line_of(&system, "alice"), "alice:$y$j9T$own$choice:20001:0:99999:7:::");
        assert_eq!(system.text("/etc/shadow").unwrap().lines().count(), own.lines().count());
    }
}

#[test]
fn a_hash_that_stands_already_needs_no_more_than_its_expiry() {
    let list =
        |expire: bool, entry: &str| format!(r#"{{"chpasswd": {{"expire": {expire}, "list": ["{entry}"]}}}}"#);
    let system = machine();
    let plan = planned(&system, &Held::nothing(), &list(false, "alice:$6$old$alice")).unwrap();
    assert!(plan.is_empty() && plan.held != Held::nothing(), "it is only remembered");

    let plan = planned(&system, &Held::nothing(), &list(true, "alice:$6$old$alice")).unwrap();
    assert_eq!(plan.to_json()["commands"], serde_json::json!([["/usr/bin/passwd", "--expire", "alice"]]));
    let held = push(&system, &Held::nothing(), &list(true, "alice:$6$old$alice"));
    assert_eq!(line_of(&system, "alice"), "alice:$6$old$alice:0:0:99999:7:::");
    assert!(planned(&system, &Held::nothing(), &list(true, "alice:$6$old$alice")).unwrap().is_empty());

    // The expiry is taken back by setting the same hash again.
    push(&system, &held, &list(false, "alice:$6$old$alice"));
    assert_eq!(line_of(&system, "alice"), "alice:$6$old$alice:20000:0:99999:7:::");
}

#[test]
fn pushes_for_different_users_add_up() {
    let system = sandbox();
    let held = push(&system, &Held::nothing(), r#"{"chpasswd": {"list": ["root:$6$s$one"]}}"#);
    let held = push(&system, &held, r#"{"chpasswd": {"list": ["alice:$6$s$two"]}}"#);
    assert_eq!(SetPasswords.describe(&held, &system), serde_json::json!({"users": ["alice", "root"]}));
    assert!(planned(&system, &held, r#"{"chpasswd": {"list": ["root:$6$s$one"]}}"#).unwrap().is_empty());
}

#[test]
fn a_machine_without_the_programs_refuses_before_anything_is_changed() {
    let bare = MemorySystem::new().with_file("/etc/passwd", PASSWD).with_file("/etc/shadow", SHADOW);
    let refusal = SetPasswords.check(&raw(HASHES), &bare).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "`chpasswd`: expected a machine with the program `/usr/sbin/chpasswd`; install it (Debian: package \
         `passwd`); nothing was changed"
    );
    let half = bare.with_command("/usr/sbin/chpasswd", chpasswd);
    assert_eq!(planned(&half, &Held::nothing(), HASHES).unwrap_err().path(), "chpasswd.expire");
    assert!(planned(&half, &Held::nothing(), &HASHES.replace("true", "false")).is_ok());
}

#[test]
fn a_command_that_lies_is_found_out_and_undone() {
    let system = machine().with_program("/usr/sbin/chpasswd");
    let plan = planned(&system, &Held::nothing(), HASHES).unwrap();
    let outcome = apply(&plan, &plan.preimage(None), &system);
    assert_eq!(
        outcome.to_string(),
        "the password of `root` is not the one that was set: `/etc/shadow` differs; everything was put back as it was"
    );
    assert_eq!(system.text("/etc/shadow").as_deref(), Some(SHADOW));

    let system = machine().with_program("/usr/bin/passwd");
    let plan = planned(&system, &Held::nothing(), HASHES).unwrap();
    let outcome = apply(&plan, &plan.preimage(None), &system).to_string();
    assert!(
        outcome.starts_with("the password of `root` is not due for a change at the next login"),
        "{outcome}"
    );
    assert_eq!(system.text("/etc/shadow").as_deref(), Some(SHADOW));
}
