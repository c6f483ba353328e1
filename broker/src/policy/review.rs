//! What in a set of rules cannot mean what its author thinks: rules that others cover, peers that cannot come,
//! channels that do not exist.

use super::pattern::RulePattern;
use super::rule::{Action, Rule};
use super::who::{UnixUser, Who};

/// What else is configured, as far as it decides who can come.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// There is, or may be, a vsock listener.
    pub vsock: bool,
    /// There is, or may be, a TCP listener.
    pub tcp: bool,
    /// Client certificates are asked for.
    pub client_certificates: bool,
    /// Users other than root and the daemon's own can open the Unix socket.
    pub other_users: bool,
    /// The names in the token file.
    pub tokens: Vec<String>,
}

/// Everything that stands against the rules, for people to read. None of it is an error: nothing is allowed that
/// the rules do not say.
#[must_use]
pub fn review(rules: &[Rule], around: &Surroundings) -> Vec<String> {
    let mut warnings = shadowed(rules);
    for rule in rules {
        for who in &rule.who {
            if let Some(why) = unmet(who, around) {
                warnings.push(format!("{}: nobody can be {who}: {why}", rule.origin));
            }
        }
        for pattern in &rule.on {
            let idle: Vec<Action> =
                rule.may.iter().copied().filter(|action| !can_happen(*action, pattern)).collect();
            if idle.len() == rule.may.len() {
                let words: Vec<String> = idle.iter().map(ToString::to_string).collect();
                let (origin, words) = (&rule.origin, words.join(" or "));
                warnings.push(format!(
                    "{origin}: no channel of {pattern} is there to {words}{}",
                    hint(&idle, pattern)
                ));
            }
        }
    }
    warnings
}

/// Rules that change nothing, being covered by others. From the last to the first, so that of two equal ones the
/// later is named.
fn shadowed(rules: &[Rule]) -> Vec<String> {
    let mut kept: Vec<&Rule> = rules.iter().collect();
    let mut warnings = Vec::new();
    for (at, rule) in rules.iter().enumerate().rev() {
        let others: Vec<&Rule> = kept.iter().copied().filter(|other| !std::ptr::eq(*other, rule)).collect();
        let by = covering(rule, &others);
        if let Some(by) = by {
            kept = others;
            let number = at + 1;
            warnings.push(format!(
                "{}: rule {number} can never matter, all of it is allowed by {by}",
                rule.origin
            ));
        }
    }
    warnings.reverse();
    warnings
}

/// The origins of the rules that together allow all that `rule` allows.
fn covering(rule: &Rule, others: &[&Rule]) -> Option<String> {
    let mut by: Vec<&str> = Vec::new();
    for who in &rule.who {
        for action in &rule.may {
            for pattern in &rule.on {
                let other = others.iter().find(|other| allows(other, who, *action, pattern))?;
                if !by.contains(&other.origin.as_str()) {
                    by.push(&other.origin);
                }
            }
        }
    }
    (!by.is_empty()).then(|| by.join(" and "))
}

fn allows(rule: &Rule, who: &Who, action: Action, pattern: &RulePattern) -> bool {
    rule.may.contains(&action)
        && rule.who.iter().any(|ours| ours.covers(who))
        && rule.on.iter().any(|ours| ours.covers(pattern))
}

/// Why nobody can be this.
fn unmet(who: &Who, around: &Surroundings) -> Option<String> {
    let ways = [who.unix.is_some(), who.vsock.is_some(), who.tcp.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Some("a peer comes over one of a Unix socket, vsock and TCP".to_owned());
    }
    if who.certificate.is_some() && !around.client_certificates {
        return Some("certificates are not asked for, set `tls.client-ca` and listen on wss://".to_owned());
    }
    if who.certificate.is_some() && (who.unix.is_some() || who.vsock.is_some()) {
        return Some("certificates are shown over TLS, which is spoken over TCP alone".to_owned());
    }
    if who.vsock.is_some() && !around.vsock {
        return Some("nothing listens on vsock".to_owned());
    }
    if who.tcp.is_some() && !around.tcp {
        return Some("nothing listens on TCP".to_owned());
    }
    if let Some(name) = who.token.as_ref().filter(|name| !around.tokens.contains(name)) {
        return Some(format!("the token file has no token `{name}`"));
    }
    match who.unix {
        Some(UnixUser::Uid(1..) | UnixUser::Any) if !around.other_users => {
            Some("the Unix socket is for root and the daemon's own user, set `socket-mode`".to_owned())
        }
        _ => None,
    }
}

/// What is below `/cloudinit/<instance-id>/`, and what can be done there: each kind of `Topic`, no wider, since a rule
/// for anything else changes nothing.
const TOPICS: [(&str, &[Action]); 16] = {
    use Action::{Get, Publish, Subscribe};
    [
        ("/cloudinit/<instance-id>/hotplug/network", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/hotplug/block", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/config/set/*", &[Publish]),
        ("/cloudinit/<instance-id>/config/get/*", &[Get]),
        ("/cloudinit/<instance-id>/config/confirm/*", &[Publish]),
        ("/cloudinit/<instance-id>/config/rollback/*", &[Publish]),
        ("/cloudinit/<instance-id>/init-local", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/init-local/*", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/init-network", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/init-network/*", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/modules-config", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/modules-config/*", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/modules-final", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/modules-final/*", &[Publish, Subscribe]),
        ("/cloudinit/<instance-id>/reporting/*", &[Publish, Subscribe]),
        (crate::status_channel::STATUS_CHANNEL, &[Get]),
    ]
};

/// True if there can be a channel of the pattern on which this can be done.
fn can_happen(action: Action, pattern: &RulePattern) -> bool {
    let parse = |text: &str| RulePattern::parse(text).expect("a constant is a pattern");
    let known =
        TOPICS.iter().any(|(text, actions)| actions.contains(&action) && parse(text).overlaps(pattern));
    let below = |root: &str| parse(root).covers(pattern);
    // Elsewhere a channel is whatever is used for one.
    let elsewhere = match action {
        Action::Publish => !below("/cloudinit/**") && !below("/meta/**"),
        Action::Subscribe => !below("/cloudinit/**") && !below("/meta/**") && !below("/service/**"),
        Action::Get => false,
    };
    known || elsewhere
}

fn hint(idle: &[Action], pattern: &RulePattern) -> &'static str {
    let is = |text: &str| RulePattern::parse(text).expect("a constant is a pattern").covers(pattern);
    if is("/meta/**") {
        "; the protocol's own channels need no rule"
    } else if is("/cloudinit/*/config/set/**") && idle.contains(&Action::Subscribe) {
        "; pushed config goes to its module alone"
    } else if is("/cloudinit/*/config/get/**") {
        "; a question is `get`, and its answer goes to the asker alone"
    } else if idle.contains(&Action::Get) {
        "; questions are asked on config/get/<module> and /service/cloud-channel/status"
    } else if is("/service/**") {
        "; service channels are heard by nobody"
    } else {
        "; specs/channels.md has those that there are"
    }
}
