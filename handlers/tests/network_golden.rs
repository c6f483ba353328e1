//! Golden cases of the network module: a case is a folder, `UPDATE_GOLDEN=1` writes what is expected.
//!
//! ```text
//! <case>/machine/…          files that exist; those in a folder for programs are programs
//! <case>/push-1.json …      pushes in order; machine-2/… is laid over the machine before the second
//! <case>/plug-1/…           laid over the machine after the pushes; what waited and need not any more is done
//! <case>/plug-1.gone        links that go with that, one a line
//! <case>/expected/…         network files after all that
//! <case>/expected-plugs.txt what each plug has made ready, and what still waits
//! <case>/expected-error.txt the refusal of the last push, if it is refused
//! <case>/expected-plan.json a dry run of the last push: for a real machine, or if it warns or defers
//! <case>/real               present: a real machine, which has commands; the last push is planned only
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cloud_channel_handlers::system::{HostSystem, MemorySystem};
use cloud_channel_handlers::{
    ConfigModule, FileState, Held, Outcome, Plan, Refusal, System, apply, config_module,
};
use cloud_channel_protocol::Module;
use serde_json::value::RawValue;

const NETWORK_FOLDERS: [&str; 8] = [
    "/etc/NetworkManager/conf.d/",
    "/etc/NetworkManager/system-connections/",
    "/etc/cloud/cloud.cfg.d/99-cloud-channel-network.cfg",
    "/etc/netplan/",
    "/etc/network/interfaces.d/",
    "/etc/sysconfig/network",
    "/etc/systemd/network/",
    "/etc/udev/rules.d/",
];

/// Where users are.
const PASSWD: &str = "/etc/passwd";
/// networkd's user, where a case does not say otherwise.
const NETWORKD_USER: &str = "systemd-network:x:998:997:systemd Network Management:/:/usr/sbin/nologin\n";
/// So many cases there are: none may be lost on the way.
const CASES: usize = 469;

struct Case {
    folder: PathBuf,
    name: String,
    update: bool,
}

