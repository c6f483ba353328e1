//! The real file operations, in a folder that plays a machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]
#![expect(clippy::disallowed_methods, reason = "the tests build the folder that `HostSystem` then works in")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use cloud_channel_handlers::system::HostSystem;
use cloud_channel_handlers::{FileState, Invocation, Secret, System};
use tempfile::TempDir;

fn sandbox() -> (TempDir, HostSystem) {
    let folder = tempfile::tempdir().unwrap();
    let system = HostSystem::sandbox(folder.path().into());
    (folder, system)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A file whose owner is this process, as an unprivileged sandbox reads it.
fn mine(folder: &Path, content: &str, mode: u32) -> FileState {
    let owner = fs::metadata(folder).unwrap();
    FileState { uid: owner.uid(), gid: owner.gid(), ..FileState::of_root(content, mode) }
}

#[test]
fn a_file_is_written_replaced_read_and_removed() {
    let (folder, system) = sandbox();
    let etc = folder.path().join("etc/netplan");
    let first = mine(folder.path(), "first", 0o600);
    system.write("/etc/netplan/a.yaml", &first).unwrap();
    assert_eq!(system.read("/etc/netplan/a.yaml").unwrap(), Some(first));
    assert_eq!(fs::metadata(&etc).unwrap().permissions().mode() & 0o7777, 0o755);

    let second = mine(folder.path(), "second", 0o644);
    system.write("/etc/netplan/a.yaml", &second).unwrap();
    assert_eq!(system.read("/etc/netplan/a.yaml").unwrap(), Some(second));
    assert_eq!(names(&etc), ["a.yaml"], "no temporary file stays");

    system.remove("/etc/netplan/a.yaml").unwrap();
    system.remove("/etc/netplan/a.yaml").unwrap();
    system.remove("/no/such/folder/file").unwrap();
    assert_eq!(system.read("/etc/netplan/a.yaml").unwrap(), None);
    assert_eq!(system.read("/no/such/folder/file").unwrap(), None);
}

#[test]
fn many_files_are_changed_together() {
    let (folder, system) = sandbox();
    let state = |text: String| mine(folder.path(), &text, 0o644);
    // More than are open at a time, in two folders.
    let path = |number: u32| format!("/etc/{}/{number:03}", if number < 150 { "a" } else { "b" });
    let paths: Vec<String> = (0..200).map(path).collect();
    let files: Vec<FileState> = (0..200).map(|number| state(format!("first {number}"))).collect();
    let all = paths.iter().zip(&files).map(|(path, file)| (path.as_str(), Some(file)));
    system.change_files(&all.collect::<Vec<_>>()).unwrap();
    for (path, file) in paths.iter().zip(&files) {
        assert_eq!(system.read(path).unwrap().as_ref(), Some(file), "{path}");
    }
    fs::write(folder.path().join("etc/a/.100.cloud-channel-00c0ffee"), "left").unwrap();
    let second = state("second".to_owned());
    let edits = paths
        .iter()
        .enumerate()
        .map(|(number, path)| (path.as_str(), Some(&second).filter(|_| number.is_multiple_of(2))));
    system.change_files(&edits.collect::<Vec<_>>()).unwrap();
    let stay = |range: std::ops::Range<u32>| -> Vec<String> {
        range.step_by(2).map(|number| format!("{number:03}")).collect()
    };
    assert_eq!(names(&folder.path().join("etc/a")), stay(0..150), "and nothing is left of a killed run");
    assert_eq!(names(&folder.path().join("etc/b")), stay(150..200));
    assert!(paths.iter().step_by(2).all(|path| system.read(path).unwrap().as_ref() == Some(&second)));
    system.change_files(&[("/no/such/x", None), ("/etc/a/000", None)]).unwrap();
    assert!(!folder.path().join("no").exists(), "no folder is made for what is to go");
}

#[test]
fn of_files_that_are_changed_together_one_that_cannot_be_is_named() {
    let (folder, system) = sandbox();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let new = mine(folder.path(), "new", 0o644);
    let fault = |bad: &str| {
        let edits = [("/a", Some(&new)), (bad, Some(&new)), ("/c", None)];
        system.change_files(&edits).unwrap_err().to_string()
    };
    let told = fault("/folder");
    assert!(told.starts_with("cannot write `/folder`: it is a folder"), "{told}");
    // The name is not too long, and a draft's is.
    let long = format!("/{}", "x".repeat(250));
    let told = fault(&long);
    assert!(told.starts_with(&format!("cannot write `{long}`: ")), "{told}");
    assert_eq!(names(folder.path()), ["folder"], "no draft stays");
}

#[test]
fn what_a_killed_run_left_is_cleared_and_other_files_stay() {
    let (folder, system) = sandbox();
    for name in [".x.cloud-channel-00c0ffee", ".y.cloud-channel-00c0ffee", ".x", "x.cloud-channel-00c0ffee"] {
        fs::write(folder.path().join(name), "left").unwrap();
    }
    system.write("/x", &mine(folder.path(), "new", 0o644)).unwrap();
    assert_eq!(names(folder.path()), [".x", ".y.cloud-channel-00c0ffee", "x", "x.cloud-channel-00c0ffee"]);
}

#[test]
fn links_are_read_inside_the_folder_and_never_written() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("shadow"), "outside").unwrap();
    let (folder, system) = sandbox();
    fs::create_dir(folder.path().join("etc")).unwrap();
    fs::write(folder.path().join("etc/real"), "real").unwrap();
    symlink("/etc/real", folder.path().join("etc/link")).unwrap();
    symlink(outside.path().join("shadow"), folder.path().join("etc/shadow")).unwrap();
    symlink(outside.path(), folder.path().join("run")).unwrap();
    symlink("real", folder.path().join("etc/dangling-no-more")).unwrap();

    assert_eq!(system.read("/etc/link").unwrap().unwrap().content, b"real");
    let error = system.read("/etc/shadow").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read `/etc/shadow`: it is a symbolic link that leads nowhere"),
        "{error}"
    );
    symlink("/dev/null", folder.path().join("etc/masked")).unwrap();
    assert_eq!(system.read("/etc/masked").unwrap(), None, "masked is as good as absent");
    assert_eq!(system.list("/run").unwrap(), Vec::<String>::new());

    let file = mine(folder.path(), "new", 0o644);
    for (path, expected) in [
        (
            "/etc/shadow",
            "cannot write `/etc/shadow`: it is a symbolic link; replace it by a regular file, or remove it",
        ),
        (
            "/etc/link",
            "cannot write `/etc/link`: it is a symbolic link; replace it by a regular file, or remove it",
        ),
        (
            "/run/x",
            "cannot write `/run/x`: its folder `run` is a symbolic link; replace the link by a folder",
        ),
        ("/etc", "cannot write `/etc`: it is a folder; replace it by a regular file, or remove it"),
        ("/etc/real/x", "cannot write `/etc/real/x`: not a directory"),
        ("/etc/../x", "cannot use the path `/etc/../x`: expected one without `..` and NUL"),
    ] {
        assert_eq!(system.write(path, &file).unwrap_err().to_string(), expected);
    }
    let refused = system.remove("/etc/shadow").unwrap_err().to_string();
    assert_eq!(
        refused,
        "cannot remove `/etc/shadow`: it is a symbolic link; replace it by a regular file, or remove it"
    );
    assert_eq!(fs::read(outside.path().join("shadow")).unwrap(), b"outside");
    assert_eq!(names(outside.path()), ["shadow"]);
}

