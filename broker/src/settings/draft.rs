//! All settings while files are put together: each file in turn sets what it names.

use std::path::Path;

use super::authority::AuthorityDraft;
use super::basics::Basics;
use super::fragment::{Fragment, FragmentError};
use super::hotplug::HotplugDraft;
use super::limits::ServerDraft;
use super::read::{Field, fields};
use super::services::ServicesDraft;
use super::tls::TlsDraft;
use super::value::Row;
use super::{Origins, Overrides, Settings};

/// The keys that stand in no group, and the groups.
const KEYS: [&str; 20] = [
    "instance-id",
    "listen",
    "connect",
    "link",
    "host-ports",
    "socket-mode",
    "log-format",
    "tls",
    "dial-tls",
    "authority",
    "token-file",
    "management-keys",
    "allowed-origins",
    "limits",
    "advice",
    "extensions",
    "activity",
    "replay",
    "metrics",
    "hotplug",
];

#[derive(Debug)]
pub(super) struct Draft {
    basics: Basics,
    tls: TlsDraft,
    authority: AuthorityDraft,
    server: ServerDraft,
    services: ServicesDraft,
    hotplug: HotplugDraft,
}

impl Draft {
    pub(super) fn new(root: &Path, sandbox: bool, dev: bool) -> Self {
        Self {
            basics: Basics::new(root, sandbox, dev),
            tls: TlsDraft::default(),
            authority: AuthorityDraft::default(),
            server: ServerDraft::new(dev),
            services: ServicesDraft::default(),
            hotplug: HotplugDraft::new(sandbox),
        }
    }

    /// Takes over what a file says.
    pub(super) fn read(&mut self, fragment: &Fragment) -> Result<(), FragmentError> {
        let from = fragment.path.display().to_string();
        let read = fields("", &fragment.entries, &KEYS)
            .and_then(|fields| fields.iter().try_for_each(|field| self.set(field, &from)));
        read.map_err(|problem| FragmentError::Invalid { path: fragment.path.clone(), problem })
    }

    fn set(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let group = |keys: &[&str], set: &mut dyn FnMut(&Field<'_>) -> Result<(), String>| {
            field.fields(keys)?.iter().try_for_each(set)
        };
        match field.key {
            "tls" => group(TlsDraft::KEYS, &mut |field| self.tls.set(field, from)),
            "link" => group(Basics::LINK_KEYS, &mut |field| self.basics.set_link(field, from)),
            "dial-tls" => group(TlsDraft::DIAL_KEYS, &mut |field| self.tls.set_dial(field, from)),
            "authority" => self.authority.set_rules(field, from),
            "token-file" => self.authority.set_token_file(field, from),
            "management-keys" => self.authority.set_keys(field, from),
            "allowed-origins" => self.services.set_origins(field, from),
            "limits" => group(&ServerDraft::keys(), &mut |field| self.server.set_limit(field, from)),
            "advice" => group(ServerDraft::ADVICE_KEYS, &mut |field| self.server.set_advice(field, from)),
            "extensions" => self.services.set_extensions(field, from),
            "activity" => self.services.set_activity(field, from),
            "replay" => group(ServicesDraft::REPLAY_KEYS, &mut |field| self.services.set_replay(field, from)),
            "metrics" => {
                group(ServicesDraft::METRICS_KEYS, &mut |field| self.services.set_metrics(field, from))
            }
            "hotplug" => group(HotplugDraft::KEYS, &mut |field| self.hotplug.set(field, from)),
            _ => self.basics.set(field, from),
        }
    }

    /// Puts the command line over the files, and checks what belongs together.
    pub(super) fn finish(mut self, overrides: Overrides, root: &Path) -> Result<Settings, String> {
        self.basics.override_by(&overrides);
        let mut rows: Vec<Row> = Vec::new();
        self.basics.rows(&mut rows);
        self.tls.rows(&mut rows);
        self.authority.rows(&mut rows);
        self.server.rows(&mut rows);
        self.services.rows(&mut rows);
        self.hotplug.rows(&mut rows);
        let Self { basics, tls, authority, server, services, hotplug } = self;
        let (tls, dial_tls) = tls.finish(root)?;
        let real = overrides.root.is_none();
        let link_token = basics.link_token(root, real)?;
        let (authority, management_keys) = authority.finish(root, real, basics.host_ports.value);
        if let Some(endpoint) = basics.listen.value.iter().find(|endpoint| endpoint.is_tls() && tls.is_none())
        {
            return Err(format!("to listen on {endpoint}, `tls.certificate` and `tls.key` are needed"));
        }
        Ok(Settings {
            root: overrides.root,
            listen_is_explicit: basics.listen.is_set(),
            instance: basics.instance.value,
            listen: basics.listen.value,
            connect: basics.connect.value,
            link_token,
            dev: overrides.dev,
            socket_mode: basics.socket_mode.value,
            log_format: basics.log_format.value,
            tls,
            dial_tls,
            authority,
            management_keys,
            server: server.finish()?,
            retention: services.retention(),
            extensions: services.extensions.value,
            activity: services.activity.value,
            metrics_listen: services.metrics.value,
            allowed_origins: services.origins.value,
            hotplug: hotplug.finish(!real)?,
            origins: Origins { rows },
        })
    }
}
