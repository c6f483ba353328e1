//! The programs of the machine that runs the tests, as an oracle.

use std::time::Duration;

use cloud_channel_handlers::system::HostSystem;
use cloud_channel_handlers::{
    ConfigModule as _, FileState, Held, Invocation, Outcome, Secret, System as _, apply,
    set_passwords::SetPasswords,
};

use crate::machine::{HASHES, PASSWD, SHADOW, raw};

/// Runs one of this machine's own programs. `None`, and said why, where it cannot.
#[expect(clippy::print_stderr, reason = "a skipped check must not look like a passed one")]
fn by_this_machine(program: &'static str, args: &[&str], stdin: Option<&str>) -> Option<()> {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let stdin = stdin.map(Secret::new);
    match HostSystem::real().run(&Invocation {
        program: program.into(),
        args,
        stdin,
        deadline: Duration::from_secs(30),
        subjects: Vec::new(),
    }) {
        Ok(_) => Some(()),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

#[test]
fn a_sandbox_gets_the_line_that_this_machines_own_programs_write() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&theirs, &ours] {
        let system = HostSystem::sandbox(folder.path().into());
        system.write("/etc/passwd", &FileState::of_root(PASSWD, 0o644)).unwrap();
        system.write("/etc/shadow", &FileState::of_root(SHADOW, 0o640)).unwrap();
    }
    let root = theirs.path().to_str().unwrap();
    let lines = "root:$y$j9T$salt$roots.hash\nalice:$6$salt$alices.hash\n";
    for expire in [false, true] {
        let set = by_this_machine("/usr/sbin/chpasswd", &["--root", root, "-e"], Some(lines));
        let expired = || {
            let args = |name| ["--root", root, "--expire", name];
            by_this_machine("/usr/bin/passwd", &args("root"), None)?;
            by_this_machine("/usr/bin/passwd", &args("alice"), None)
        };
        if set.is_none() || (expire && expired().is_none()) {
            return;
        }
        let system = HostSystem::sandbox(ours.path().into());
        let payload = raw(&HASHES.replace("true", &expire.to_string()));
        let plan = SetPasswords.plan(&Held::nothing(), &payload, &system).unwrap();
        let outcome = apply(&plan, &plan.preimage(None), &system);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome}");
        let read =
            |folder: &tempfile::TempDir| std::fs::read_to_string(folder.path().join("etc/shadow")).unwrap();
        assert_eq!(read(&ours), read(&theirs), "expire: {expire}");
    }
}