#[test]
fn only_regular_files_of_bounded_size_are_read() {
    let (folder, system) = sandbox();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert_eq!(
        system.read("/fifo").unwrap_err().to_string(),
        "cannot read `/fifo`: it is not a regular file"
    );
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert_eq!(
        system.read("/folder").unwrap_err().to_string(),
        "cannot read `/folder`: it is not a regular file"
    );

    let size = 4 * 1024 * 1024;
    fs::write(folder.path().join("big"), vec![b'x'; size]).unwrap();
    assert_eq!(system.read("/big").unwrap().unwrap().content.len(), size);
    fs::write(folder.path().join("big"), vec![b'x'; size + 1]).unwrap();
    assert_eq!(
        system.read("/big").unwrap_err().to_string(),
        "cannot read `/big`: it is larger than 4194304 bytes"
    );
}

#[test]
fn folders_are_listed_in_order() {
    let (folder, system) = sandbox();
    fs::create_dir_all(folder.path().join("d/sub")).unwrap();
    fs::write(folder.path().join("d/b"), "").unwrap();
    fs::write(folder.path().join("d/a"), "").unwrap();
    assert_eq!(system.list("/d").unwrap(), ["a", "b", "sub"]);
    assert_eq!(system.list("/none").unwrap(), Vec::<String>::new());
    assert_eq!(system.list("/d/a").unwrap(), Vec::<String>::new());
}

