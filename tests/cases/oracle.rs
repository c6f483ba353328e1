//! The netplan renderer beside cloud-init's own, and netplan's generator as the judge: what networkd is told in the end is
//! the same, or the difference is one that is named here.
//!
//! The documents are those of the golden cases. cloud-init and netplan are Debian's, unpacked by `make oracle`; without
//! them the test says that it is passed over, unless `CLOUD_CHANNEL_ORACLE=required`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Held, Outcome, System as _, apply, config_module};
use cloud_channel_protocol::Module;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Where the differences are to cloud-init 22.4 and netplan 0.106, and whose they are.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "bridge-on-vlan-netplan",
        "netplan reads a bridge before the VLAN in it twice, and has its name servers twice",
    ),
    (
        "unsupported-member-nameservers-sysconfig",
        "netplan reads the card twice, and has its search domain twice",
    ),
    ("v1-bond-netplan", "cloud-init has a number for a word, and loses parameters"),
    ("v1-control-netplan", "cloud-init loses `control`"),
    ("v1-ipv6-eni", "cloud-init asks for DHCPv6 where SLAAC is wanted"),
    ("v1-ipv6-netplan", "the same"),
    ("v1-loopback-address-netplan", "cloud-init loses the loopback's addresses"),
    ("v1-loopback-netplan", "cloud-init loses name servers of the loopback"),
    ("v1-machine-route-dhcp-netplan", "cloud-init loses a route beside DHCP"),
    ("v1-metric-netplan", "cloud-init loses the metric of a subnet"),
    ("v1-mtu-netplan", "cloud-init takes an IPv6 subnet's MTU for the card's"),
    ("v1-nameservers-dhcp-netplan", "cloud-init loses search domains beside DHCP"),
    ("v1-nameservers-netplan", "cloud-init has the machine's name servers for a card that has its own"),
    ("v1-nameservers-of-both-netplan", "cloud-init takes one of two entries for a card"),
    ("v1-nameservers-twice-netplan", "cloud-init loses both of two entries for a card"),
    ("v1-routes-netplan", "cloud-init loses the MTU, and routes beside DHCP"),
    ("v1-spellings-netplan", "cloud-init loses Wake-on-LAN, `keep_configuration` and the driver"),
    ("v1-vlan-netplan", "cloud-init makes bonds of the bond's members"),
];

/// Fewer documents than this are a fault of the test.
const ENOUGH: usize = 120;

const FILE: &str = "/etc/netplan/50-cloud-init.yaml";

/// What networkd is told: each line with its file and section.
type Told = BTreeSet<String>;

struct Oracle {
    script: PathBuf,
    root: PathBuf,
}

impl Oracle {
    fn find() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
        let root = folder.join("unpacked/root");
        root.is_dir().then(|| Self { script: folder.join("render.py"), root })
    }

    /// What cloud-init makes of documents; nothing where it refuses one.
    fn render(&self, documents: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
        let mut python = Command::new("/usr/bin/python3")
            .args([&self.script, &self.root.join("usr/lib/python3/dist-packages")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = documents.iter().map(|(name, document)| json!({"name": name, "document": document}));
        let asked: String = lines.map(|line| format!("{line}\n")).collect();
        let mut stdin = python.stdin.take().unwrap();
        // Both pipes are small.
        let asking = std::thread::spawn(move || stdin.write_all(asked.as_bytes()).unwrap());
        let output = python.wait_with_output().unwrap();
        asking.join().unwrap();
        assert!(output.status.success(), "cloud-init's renderer ends with {}", output.status);
        let answers: Vec<Value> = (output.stdout.split(|byte| *byte == b'\n'))
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(answers.len(), documents.len());
        let yaml = |answer: &Value| {
            Some((answer["name"].as_str()?.to_owned(), answer.get("yaml")?.as_str()?.to_owned()))
        };
        answers.iter().filter_map(yaml).collect()
    }

    /// What netplan's generator makes of a file; nothing if it refuses it.
    fn generate(&self, yaml: &str) -> Result<Told, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, yaml).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let output = Command::new(self.root.join("usr/libexec/netplan/generate"))
            .arg("--root-dir")
            .arg(folder.path())
            .env("LD_LIBRARY_PATH", self.libraries())
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(told(&folder.path().join("run")))
    }

    fn libraries(&self) -> PathBuf {
        let libraries = self.root.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        assert!(libraries.is_dir(), "{}", libraries.display());
        libraries
    }
}

/// Every line below a folder, with its file and section.
fn told(folder: &Path) -> Told {
    let mut told = Told::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut section = 0;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut kinds: Vec<Vec<&str>> = vec![Vec::new()];
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                kinds.push(Vec::new());
                section += 1;
            }
            kinds[section].push(line);
        }
        // Sections of one kind stand in any order, and so do the lines of one.
        for mut lines in kinds {
            lines.sort_unstable();
            if lines.contains(&"[Network]") {
                let gateways = lines.extract_if(.., |line| line.starts_with("Gateway="));
                told.extend(gateways.map(|gateway| default_route(&name, gateway)));
            }
            told.insert(format!("{name}: {}", lines.join(" ")));
        }
    }
    told
}

