//! Who this machine is, where it listens and whom it dials.

use std::path::{Path, PathBuf};

use cloud_channel_protocol::{DEFAULT_VSOCK_PORT, EVENTS_PATH, Endpoint, InstanceId, Scheme};

use super::read::{Field, below, one_of, word_of};
use super::value::{Row, Value};
use super::{LogFormat, Overrides};
use crate::link_token::LinkToken;
use crate::policy::HostPorts;

/// The default Unix socket, below the root folder.
pub const DEFAULT_SOCKET: &str = "run/cloud-channel/events.sock";
/// The default TCP port, for cloud-init's webhook on the loopback address.
const DEFAULT_TCP_PORT: u16 = 169;

/// Who can open the Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The owner alone.
    pub const PRIVATE: Self = Self(0o600);

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "0600" | "600" => Ok(Self(0o600)),
            "0660" | "660" => Ok(Self(0o660)),
            "0666" | "666" => Ok(Self(0o666)),
            other => {
                let given = cloud_channel_protocol::shorten(other);
                Err(format!("expected `0600`, `0660` or `0666`, got `{given}`"))
            }
        }
    }

    /// The permissions.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// The keys, while files are put together.
#[derive(Debug)]
pub(super) struct Basics {
    pub(super) instance: Value<Option<InstanceId>>,
    pub(super) listen: Value<Vec<Endpoint>>,
    pub(super) connect: Value<Vec<Endpoint>>,
    link_token_file: Value<Option<PathBuf>>,
    pub(super) host_ports: Value<HostPorts>,
    pub(super) socket_mode: Value<SocketMode>,
    pub(super) log_format: Value<LogFormat>,
}

impl Basics {
    pub(super) const LINK_KEYS: &[&str] = &["token-file"];

    pub(super) fn new(root: &Path, sandbox: bool, dev: bool) -> Self {
        Self {
            instance: Value::new("instance-id", None),
            listen: Value::new("listen", default_listen(root, sandbox, dev)),
            connect: Value::new("connect", Vec::new()),
            link_token_file: Value::new("link.token-file", None),
            host_ports: Value::new("host-ports", HostPorts::default()),
            socket_mode: Value::new("socket-mode", SocketMode::PRIVATE),
            log_format: Value::new("log-format", LogFormat::default()),
        }
    }

    pub(super) fn set(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let endpoints = || field.list("endpoints", |item| item.parsed(Endpoint::parse));
        match field.key {
            "instance-id" => self.instance.set(Some(field.parsed(InstanceId::parse)?), from),
            "listen" => self.listen.set(endpoints()?, from),
            "connect" => self.connect.set(endpoints()?, from),
            "host-ports" => self.host_ports.set(field.parsed(one_of)?, from),
            "socket-mode" => self.socket_mode.set(field.parsed(SocketMode::parse)?, from),
            _ => self.log_format.set(field.parsed(one_of)?, from),
        }
        Ok(())
    }

    pub(super) fn set_link(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        self.link_token_file.set(Some(field.path()?), from);
        Ok(())
    }

    /// The token that whom we dial is shown, which nobody on the way may read.
    pub(super) fn link_token(&self, root: &Path, real: bool) -> Result<Option<LinkToken>, String> {
        let Value { name, value: Some(file), from } = &self.link_token_file else { return Ok(None) };
        let is_open = |endpoint: &&Endpoint| matches!(endpoint, Endpoint::Tcp { .. }) && !endpoint.is_tls();
        if let Some(endpoint) = self.connect.value.iter().find(is_open) {
            let shown = &self.connect.from;
            return Err(format!(
                "`{name}` (from {from}) is shown to every endpoint of `connect` (from {shown}), and everybody on the \
                 way to {endpoint} could read it: expected wss://, https://, unix:// or vsock://"
            ));
        }
        Ok(Some(LinkToken::at(below(root, file), real)))
    }

    /// What the command line says wins over all files.
    pub(super) fn override_by(&mut self, overrides: &Overrides) {
        if let Some(instance) = &overrides.instance {
            self.instance.set(Some(instance.clone()), "--instance-id");
        }
        if !overrides.listen.is_empty() {
            self.listen.set(overrides.listen.clone(), "--listen");
        }
        if !overrides.connect.is_empty() {
            self.connect.set(overrides.connect.clone(), "--connect");
        }
        if let Some(format) = overrides.log_format {
            self.log_format.set(format, "--log-format");
        }
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let id = |id: &Option<InstanceId>| {
            id.as_ref().map_or_else(|| "(to be read from cloud-init's files)".to_owned(), ToString::to_string)
        };
        rows.push(self.instance.row(id));
        rows.push(self.listen.row(|list| show_list(list)));
        rows.push(self.connect.row(|list| show_list(list)));
        let show = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        rows.extend(self.link_token_file.row_if(show));
        rows.push(self.host_ports.row(word_of));
        rows.push(self.socket_mode.row(|mode| format!("{:04o}", mode.bits())));
        rows.push(self.log_format.row(word_of));
    }
}

/// A sandbox and a trial have the Unix socket alone; a machine also takes reports of cloud-init over loopback TCP,
/// and its host over vsock.
fn default_listen(root: &Path, sandbox: bool, dev: bool) -> Vec<Endpoint> {
    let path = EVENTS_PATH.to_owned();
    let mut listen = vec![default_socket(root)];
    if !sandbox {
        listen.push(Endpoint::Tcp {
            scheme: Scheme::Ws,
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

/// The Unix socket below a root folder.
#[must_use]
pub fn default_socket(root: &Path) -> Endpoint {
    Endpoint::Unix { socket: root.join(DEFAULT_SOCKET).display().to_string() }
}

fn show_list(list: &[Endpoint]) -> String {
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "(none)".to_owned() } else { texts.join(" ") }
}
