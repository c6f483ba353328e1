//! The rules: who may do what on which channels. They only allow; what no rule allows is refused.

use std::fmt;

use cloud_channel_protocol::{ChannelName, HOST_CID, InstanceId, Place, Topic, Verb};

use super::HostPorts;
use super::pattern::RulePattern;
use super::who::{UnixUser, VsockPeer, Who};
use crate::status_channel::STATUS_CHANNEL;

/// Most rules: what a peer may do is kept as one bit for each.
pub const MOST_RULES: usize = 64;

/// What can be done on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// Publish there: config to apply, events, anything.
    Publish,
    /// Hear what is published there.
    Subscribe,
    /// Ask a question: `config/get/<module>`, and the daemon's status.
    Get,
}

impl Action {
    /// What a publish on this channel is.
    #[must_use]
    pub fn of_publish(channel: &ChannelName) -> Self {
        let asks = matches!(Place::of(channel), Place::Instance(_, Some(Topic::Config(Verb::Get, _))));
        if asks || channel.as_str() == STATUS_CHANNEL { Self::Get } else { Self::Publish }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Get => "get",
        })
    }
}

/// One rule: any of `who` may do any of `may` on any of `on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Vec<Who>,
    /// What it allows.
    pub may: Vec<Action>,
    /// Where.
    pub on: Vec<RulePattern>,
    /// The file and line it stands in, or where it comes from else.
    pub origin: String,
}

impl Rule {
    pub(super) fn allows(&self, action: Action, channel: &ChannelName) -> bool {
        self.may.contains(&action) && self.on.iter().any(|pattern| pattern.matches(channel))
    }

    /// True if it allows this on a channel of the pattern, or on several.
    pub(super) fn allows_some(&self, action: Action, wanted: &RulePattern) -> bool {
        self.may.contains(&action) && self.on.iter().any(|pattern| pattern.overlaps(wanted))
    }

    pub(super) fn of_instance(&self, instance: &InstanceId) -> Self {
        let on = self.on.iter().map(|pattern| pattern.of_instance(instance)).collect();
        Self { on, ..self.clone() }
    }
}

impl fmt::Display for Rule {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(items: &[impl ToString]) -> String {
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        write!(f, "{{who: [{}], may: [{}], on: [{}]}}", list(&self.who), list(&self.may), list(&self.on))
    }
}

/// What holds where no file has rules: root and the daemon's own user over Unix sockets and the host over vsock may
/// do everything, nobody else anything.
#[must_use]
pub fn default_rules(host_ports: HostPorts) -> Vec<Rule> {
    let unix = |user| Who { unix: Some(user), ..Who::default() };
    let host = VsockPeer { cid: HOST_CID, ports: host_ports };
    let everything = RulePattern::parse("/**").expect("a constant is a pattern");
    vec![Rule {
        who: vec![unix(UnixUser::Uid(0)), unix(UnixUser::Own), Who { vsock: Some(host), ..Who::default() }],
        may: vec![Action::Publish, Action::Subscribe, Action::Get],
        on: vec![everything],
        origin: "default".to_owned(),
    }]
}
