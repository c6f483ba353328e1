//! What the daemon is to do: defaults, then root-owned files, then the command line, the later winning.
//!
//! `/etc/cloud-channel/config.yaml` and `/etc/cloud-channel/conf.d/*.yaml` (by name) are read below the root
//! folder; `--config FILE` takes their place. Each value remembers where it came from.

mod authority;
mod basics;
mod draft;
mod fragment;
mod hotplug;
mod limits;
mod read;
mod services;
#[cfg(test)]
mod tests;
pub mod tls;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use basics::{DEFAULT_SOCKET, SocketMode, default_socket};
use cloud_channel_protocol::server::ServerConfig;
use cloud_channel_protocol::signing::ManagementKey;
use cloud_channel_protocol::{Endpoint, InstanceId};
use draft::Draft;
use fragment::Fragment;
pub use fragment::FragmentError;
pub use hotplug::HotplugSettings;
pub use services::{ExtensionName, Retention};
pub use tls::{DialIdentity, DialTlsSettings, TlsSettings};
use value::Row;

use crate::link_token::LinkToken;
use crate::policy::{Authority, Surroundings, review};

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
    rows: Vec<Row>,
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
    /// What is shown to whom we dial, if anything.
    pub link_token: Option<LinkToken>,
    /// Trust everybody.
    pub dev: bool,
    /// Who can open the Unix sockets.
    pub socket_mode: SocketMode,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What `wss://` listeners prove themselves with; there if one is in `listen`.
    pub tls: Option<TlsSettings>,
    /// Whom we believe where we dial `wss://`.
    pub dial_tls: DialTlsSettings,
    /// Who may do what.
    pub authority: Authority,
    /// Whose signature config has to carry; without any it needs none.
    pub management_keys: Vec<ManagementKey>,
    /// Limits and advice.
    pub server: ServerConfig,
    /// How much of what was delivered is kept.
    pub retention: Retention,
    /// Which protocol extensions are spoken.
    pub extensions: Vec<ExtensionName>,
    /// After how long a session ends that only heartbeats.
    pub activity: Option<Duration>,
    /// Where metrics can be read beside the Unix socket.
    pub metrics_listen: Vec<Endpoint>,
    /// Web origins whose pages may speak to us, in lower case.
    pub allowed_origins: Vec<String>,
    /// Whether the kernel's hardware events are listened to.
    pub hotplug: HotplugSettings,
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
        let real = overrides.root.is_none();
        let fragments = match &overrides.config {
            Some(path) => vec![Fragment::read(path, real)?],
            None => read_default_files(&root, real)?,
        };
        let mut draft = Draft::new(&root, !real, overrides.dev);
        for fragment in &fragments {
            draft.read(fragment)?;
        }
        draft.finish(overrides, &root).map_err(|problem| FragmentError::Contradiction { problem })
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

    /// What is probably not meant as it is written.
    ///
    /// # Errors
    /// If a file of tokens is of no use: the one that rules name, or the one that the link shows.
    pub fn warnings(&self) -> Result<Vec<String>, FragmentError> {
        let mut warnings = self.link_warnings()?;
        if !self.authority.is_default {
            warnings.extend(self.rule_warnings()?);
        }
        Ok(warnings)
    }

    /// A token may still be on its way to the machine; it is looked for whenever the link dials.
    fn link_warnings(&self) -> Result<Vec<String>, FragmentError> {
        let Some(token) = &self.link_token else { return Ok(Vec::new()) };
        let mut warnings = Vec::new();
        if self.connect.is_empty() {
            warnings
                .push("`link.token-file` is for the endpoints in `connect`, and there is none".to_owned());
        }
        match token.read() {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {
                let path = token.path().display();
                warnings.push(format!("there is no token file `{path}`: without it the link reaches nobody"));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(warnings)
    }

    fn rule_warnings(&self) -> Result<Vec<String>, FragmentError> {
        let listens = |is: fn(&Endpoint) -> bool| !self.listen_is_explicit || self.listen.iter().any(is);
        let around = Surroundings {
            vsock: listens(|endpoint| matches!(endpoint, Endpoint::Vsock { .. })),
            tcp: listens(|endpoint| matches!(endpoint, Endpoint::Tcp { .. })),
            client_certificates: self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
            other_users: self.socket_mode != SocketMode::PRIVATE,
            tokens: self.authority.token_names()?,
        };
        Ok(review(&self.authority.rules, &around))
    }
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

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
