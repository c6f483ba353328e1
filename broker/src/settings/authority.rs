//! `authority`, `token-file` and `management-keys`: who may do what, and whose signature config has to carry.

use std::path::{Path, PathBuf};

use cloud_channel_handlers::yaml::Content;
use cloud_channel_protocol::HOST_CID;
use cloud_channel_protocol::signing::ManagementKey;

use super::read::{Field, below, one_of};
use super::value::{Row, Value};
use crate::policy::{
    Action, Authority, CertificateName, HostPorts, MOST_RULES, Rule, RulePattern, UnixUser, VsockPeer, Who,
    default_rules, is_token_name,
};

/// Where tokens are if nothing else is said.
const TOKEN_FILE: &str = "/etc/cloud-channel/tokens";
/// Most management keys: each is tried by its name, so this bounds a file, not time.
const MOST_KEYS: usize = 64;
/// Longest subject alternative name in a rule.
const LONGEST_NAME: usize = 1_024;

/// Rules as they are read: `ports` may be left to the daemon's `host-ports`.
#[derive(Debug)]
struct RuleDraft {
    rule: Rule,
    /// The alternatives in `who` whose ports were not said.
    open_ports: Vec<usize>,
}

/// The keys, while files are put together.
#[derive(Debug)]
pub(super) struct AuthorityDraft {
    rules: Value<Option<Vec<RuleDraft>>>,
    token_file: Value<PathBuf>,
    keys: Value<Vec<ManagementKey>>,
}

impl Default for AuthorityDraft {
    fn default() -> Self {
        Self {
            rules: Value::new("authority", None),
            token_file: Value::new("token-file", PathBuf::from(TOKEN_FILE)),
            keys: Value::new("management-keys", Vec::new()),
        }
    }
}

impl AuthorityDraft {
    pub(super) fn set_rules(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let rules = field.list("rules", |item| rule(item, from))?;
        if rules.len() > MOST_RULES {
            return Err(field.wrong(format!("expected at most {MOST_RULES} rules, got {}", rules.len())));
        }
        self.rules.set(Some(rules), from);
        Ok(())
    }

    pub(super) fn set_token_file(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        self.token_file.set(field.path()?, from);
        Ok(())
    }

    pub(super) fn set_keys(&mut self, field: &Field<'_>, from: &str) -> Result<(), String> {
        let entries = field.entries()?;
        if entries.len() > MOST_KEYS {
            return Err(field.wrong(format!("expected at most {MOST_KEYS} keys, got {}", entries.len())));
        }
        let keys = entries
            .iter()
            .map(|entry| field.item(&entry.value).parsed(|text| ManagementKey::parse(&entry.key, text)));
        self.keys.set(keys.collect::<Result<_, _>>()?, from);
        Ok(())
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        match &self.rules.value {
            None => rows.push(self.rules.row(|_| {
                "(none: root and the daemon's own user over Unix sockets and the host over vsock may do everything)"
                    .to_owned()
            })),
            Some(rules) if rules.is_empty() => rows.push(self.rules.row(|_| "(none: nobody may do anything)".to_owned())),
            Some(rules) => {
                rows.extend(rules.iter().map(|RuleDraft { rule, .. }| self.rules.row(|_| rule.to_string())));
            }
        }
        rows.push(self.token_file.row(|path| path.display().to_string()));
        let names =
            |keys: &Vec<ManagementKey>| keys.iter().map(|key| key.name().to_owned()).collect::<Vec<_>>();
        rows.push(self.keys.row(|keys| match names(keys) {
            names if names.is_empty() => "(none: config needs no signature)".to_owned(),
            names => names.join(" "),
        }));
    }

    pub(super) fn finish(
        self,
        root: &Path,
        real: bool,
        host_ports: HostPorts,
    ) -> (Authority, Vec<ManagementKey>) {
        let is_default = self.rules.value.is_none();
        let rules = match self.rules.value {
            None => default_rules(host_ports),
            Some(drafts) => drafts.into_iter().map(|draft| draft.with_ports(host_ports)).collect(),
        };
        let token_file = below(root, &self.token_file.value);
        (Authority { rules, is_default, token_file, real }, self.keys.value)
    }
}

impl RuleDraft {
    fn with_ports(mut self, host_ports: HostPorts) -> Rule {
        for at in self.open_ports {
            if let Some(vsock) = self.rule.who.get_mut(at).and_then(|who| who.vsock.as_mut()) {
                vsock.ports = host_ports;
            }
        }
        self.rule
    }
}

