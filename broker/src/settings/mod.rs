//! What the daemon is to do: defaults, then root-owned files, then the command line, the later winning.
//!
//! `/etc/cloud-channel/config.yaml` and `/etc/cloud-channel/conf.d/*.yaml` (by name) are read below the root
//! folder; `--config FILE` takes their place. Each value remembers where it came from.

mod fragment;

use std::fmt;
use std::path::{Path, PathBuf};

use cloud_channel_protocol::{DEFAULT_VSOCK_PORT, EVENTS_PATH, Endpoint, InstanceId};
use fragment::Fragment;

use crate::policy::HostPorts;
pub use fragment::FragmentError;

/// The default Unix socket, below the root folder.
pub const DEFAULT_SOCKET: &str = "run/cloud-channel/events.sock";
/// The default TCP port, for cloud-init's webhook on the loopback address.
const DEFAULT_TCP_PORT: u16 = 169;
/// The main configuration file, below the root folder.
const CONFIG_FILE: &str = "etc/cloud-channel/config.yaml";
/// Further files, read after it in order of their names.
const CONFIG_FOLDER: &str = "etc/cloud-channel/conf.d";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says; everything is optional.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--instance-id`
    pub instance: Option<InstanceId>,
    /// `--listen`
    pub listen: Vec<Endpoint>,
    /// `--connect`
    pub connect: Vec<Endpoint>,
    /// `--dev`
    pub dev: bool,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// Where each value came from, for `config show`.
#[derive(Debug, Clone)]
pub struct Origins {
    rows: Vec<(&'static str, String, String)>,
}

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that plays the machine; `None` is the machine itself.
    pub root: Option<PathBuf>,
    /// The instance-id, if it is not to be read from cloud-init's files.
    pub instance: Option<InstanceId>,
    /// Where to listen.
    pub listen: Vec<Endpoint>,
    /// True if somebody named the endpoints; the defaults may be missing on a machine.
    pub listen_is_explicit: bool,
    /// Whom to dial, in order.
    pub connect: Vec<Endpoint>,
    /// Trust everybody.
    pub dev: bool,
    /// Which of the host's ports are trusted on a vsock.
    pub host_ports: HostPorts,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where the values came from.
    pub origins: Origins,
}

impl Settings {
    /// Reads the files and puts everything together.
    ///
    /// # Errors
    /// If a file is there and wrong; says which file, which line, what was expected.
    pub fn load(overrides: Overrides) -> Result<Self, FragmentError> {
        let root = overrides.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        let fragments = match &overrides.config {
            Some(path) => vec![Fragment::read(path, overrides.root.is_none())?],
            None => read_default_files(&root, overrides.root.is_none())?,
        };
        Ok(merge(overrides, &root, fragments))
    }

    /// The folder that plays the machine, or the machine's root.
    #[must_use]
    pub fn root_folder(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| PathBuf::from("/"))
    }

    /// True for a default that not every machine can have: only the Unix socket is needed.
    #[must_use]
    pub fn is_optional(&self, endpoint: &Endpoint) -> bool {
        !matches!(endpoint, Endpoint::Unix { .. })
    }
}

/// The Unix socket below a root folder.
#[must_use]
pub fn default_socket(root: &Path) -> Endpoint {
    Endpoint::Unix { socket: root.join(DEFAULT_SOCKET).display().to_string() }
}

fn read_default_files(root: &Path, real: bool) -> Result<Vec<Fragment>, FragmentError> {
    let mut paths = vec![root.join(CONFIG_FILE)];
    let folder = root.join(CONFIG_FOLDER);
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|source| FragmentError::unreadable(&folder, source))?;
                found.push(entry.path());
            }
            found.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
            found.sort();
            paths.extend(found);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(FragmentError::unreadable(&folder, source)),
    }
    let mut fragments = Vec::new();
    for path in paths {
        match Fragment::read(&path, real) {
            Err(error) if error.is_not_found() => {}
            fragment => fragments.push(fragment?),
        }
    }
    Ok(fragments)
}

/// Later fragments win, the command line wins over all. Lists replace as a whole.
fn merge(overrides: Overrides, root: &Path, fragments: Vec<Fragment>) -> Settings {
    let defaults = default_listen(root, overrides.root.is_some(), overrides.dev);
    let mut instance = Value::new("instance-id", None, "cloud-init's files");
    let mut listen = Value::new("listen", defaults, "default");
    let mut connect = Value::new("connect", Vec::new(), "default");
    let mut host_ports = Value::new("host-ports", HostPorts::default(), "default");
    let mut log_format = Value::new("log-format", LogFormat::default(), "default");
    for fragment in fragments {
        let from = fragment.path.display().to_string();
        instance.set(fragment.instance.map(Some), &from);
        listen.set(fragment.listen, &from);
        connect.set(fragment.connect, &from);
        host_ports.set(fragment.host_ports, &from);
        log_format.set(fragment.log_format, &from);
    }
    let some = |list: Vec<Endpoint>| if list.is_empty() { None } else { Some(list) };
    instance.set(overrides.instance.map(Some), "--instance-id");
    listen.set(some(overrides.listen), "--listen");
    connect.set(some(overrides.connect), "--connect");
    log_format.set(overrides.log_format, "--log-format");
    let rows = vec![
        instance.row(|id| id.as_ref().map_or_else(|| "(to be read)".to_owned(), ToString::to_string)),
        listen.row(|list| show_list(list)),
        connect.row(|list| show_list(list)),
        host_ports.row(|ports| format!("{ports:?}").to_lowercase()),
        log_format.row(|format| format!("{format:?}").to_lowercase()),
    ];
    Settings {
        root: overrides.root,
        instance: instance.value,
        listen_is_explicit: listen.from != "default",
        listen: listen.value,
        connect: connect.value,
        dev: overrides.dev,
        host_ports: host_ports.value,
        log_format: log_format.value,
        origins: Origins { rows },
    }
}

/// A sandbox and a trial have the Unix socket alone; a machine also takes reports of cloud-init over loopback TCP,
/// and its host over vsock.
fn default_listen(root: &Path, sandbox: bool, dev: bool) -> Vec<Endpoint> {
    let path = EVENTS_PATH.to_owned();
    let mut listen = vec![default_socket(root)];
    if !sandbox {
        listen.push(Endpoint::Tcp {
            host: "127.0.0.1".to_owned(),
            port: DEFAULT_TCP_PORT,
            path: path.clone(),
        });
    }
    if !sandbox && !dev && Path::new("/dev/vsock").exists() {
        listen.push(Endpoint::Vsock { cid: None, port: DEFAULT_VSOCK_PORT, path });
    }
    listen
}

/// A value and where it came from.
struct Value<T> {
    name: &'static str,
    value: T,
    from: String,
}

impl<T> Value<T> {
    fn new(name: &'static str, value: T, from: &str) -> Self {
        Self { name, value, from: from.to_owned() }
    }

    fn set(&mut self, value: Option<T>, from: &str) {
        if let Some(value) = value {
            self.value = value;
            from.clone_into(&mut self.from);
        }
    }

    fn row(&self, show: impl Fn(&T) -> String) -> (&'static str, String, String) {
        (self.name, show(&self.value), self.from.clone())
    }
}

fn show_list(list: &[Endpoint]) -> String {
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "(none)".to_owned() } else { texts.join(" ") }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value, from) in &self.rows {
            writeln!(f, "{name:<12} {value}   # {from}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(root: &Path, overrides: Overrides) -> Result<Settings, FragmentError> {
        Settings::load(Overrides { root: Some(root.to_owned()), ..overrides })
    }

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn without_files_a_sandbox_listens_on_its_own_socket() {
        let root = tempfile::tempdir().unwrap();
        let settings = load(root.path(), Overrides::default()).unwrap();
        assert_eq!(settings.listen, [default_socket(root.path())]);
        assert!(!settings.listen_is_explicit && settings.connect.is_empty());
    }

    #[test]
    fn later_files_and_then_the_command_line_win() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), CONFIG_FILE, "instance-id: i-one\nconnect: [\"ws://127.0.0.1:1\"]\n");
        put(root.path(), "etc/cloud-channel/conf.d/10-a.yaml", "instance-id: i-two\nlog-format: json\n");
        put(root.path(), "etc/cloud-channel/conf.d/notes.txt", "not: [yaml");
        let settings = load(root.path(), Overrides::default()).unwrap();
        assert_eq!(settings.instance.as_ref().unwrap().as_str(), "i-two");
        assert_eq!(settings.log_format, LogFormat::Json);
        assert!(settings.origins.to_string().contains("10-a.yaml"), "{}", settings.origins);
        let overrides = Overrides { instance: InstanceId::parse("i-three").ok(), ..Overrides::default() };
        let settings = load(root.path(), overrides).unwrap();
        assert_eq!(settings.instance.unwrap().as_str(), "i-three");
        assert_eq!(settings.connect.len(), 1);
    }

    #[test]
    fn faults_name_file_line_and_the_nearest_key() {
        let root = tempfile::tempdir().unwrap();
        for (text, parts) in [
            ("instance-id: a\nlisen: []\n", ["config.yaml", "line 2", "lisen", "listen"]),
            ("listen: [\"ftp://x\"]\n", ["config.yaml", "1", "ftp://x", "unix://"]),
            ("connect: unix:///x\n", ["config.yaml", "line 1", "connect", "list"]),
            ("host-ports: all\n", ["line 1", "host-ports", "`privileged` or `any`", "`all`"]),
            ("instance-id: \"a b\"\n", ["config.yaml", "1", "a b", "expected"]),
        ] {
            put(root.path(), CONFIG_FILE, text);
            let error = crate::link::error_chain(&load(root.path(), Overrides::default()).unwrap_err());
            for part in parts {
                assert!(error.contains(part), "{text:?} gives {error:?}, which lacks {part:?}");
            }
        }
    }
}
