//! Who may talk to this guest, and about what: rules over what the kernel, TLS and a token tell of a peer.
//! What no rule allows is refused. `specs/authority.md` is the contract.

mod pattern;
mod review;
mod rule;
#[cfg(test)]
mod tests;
mod tokens;
mod who;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use cloud_channel_protocol::server::{Peer, PeerAddress, Principal, SecurityPolicy};
use cloud_channel_protocol::{
    BayeuxError, ChannelKind, ChannelName, ChannelPattern, ErrorCode, InstanceId, Place, Topic,
    presented_token,
};
pub use pattern::{InvalidPattern, RulePattern};
pub use review::{Surroundings, review};
pub use rule::{Action, MOST_RULES, Rule, default_rules};
use serde_json::value::RawValue;
use tokens::{Serial, TokenFile};
pub use tokens::{TokenFileError, is_name as is_token_name, line_of as token_line};
pub use who::{CertificateName, TcpPlace, UnixUser, VsockPeer, Who};
use who::{Facts, name_of};

/// Where config is pushed to, and where questions about it are answered: neither is for subscribers.
static PUSHES: LazyLock<RulePattern> = LazyLock::new(|| constant("/cloudinit/*/config/set/**"));
static ANSWERS: LazyLock<RulePattern> = LazyLock::new(|| constant("/cloudinit/*/config/get/*"));

fn constant(text: &str) -> RulePattern {
    RulePattern::parse(text).expect("a constant is a pattern")
}

/// Which of the host's source ports are trusted on a vsock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum HostPorts {
    /// Below 1024: where the host has `AF_VSOCK`, every process of it can dial us, and only root can do it from there.
    #[default]
    Privileged,
    /// All: where a machine monitor (Firecracker, Cloud Hypervisor) turns a Unix socket of the host into vsock, its
    /// streams come from high ports, and that socket's permissions say who may dial.
    Any,
}

/// Who may do what, as it is configured.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The rules, at most [`MOST_RULES`].
    pub rules: Vec<Rule>,
    /// True if no file has any.
    pub is_default: bool,
    /// The file of tokens.
    pub token_file: PathBuf,
    /// True where that file has to be root's alone.
    pub real: bool,
}

impl Authority {
    /// True if a rule names a token, so that the file of them matters.
    #[must_use]
    pub fn names_tokens(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.who).any(|who| who.token.is_some())
    }

    /// The names in the token file; none if no rule asks for one.
    ///
    /// # Errors
    /// If the file is of no use.
    pub fn token_names(&self) -> Result<Vec<String>, TokenFileError> {
        if !self.names_tokens() {
            return Ok(Vec::new());
        }
        let file = TokenFile::open(&self.token_file, self.real)?;
        Ok(file.names().map(ToOwned::to_owned).collect())
    }
}

/// The policy of a daemon. Clones share the tokens.
#[derive(Clone)]
pub struct PeerPolicy {
    /// Everybody may do everything.
    dev: bool,
    own_uid: u32,
    rules: Arc<[Rule]>,
    is_default: bool,
    tokens: Option<Arc<Mutex<TokenFile>>>,
}

impl PeerPolicy {
    /// The policy of a daemon that runs as `own_uid` on this instance.
    ///
    /// # Errors
    /// If a rule names a token and the file of them is of no use.
    pub fn new(
        dev: bool,
        own_uid: u32,
        authority: &Authority,
        instance: &InstanceId,
    ) -> Result<Self, TokenFileError> {
        let tokens = if authority.names_tokens() {
            Some(Arc::new(Mutex::new(TokenFile::open(&authority.token_file, authority.real)?)))
        } else {
            None
        };
        Ok(Self {
            dev,
            own_uid,
            rules: authority.rules.iter().take(MOST_RULES).map(|rule| rule.of_instance(instance)).collect(),
            is_default: authority.is_default,
            tokens,
        })
    }

    /// Who a peer is and which rules are about it. A token where no rule names any neither helps nor hurts: a proxy
    /// may have added it.
    fn identify(&self, peer: &Peer, shown: Option<&str>) -> Result<Principal, BayeuxError> {
        if self.dev {
            return Ok(Principal::new("dev"));
        }
        let (token, serial) = match shown.zip(self.tokens()) {
            Some((text, mut tokens)) => {
                tokens.refresh();
                let found = tokens.find(text).map(|(name, serial)| (Some(name), serial));
                found.ok_or_else(|| unauthenticated("The token is not valid here"))?
            }
            None => (None, Serial(0)),
        };
        let facts = Facts { peer, token: token.as_deref(), own_uid: self.own_uid };
        let about = |rule: &Rule| rule.who.iter().any(|who| who.holds(&facts));
        let rights = (0..).zip(self.rules.iter()).filter(|(_, rule)| about(rule));
        let rights = rights.fold(0, |rights, (at, _): (u32, _)| rights | 1_u64 << at);
        if rights == 0 {
            return Err(self.stranger(peer));
        }
        Ok(Principal::new(name_of(&facts)).with_rights(rights).with_credential(serial.0))
    }