fn rule(item: &Field<'_>, from: &str) -> Result<RuleDraft, String> {
    let origin = format!("{from} line {}", item.line());
    let mut draft = RuleDraft {
        rule: Rule { who: Vec::new(), may: Vec::new(), on: Vec::new(), origin },
        open_ports: Vec::new(),
    };
    for field in item.fields(&["who", "may", "on"])? {
        match field.key {
            "who" => {
                let alternatives = match field.node.content {
                    Content::List(_) => field.list("peers", who)?,
                    _ => vec![who(&field)?],
                };
                for (at, (who, ports_are_open)) in alternatives.into_iter().enumerate() {
                    draft.rule.who.push(who);
                    draft.open_ports.extend(ports_are_open.then_some(at));
                }
            }
            "may" => {
                draft.rule.may =
                    field.list("publish, subscribe and get", |item| item.parsed(one_of::<Action>))?;
            }
            _ => {
                let patterns = field.list("channels and patterns", |item| item.parsed(RulePattern::parse));
                draft.rule.on = patterns?;
            }
        }
    }
    for (key, is_empty) in [
        ("who", draft.rule.who.is_empty()),
        ("may", draft.rule.may.is_empty()),
        ("on", draft.rule.on.is_empty()),
    ] {
        if is_empty {
            return Err(
                item.wrong(format!("expected a rule with `who`, `may` and `on`, and `{key}` has nothing"))
            );
        }
    }
    Ok(draft)
}

/// One alternative of `who`; true if it leaves the ports of a vsock open.
fn who(field: &Field<'_>) -> Result<(Who, bool), String> {
    let mut who = Who::default();
    let mut ports = None;
    for fact in field.fields(&["unix", "vsock", "ports", "tcp", "certificate", "token"])? {
        match fact.key {
            "unix" => who.unix = Some(fact.parsed(unix_user)?),
            "vsock" => {
                let cid = fact.parsed(cid)?;
                who.vsock = Some(VsockPeer { cid, ports: HostPorts::default() });
            }
            "ports" => ports = Some(fact.parsed(one_of::<HostPorts>)?),
            "tcp" => who.tcp = Some(fact.parsed(one_of)?),
            "certificate" => who.certificate = Some(fact.parsed(certificate)?),
            _ => who.token = Some(fact.parsed(token_name)?),
        }
    }
    match (&mut who.vsock, ports) {
        (Some(vsock), Some(ports)) => vsock.ports = ports,
        (None, Some(_)) => return Err(field.wrong("`ports` are those of a `vsock`, expected that beside it")),
        (_, None) => {}
    }
    if who == Who::default() {
        return Err(field.wrong("expected at least one of unix, vsock, certificate, token"));
    }
    if who.tcp.is_some() && who.certificate.is_none() && who.token.is_none() {
        return Err(field.wrong("an address proves nothing, expected `token` or `certificate` beside `tcp`"));
    }
    let ports_are_open = who.vsock.is_some() && ports.is_none();
    Ok((who, ports_are_open))
}

fn unix_user(text: &str) -> Result<UnixUser, String> {
    match text {
        "root" => Ok(UnixUser::Uid(0)),
        "self" => Ok(UnixUser::Own),
        "any" => Ok(UnixUser::Any),
        number => number
            .parse()
            .map(UnixUser::Uid)
            .map_err(|_| format!("expected `root`, `self`, `any` or a user's number, got `{}`", short(text))),
    }
}

fn cid(text: &str) -> Result<u32, String> {
    if text == "host" {
        return Ok(HOST_CID);
    }
    // 0 is the hypervisor's own, and -1U is "any": neither comes as a peer.
    let number = text.parse::<u32>().ok().filter(|cid| (1..u32::MAX).contains(cid));
    number.ok_or_else(|| format!("expected `host` or a context id, got `{}`", short(text)))
}

fn certificate(text: &str) -> Result<CertificateName, String> {
    if let Some(digits) = text.strip_prefix("sha256:") {
        let digest = cloud_channel_protocol::hex::parse(digits);
        return digest.map(CertificateName::Fingerprint).ok_or_else(|| {
            format!("expected 64 hexadecimal digits after `sha256:`, got `{}`", short(digits))
        });
    }
    if (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(char::is_whitespace) {
        return Ok(CertificateName::Name(text.to_owned()));
    }
    Err(format!("expected `sha256:…` or a name as it stands in the certificate, got `{}`", short(text)))
}

fn token_name(text: &str) -> Result<String, String> {
    // Whoever takes it for the place of the token itself shall not read it in a log.
    let expected =
        "expected the name of a token in the token file: letters, digits, `-`, `_` and `.`, at most 64";
    if is_token_name(text) { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

fn short(text: &str) -> String {
    cloud_channel_protocol::shorten(text)
}