/// What an interface's gateway is short for.
fn default_route(name: &str, gateway: &str) -> String {
    let destination = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
    format!("{name}: Destination={destination} {gateway} [Route]")
}

/// The documents of the golden cases that stand for themselves: one push, onto nothing, that takes nothing away.
fn documents() -> BTreeMap<String, (Value, Box<RawValue>, PathBuf)> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../handlers/test_data/network");
    let mut documents = BTreeMap::new();
    let mut folders: Vec<PathBuf> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    // Many documents are there for each renderer.
    let mut seen = BTreeSet::new();
    for folder in folders {
        if folder.join("push-2.json").exists() || !folder.join("push-1.json").exists() {
            continue;
        }
        let text = fs::read_to_string(folder.join("push-1.json")).unwrap();
        let push: Box<RawValue> = serde_json::from_str(&text).unwrap();
        let payload: Value = serde_json::from_str(push.get()).unwrap();
        let document = payload.get("network").unwrap_or(&payload).clone();
        let stands_alone = document.get("version").is_some() && document.get("take-over").is_none();
        if !stands_alone || has_null(&document) || !seen.insert(document.to_string()) {
            continue;
        }
        documents
            .insert(folder.file_name().unwrap().to_string_lossy().into_owned(), (document, push, folder));
    }
    documents
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

/// Our file for a push onto a machine that has nothing but the case's cards; nothing if it is refused.
fn ours(push: &RawValue, case: &Path) -> Option<String> {
    let system = MemorySystem::sandbox();
    system.write("/usr/sbin/netplan", &FileState::of_root("", 0o755)).unwrap();
    let cards = case.join("machine/sys/class/net");
    for card in fs::read_dir(&cards).into_iter().flatten() {
        for attribute in fs::read_dir(card.unwrap().path()).unwrap() {
            let path = attribute.unwrap().path();
            let name = format!("/sys/class/net/{}", path.strip_prefix(&cards).unwrap().display());
            if path.is_file() {
                system.write(&name, &FileState::of_root(fs::read(&path).unwrap(), 0o644)).unwrap();
            }
        }
    }
    let network = config_module(Module::Network);
    network.check(push, &system).ok()?;
    let plan = network.plan(&Held::nothing(), push, &system).ok().filter(|plan| plan.deferred.is_empty())?;
    match apply(&plan, &plan.preimage(None), &system) {
        Outcome::Done { .. } => system.text(FILE),
        Outcome::Failed { reason, .. } => panic!("{}: {reason}", case.display()),
    }
}

fn difference(ours: &Told, theirs: &Told) -> String {
    let lines = |one: &Told, other: &Told| one.difference(other).cloned().collect::<Vec<_>>().join("\n    ");
    format!("  ours\n    {}\n  theirs\n    {}", lines(ours, theirs), lines(theirs, ours))
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped check must not look like a passed one")]
fn networkd_is_told_what_cloud_init_and_netplan_tell_it() {
    let Some(oracle) = Oracle::find() else {
        assert_ne!(
            std::env::var("CLOUD_CHANNEL_ORACLE").as_deref(),
            Ok("required"),
            "cloud-init and netplan are not there: make oracle"
        );
        eprintln!("passed over: cloud-init and netplan are not there (make oracle)");
        return;
    };
    let cases = documents();
    let documents = cases.iter().map(|(name, (document, ..))| (name.clone(), document.clone())).collect();
    let theirs = oracle.render(&documents);
    let mut different = BTreeMap::new();
    let (mut equal, mut alone, mut neither) = (0, 0, 0);
    for (name, (_, push, folder)) in &cases {
        let (Some(ours), Some(theirs)) = (ours(push, folder), theirs.get(name)) else { continue };
        match (oracle.generate(&ours), oracle.generate(theirs)) {
            (Ok(ours), Ok(theirs)) if ours == theirs => equal += 1,
            (Ok(ours), Ok(theirs)) => {
                different.insert(name.as_str(), difference(&ours, &theirs));
            }
            (Err(fault), Ok(_)) => {
                different.insert(name.as_str(), format!("  netplan refuses ours: {fault}"));
            }
            // cloud-init's own file, which netplan does not take.
            (Ok(_), Err(_)) => alone += 1,
            // A key that this version of netplan has not got.
            (Err(_), Err(_)) => neither += 1,
        }
    }
    let known: BTreeSet<&str> = DIFFERENT.iter().map(|(name, _)| *name).collect();
    let new: Vec<String> = (different.iter())
        .filter(|(name, _)| !known.contains(*name))
        .map(|(name, text)| format!("{name}\n{text}"))
        .collect();
    // With other versions of theirs, some are.
    for (name, why) in DIFFERENT.iter().filter(|(name, _)| !different.contains_key(name)) {
        eprintln!("no longer different: {name} ({why})");
    }
    eprintln!(
        "{equal} equal, {} different, {alone} where theirs is refused, {neither} where both are",
        different.len()
    );
    assert!(new.is_empty(), "{}", new.join("\n"));
    assert!(equal >= ENOUGH, "{equal} documents are too few");
}