#[test]
fn a_program_is_an_executable_file_of_the_machine() {
    let (folder, system) = sandbox();
    fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
    symlink("usr/bin", folder.path().join("bin")).unwrap();
    symlink("/bin/sh", folder.path().join("usr/bin/host-sh")).unwrap();
    for (name, mode) in [("tool", 0o755), ("text", 0o644)] {
        fs::write(folder.path().join("usr/bin").join(name), "").unwrap();
        fs::set_permissions(folder.path().join("usr/bin").join(name), fs::Permissions::from_mode(mode))
            .unwrap();
    }
    for (path, expected) in [
        ("/usr/bin/tool", true),
        ("/bin/tool", true),
        ("/bin/text", false),
        ("/usr/bin", false),
        ("/bin/none", false),
        ("/bin/host-sh", false),
    ] {
        assert_eq!(system.has_program(path), expected, "{path}");
    }
}

#[test]
fn a_sandbox_runs_nothing() {
    let (_folder, system) = sandbox();
    let invocation = Invocation {
        program: "/bin/true".into(),
        args: Vec::new(),
        stdin: None,
        deadline: std::time::Duration::from_secs(1),
        subjects: Vec::new(),
    };
    assert_eq!(
        system.run(&invocation).unwrap_err().to_string(),
        "cannot run `/bin/true`: no command of the host runs in a sandbox"
    );
    assert!(system.is_sandbox());
}

#[test]
fn the_console_of_a_sandbox_is_a_private_file() {
    let (folder, system) = sandbox();
    system.show_on_console(&Secret::new("one")).unwrap();
    system.show_on_console(&Secret::new("two\nthree")).unwrap();
    let console = folder.path().join("dev/console");
    assert_eq!(fs::read_to_string(&console).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(fs::metadata(&console).unwrap().permissions().mode() & 0o7777, 0o600);

    fs::remove_file(&console).unwrap();
    symlink("/dev/null", &console).unwrap();
    let refused = system.show_on_console(&Secret::new("secret")).unwrap_err().to_string();
    assert!(
        refused.starts_with("cannot write to `/dev/console`: ") && !refused.contains("secret"),
        "{refused}"
    );
}

#[test]
fn accounts_are_held_by_the_lock_file_of_the_c_library() {
    let (folder, system) = sandbox();
    let mut worked = false;
    let mut work = || {
        worked = true;
        Ok(())
    };
    system.hold_accounts(&mut work).unwrap();
    assert!(worked);
    assert!(folder.path().join("etc/.pwd.lock").is_file());
}

#[test]
fn a_missing_root_is_told() {
    let system = HostSystem::sandbox("/no/such/root".into());
    assert_eq!(
        system.read("/etc/x").unwrap_err().to_string(),
        "cannot read `/etc/x`: the root folder `/no/such/root` cannot be opened: no such file or directory"
    );
}

#[test]
fn random_bytes_differ_and_days_pass() {
    let (_folder, system) = sandbox();
    let (mut one, mut two) = ([0; 32], [0; 32]);
    system.random(&mut one).unwrap();
    system.random(&mut two).unwrap();
    assert_ne!(one, two);
    assert!(system.today() > 20_000);
}