impl Case {
    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn pushes(&self) -> Vec<Box<RawValue>> {
        let texts = (1..).map_while(|number| self.text(&format!("push-{number}.json")));
        texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    /// The expected text must be there and the same; in update mode it is made so.
    fn compare(&self, name: &str, actual: Option<&str>) {
        let path = self.folder.join(name);
        if self.update {
            match actual {
                Some(text) => write(&path, text),
                None if path.exists() => fs::remove_file(&path).unwrap(),
                None => {}
            }
        }
        assert_eq!(self.text(name).as_deref(), actual, "{}: {name}", self.name);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Every file below a folder, as absolute paths of the machine.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() {
            let name = format!("/{}", path.strip_prefix(folder).unwrap().display());
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

fn lay(system: &MemorySystem, files: BTreeMap<String, Vec<u8>>) {
    for (path, content) in files {
        let program = ["/usr/sbin/", "/usr/bin/", "/sbin/"].iter().any(|folder| path.starts_with(folder));
        let mode = if program { 0o755 } else { 0o644 };
        system.write(&path, &FileState::of_root(content, mode)).unwrap();
    }
}

fn network() -> &'static dyn ConfigModule {
    config_module(Module::Network)
}

fn carry_out(plan: &Plan, system: &MemorySystem) -> Held {
    match apply(plan, &plan.preimage(None), system) {
        Outcome::Done { held, .. } => held,
        Outcome::Failed { reason, .. } => panic!("{reason}"),
    }
}

/// Plays a case. Gives the renderer of its machine, if one is served.
fn run(case: &Case) -> Option<String> {
    let real = case.folder.join("real").exists();
    let system = if real { MemorySystem::new() } else { MemorySystem::sandbox() };
    // So that a file that is given to the wrong user shows.
    lay(&system, BTreeMap::from([(PASSWD.to_owned(), NETWORKD_USER.into())]));
    lay(&system, tree(&case.folder.join("machine")));
    let mut held = Held::nothing();
    let pushes = case.pushes();
    assert!(!pushes.is_empty(), "{}: no push-1.json", case.name);
    let mut last: Result<Plan, Refusal> = Ok(Plan::nothing(Held::nothing()));
    for (number, push) in pushes.iter().enumerate() {
        lay(&system, tree(&case.folder.join(format!("machine-{}", number + 1))));
        last = network().check(push, &system).and_then(|()| network().plan(&held, push, &system));
        let is_last = number + 1 == pushes.len();
        match &last {
            Err(refusal) => assert!(is_last, "{}: push {} is refused: {refusal}", case.name, number + 1),
            Ok(_) if is_last && real => {}
            Ok(plan) => held = carry_out(plan, &system),
        }
    }
    let error = last.as_ref().err().map(|refusal| format!("{refusal}\n"));
    case.compare("expected-error.txt", error.as_deref());
    let plan = last.ok();
    if let Some(plan) = plan.as_ref().filter(|_| !real) {
        check_rest(case, plan, &held, pushes.last().unwrap(), &system);
    }
    let told = plan.filter(|plan| real || !plan.remarks().is_empty() || !plan.deferred.is_empty());
    let told = told.map(|plan| format!("{:#}\n", plan.to_json()));
    case.compare("expected-plan.json", told.as_deref());
    case.compare("expected-plugs.txt", plug(case, &mut held, &system).as_deref());
    let renderer = network().describe(&held, &system)["renderer"].as_str().map(ToOwned::to_owned);
    check_files(case, renderer.as_deref(), &system);
    renderer
}

/// Lays one `plug-N` after another over the machine, and does each time what need not wait any more.
fn plug(case: &Case, held: &mut Held, system: &MemorySystem) -> Option<String> {
    let mut told = String::new();
    for number in 1.. {
        let folder = case.folder.join(format!("plug-{number}"));
        if !folder.exists() {
            break;
        }
        let gone = case.text(&format!("plug-{number}.gone")).unwrap_or_default();
        for link in gone.lines() {
            let attributes = format!("/sys/class/net/{link}/");
            for path in system.files().into_keys().filter(|path| path.starts_with(&attributes)) {
                system.remove(&path).unwrap();
            }
        }
        lay(system, tree(&folder));
        let before = network().outlook(held, system).unwrap();
        // What is gone asks for nothing, though it would be written otherwise now.
        if gone.is_empty() || !before.ready.is_empty() {
            let plan = network().resume(held, system).unwrap();
            assert_eq!(plan.is_empty(), before.ready.is_empty(), "{}: {plan:?}", case.name);
            *held = carry_out(&plan, system);
        }
        let after = network().outlook(held, system).unwrap();
        assert!(after.ready.is_empty(), "{}: {after:?}", case.name);
        let ready: Vec<String> = before.ready.into_iter().map(|(id, on)| format!("{id}: {on}")).collect();
        told += &format!("plug {number}: ready [{}]; waiting {:?}\n", ready.join(", "), after.waiting);
    }
    Some(told).filter(|told| !told.is_empty())
}

/// What was carried out stays: the same push again has nothing to do, and remembers the same.
fn check_rest(case: &Case, plan: &Plan, held: &Held, push: &RawValue, system: &MemorySystem) {
    let again = network().plan(held, push, system).unwrap();
    assert!(again.is_empty(), "{}: the second time it does {:?}", case.name, again.steps);
    assert_eq!(again.held, *held, "{}", case.name);
    assert_eq!(again.deferred, plan.deferred, "{}", case.name);
    let description = network().describe(held, system);
    assert_eq!(description["desired"]["version"], 2, "{}: {description}", case.name);
    assert_eq!(description["observed"], serde_json::Value::Null, "a sandbox has no kernel: {}", case.name);
}

/// Whose a new file has to be.
fn owner(renderer: Option<&str>, path: &str, passwd: &str) -> (u32, u32) {
    let line = passwd.lines().find_map(|line| line.strip_prefix("systemd-network:"));
    let ids: Vec<u32> =
        line.into_iter().flat_map(|line| line.split(':').skip(1)).map_while(|id| id.parse().ok()).collect();
    match ids.as_slice() {
        [uid, gid] if renderer == Some("networkd") && path.starts_with("/etc/systemd/network/") => {
            (*uid, *gid)
        }
        _ => (0, 0),
    }
}

fn check_files(case: &Case, renderer: Option<&str>, system: &MemorySystem) {
    let files = system.files();
    let ours = files.iter().filter(|(path, _)| NETWORK_FOLDERS.iter().any(|folder| path.starts_with(folder)));
    let actual: BTreeMap<String, FileState> = ours.map(|(path, file)| (path.clone(), file.clone())).collect();
    let passwd = String::from_utf8(files[PASSWD].content.clone()).unwrap();
    let laid = |path: &String| {
        let folders = fs::read_dir(&case.folder).unwrap().map(|entry| entry.unwrap());
        let is_laid = |name: &str| name.starts_with("machine") || name.starts_with("plug-");
        let mut laid = folders.filter(|folder| is_laid(folder.file_name().to_str().unwrap()));
        laid.any(|folder| folder.path().join(path.trim_start_matches('/')).is_file())
    };
    for (path, file) in &actual {
        let known = laid(path);
        let expected = if known { (0, 0) } else { owner(renderer, path, &passwd) };
        assert_eq!((file.uid, file.gid), expected, "{}: the owner of {path}", case.name);
        let is_private = path.ends_with(".yaml") || path.ends_with(".nmconnection");
        let mode = if is_private { 0o600 } else { 0o644 };
        assert!(known || file.mode == mode, "{}: {path} has mode {:o}", case.name, file.mode);
    }
    let folder = case.folder.join("expected");
    if case.update {
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        for (path, file) in &actual {
            write(&folder.join(path.trim_start_matches('/')), std::str::from_utf8(&file.content).unwrap());
        }
    }
    let expected: Vec<String> = tree(&folder).into_keys().collect();
    assert_eq!(actual.keys().cloned().collect::<Vec<_>>(), expected, "{}: files", case.name);
    for path in expected {
        let name = format!("expected{path}");
        case.compare(&name, Some(std::str::from_utf8(&actual[&path].content).unwrap()));
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a figure for the reader of the test's output")]
fn every_case_gives_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test_data/network");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| folder.join(name).is_dir())
        .collect();
    names.sort();
    assert!(names.len() >= CASES, "only {} cases in {}", names.len(), folder.display());
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        let renderer = run(&Case { folder: folder.join(&name), name, update });
        *passed.entry(renderer.unwrap_or_else(|| "none".to_owned())).or_default() += 1;
    }
    for (renderer, cases) in passed {
        eprintln!("network cases passed, {renderer}: {cases}");
    }
}

#[test]
fn networkds_files_are_its_users_if_there_is_one() {
    let text = r#"{"version": 2, "ethernets": {"ens0": {"dhcp4": true}}}"#;
    let push: &RawValue = serde_json::from_str(text).unwrap();
    for (passwd, expected) in [
        (Some(NETWORKD_USER), (998, 997)),
        (Some("root:x:0:0::/root:/bin/sh\nsystemd-network:x:7:8::/:\n"), (7, 8)),
        (Some("my-systemd-network:x:7:8::/:\n"), (0, 0)),
        (Some("systemd-network:x:7:group::/:\n"), (0, 0)),
        (Some("systemd-network\n"), (0, 0)),
        (None, (0, 0)),
    ] {
        let system = MemorySystem::sandbox().with_program("/usr/lib/systemd/systemd-networkd");
        if let Some(passwd) = passwd {
            lay(&system, BTreeMap::from([(PASSWD.to_owned(), passwd.into())]));
        }
        carry_out(&network().plan(&Held::nothing(), push, &system).unwrap(), &system);
        let files = system.files();
        let ours: Vec<_> =
            files.iter().filter(|(path, _)| path.starts_with("/etc/systemd/network/")).collect();
        assert!(!ours.is_empty(), "{:?}", files.keys());
        for (path, file) in ours {
            assert_eq!((file.uid, file.gid), expected, "{path} with {passwd:?}");
        }
    }
}

#[test]
fn the_examples_of_the_specification_are_carried_out_one_after_another() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/examples");
    let system = MemorySystem::sandbox();
    let mut held = Held::nothing();
    for name in ["hotplug", "partial", "bridge"] {
        let text = fs::read_to_string(folder.join(format!("config-set-network-{name}.json"))).unwrap();
        let messages: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let push = serde_json::value::to_raw_value(&messages[0]["data"]).unwrap();
        network().check(&push, &system).unwrap();
        let plan = network().plan(&held, &push, &system).unwrap();
        assert!(!plan.is_empty(), "{name}");
        held = carry_out(&plan, &system);
    }
    let desired = &network().describe(&held, &system)["desired"];
    assert_eq!(desired["ethernets"]["ens0"]["addresses"][0], "192.0.2.5/24");
    assert_eq!(desired["ethernets"]["ens0"].get("dhcp4"), None);
    assert_eq!(desired["bridges"]["br0"]["interfaces"].as_array().unwrap().len(), 3);
}

#[test]
fn a_folder_on_disk_gets_the_same_files_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    let disk = HostSystem::sandbox(folder.path().to_owned());
    let memory = MemorySystem::sandbox();
    let text = r#"{"version": 2, "ethernets": {"ens0": {"dhcp4": true}}}"#;
    let push: &RawValue = serde_json::from_str(text).unwrap();
    let carry_out = |system: &dyn System| {
        let plan = network().plan(&Held::nothing(), push, system).unwrap();
        let Outcome::Done { held, .. } = apply(&plan, &plan.preimage(None), system) else {
            panic!("not done")
        };
        assert!(network().plan(&held, push, system).unwrap().is_empty());
    };
    carry_out(&disk);
    carry_out(&memory);
    assert_eq!(memory.files().len(), 1);
    for (path, file) in memory.files() {
        let written = disk.read(&path).unwrap().unwrap();
        assert!(written.says_the_same(&file), "{path}: {written:?}");
    }
}
