//! The typed view of `/cloudinit/<instance-id>/…`. Text to enum and back happens here and nowhere else.
//!
//! `specs/channels.md` is the authority on the channels.

use std::fmt;

use crate::channel::{ChannelName, ChannelPattern, is_segment_byte};
use crate::ids::InstanceId;
use crate::module::ModuleName;

/// First segment of every channel of ours.
const ROOT: &str = "cloudinit";

/// A kernel subsystem whose hotplug we report, as the channel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subsystem {
    /// Kernel `net`.
    Network,
    /// Kernel `block`.
    Block,
}

impl Subsystem {
    /// The segment in a channel.
    #[must_use]
    pub const fn channel_segment(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Block => "block",
        }
    }

    /// The kernel's name, as it stands in a uevent and in an event's `data.subsystem`.
    #[must_use]
    pub const fn kernel_name(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Block => "block",
        }
    }

    fn from_segment(segment: &str) -> Option<Self> {
        match segment {
            "network" => Some(Self::Network),
            "block" => Some(Self::Block),
            _ => None,
        }
    }
}

/// A boot stage of cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `init-local`: before the network.
    InitLocal,
    /// `init-network`: with the network.
    InitNetwork,
    /// `modules-config`: config modules.
    ModulesConfig,
    /// `modules-final`: final modules.
    ModulesFinal,
}

impl Stage {
    /// All stages, in the order of a boot.
    pub const ALL: [Self; 4] = [Self::InitLocal, Self::InitNetwork, Self::ModulesConfig, Self::ModulesFinal];

    /// cloud-init's name, which is also the channel's segment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InitLocal => "init-local",
            Self::InitNetwork => "init-network",
            Self::ModulesConfig => "modules-config",
            Self::ModulesFinal => "modules-final",
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// What is asked of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read what it holds.
    Get,
    /// Change it.
    Set,
    /// Keep a change that waits to be confirmed.
    Confirm,
    /// Take the last change back.
    Rollback,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Get, Self::Set, Self::Confirm, Self::Rollback];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Confirm => "confirm",
            Self::Rollback => "rollback",
        }
    }
}

/// What a channel below `/cloudinit/<instance-id>/` is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `hotplug/{network,block}`
    Hotplug(Subsystem),
    /// `config/{get,set,confirm,rollback}/<module>`
    Config(Verb, ModuleName),
    /// `<stage>`
    Stage(Stage),
    /// `<stage>/<step>`: a module, spelled as its request or its event spells it.
    StageStep(Stage, ModuleName),
    /// `reporting/<origin>`: an event of cloud-init that belongs to no boot stage (`single`, `hotplug-hook`).
    Reporting(ModuleName),
}

/// Where a channel belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One of ours: the instance it is for, and the topic unless the rest is unknown.
    Instance(InstanceId, Option<Topic>),
    /// Not below `/cloudinit/`.
    Elsewhere,
}

impl Place {
    /// Sorts a channel.
    #[must_use]
    pub fn of(channel: &ChannelName) -> Self {
        let mut segments = channel.segments();
        if segments.next() != Some(ROOT) {
            return Self::Elsewhere;
        }
        let Some(instance) = segments.next().and_then(|id| InstanceId::parse(id).ok()) else {
            return Self::Elsewhere;
        };
        let rest: Vec<&str> = segments.collect();
        Self::Instance(instance, Topic::from_segments(&rest))
    }
}

impl Topic {
    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            ["hotplug", subsystem] => Subsystem::from_segment(subsystem).map(Self::Hotplug),
            ["config", verb, module] => {
                let verb = Verb::ALL.into_iter().find(|known| known.as_str() == *verb)?;
                Some(Self::Config(verb, ModuleName::from_segment(module)))
            }
            ["reporting", origin] => Some(Self::Reporting(ModuleName::from_segment(origin))),
            [stage] => Stage::from_name(stage).map(Self::Stage),
            [stage, step] => {
                Stage::from_name(stage).map(|stage| Self::StageStep(stage, ModuleName::from_segment(step)))
            }
            _ => None,
        }
    }

    /// The channel of this topic for an instance.
    ///
    /// # Panics
    /// Never: every part was parsed from a channel's alphabet and is bounded.
    #[must_use]
    pub fn channel(&self, instance: &InstanceId) -> ChannelName {
        ChannelName::parse(&format!("/{ROOT}/{instance}/{self}"))
            .expect("a topic's parts are channel segments")
    }

    /// A name as the last segment of a channel, if it fits there.
    #[must_use]
    pub fn step_name(text: &str) -> Option<ModuleName> {
        const LONGEST: usize = 128;
        let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(is_segment_byte);
        fits.then(|| ModuleName::from_segment(text))
    }

    /// The pattern that covers all channels below one of the instance's branches: `config/**`, `hotplug/*`.
    ///
    /// # Panics
    /// Never: the branches are constants.
    #[must_use]
    pub fn branch(instance: &InstanceId, branch: Branch) -> ChannelPattern {
        let tail = match branch {
            Branch::All => "**",
            Branch::Config => "config/**",
            Branch::Hotplug => "hotplug/*",
        };
        ChannelPattern::parse(&format!("/{ROOT}/{instance}/{tail}")).expect("a constant tail is a pattern")
    }
}

/// A part of an instance's channels that can be subscribed to as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Everything.
    All,
    /// `config/**`
    Config,
    /// `hotplug/*`
    Hotplug,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hotplug(subsystem) => write!(f, "hotplug/{}", subsystem.channel_segment()),
            Self::Config(verb, module) => write!(f, "config/{}/{module}", verb.as_str()),
            Self::Stage(stage) => f.write_str(stage.as_str()),
            Self::StageStep(stage, step) => write!(f, "{}/{step}", stage.as_str()),
            Self::Reporting(origin) => write!(f, "reporting/{origin}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_topics_and_back() {
        for text in [
            "/cloudinit/i-abc/hotplug/network",
            "/cloudinit/i-abc/hotplug/block",
            "/cloudinit/i-abc/config/set/cc_set_password",
            "/cloudinit/i-abc/config/get/network",
            "/cloudinit/i-abc/config/confirm/network",
            "/cloudinit/i-abc/config/rollback/network",
            "/cloudinit/i-abc/init-local",
            "/cloudinit/i-abc/reporting/hotplug-hook",
            "/cloudinit/i-abc/modules-config/cc_set_password",
        ] {
            let channel = ChannelName::parse(text).unwrap();
            let Place::Instance(id, Some(topic)) = Place::of(&channel) else { panic!("{text}") };
            assert_eq!(topic.channel(&id), channel);
        }
    }

    #[test]
    fn unknown_rest_is_kept_apart_from_foreign_channels() {
        let place = |text: &str| Place::of(&ChannelName::parse(text).unwrap());
        let id = InstanceId::parse("i").unwrap();
        for text in ["/cloudinit/i/hotplug/usb", "/cloudinit/i/config/put/x", "/cloudinit/i/config/set"] {
            assert_eq!(place(text), Place::Instance(id.clone(), None), "{text}");
        }
        assert_eq!(place("/cloudinit/i"), Place::Instance(id, None));
        assert_eq!(place("/custom/foobar"), Place::Elsewhere);
        assert_eq!(place("/cloudinit"), Place::Elsewhere);
    }
}