    /// Why a peer that no rule is about is sent away.
    fn stranger(&self, peer: &Peer) -> BayeuxError {
        let text = match &peer.address {
            PeerAddress::Tcp(_) if self.tokens.is_some() => {
                "TCP peers are not trusted without a valid token or certificate that a rule of `authority` names"
            }
            PeerAddress::Tcp(_) => {
                "TCP peers are not trusted, use the Unix socket, vsock, a rule of `authority`, or `--dev` for a trial"
            }
            PeerAddress::Unix { .. } if self.is_default => {
                "only root and the daemon's own user are trusted, unless a rule of `authority` says more"
            }
            PeerAddress::Vsock { .. } if self.is_default => {
                "only the host (CID 2) is trusted, from a port below 1024 unless `host-ports: any` is configured"
            }
            PeerAddress::Unix { .. } | PeerAddress::Vsock { .. } => {
                "no rule of `authority` is about this peer"
            }
        };
        BayeuxError::new(ErrorCode::Forbidden, "", text)
    }

    /// The rules that are about a principal.
    fn rules_of(&self, principal: &Principal) -> impl Iterator<Item = &Rule> {
        let mut rights = principal.rights();
        std::iter::from_fn(move || {
            let at = rights.trailing_zeros() as usize;
            rights &= rights.wrapping_sub(1);
            self.rules.get(at)
        })
    }

    fn is_valid(&self, principal: &Principal) -> bool {
        if principal.credential() == 0 {
            return true;
        }
        self.tokens().is_some_and(|mut tokens| {
            tokens.refresh_sometimes();
            tokens.has(Serial(principal.credential()))
        })
    }

    /// The tokens. Whoever panicked with them in hand has left them whole: they are replaced at once or not at all.
    fn tokens(&self) -> Option<MutexGuard<'_, TokenFile>> {
        self.tokens.as_ref().map(|tokens| tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn may(&self, principal: &Principal, action: Action, channel: &ChannelName) -> bool {
        self.dev || self.rules_of(principal).any(|rule| rule.allows(action, channel))
    }
}

fn unauthenticated(text: &str) -> BayeuxError {
    BayeuxError::new(ErrorCode::Unauthenticated, "", text)
}

impl std::fmt::Debug for PeerPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerPolicy")
            .field("dev", &self.dev)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl SecurityPolicy for PeerPolicy {
    /// A token in the request's head counts before one in `ext`.
    fn admit(&self, peer: &Peer, ext: Option<&RawValue>) -> Result<Principal, BayeuxError> {
        let in_ext = presented_token(ext)?;
        let shown = peer.bearer.as_ref().or(in_ext.as_ref());
        self.identify(peer, shown.map(|token| token.reveal()))
    }

    fn admit_unconnected(&self, peer: &Peer) -> Result<Principal, BayeuxError> {
        self.identify(peer, peer.bearer.as_ref().map(|token| token.reveal()))
    }

    fn may_continue(&self, principal: &Principal) -> Result<(), BayeuxError> {
        if self.is_valid(principal) {
            return Ok(());
        }
        Err(unauthenticated("The token of this session is not valid any more"))
    }

    /// Refused only if nothing could ever come of it. Who asks questions may subscribe to where they are answered,
    /// as clients route answers by subscriptions.
    fn may_subscribe(&self, principal: &Principal, pattern: &ChannelPattern) -> bool {
        if pattern.kind() == ChannelKind::Service {
            return true;
        }
        let wanted = RulePattern::of_subscription(pattern);
        if PUSHES.covers(&wanted) {
            return false;
        }
        let (some_answers, only_answers) = (ANSWERS.overlaps(&wanted), ANSWERS.covers(&wanted));
        let allows = |rule: &Rule| {
            (!only_answers && rule.allows_some(Action::Subscribe, &wanted))
                || (some_answers && rule.allows_some(Action::Get, &wanted))
        };
        self.dev || self.rules_of(principal).any(allows)
    }

    fn may_publish(&self, principal: &Principal, channel: &ChannelName) -> bool {
        self.may(principal, Action::of_publish(channel), channel)
    }

    /// Pushed config goes to its module and answers go to their asker: neither is anybody else's, whoever
    /// subscribes to what, and whatever the rules say.
    fn may_receive(&self, principal: &Principal, channel: &ChannelName) -> bool {
        let is_config = matches!(Place::of(channel), Place::Instance(_, Some(Topic::Config(..))));
        !is_config && self.may(principal, Action::Subscribe, channel) && self.is_valid(principal)
    }
}
