//! Boot stages, followed by cloud-init's own events, and the starts that cloud-init never sends.
//!
//! The first start of each cloud-init process, which is its stage's own, is lost: the handlers are set up after
//! it. A boot of four processes lacks all four, a boot of one process lacks `init-local`'s. Whoever follows a
//! stage gets a whole one: a stage that is heard of without having begun is begun first.

use cloud_channel_protocol::{ChannelName, EventType, InstanceId, ReportingEvent, Stage, Topic};

/// Which stages are under way.
#[derive(Debug, Default)]
pub(crate) struct StageTracker {
    running: [bool; Stage::ALL.len()],
}

/// An event and where it belongs.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) channel: ChannelName,
    pub(crate) event: ReportingEvent,
    /// True if cloud-init did not send it.
    pub(crate) inferred: bool,
}

impl StageTracker {
    /// Takes an event in and gives it back where it belongs, after a made-up start where one is missing.
    pub(crate) fn place(&mut self, instance: &InstanceId, event: ReportingEvent) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(2);
        let (first, rest) = event.name.split_once('/').unwrap_or((&event.name, ""));
        let topic = match Stage::from_name(first) {
            Some(stage) => {
                placed.extend(self.missing_start(instance, stage, rest.is_empty(), &event));
                topic_of(stage, rest)
            }
            None => reporting_topic(first),
        };
        placed.push(Placed { channel: topic.channel(instance), event, inferred: false });
        placed
    }

    fn missing_start(
        &mut self,
        instance: &InstanceId,
        stage: Stage,
        is_stage: bool,
        event: &ReportingEvent,
    ) -> Option<Placed> {
        let running = &mut self.running[stage as usize];
        let is_own_start = is_stage && event.event_type == EventType::Start;
        let missing = !*running && !is_own_start;
        *running = !(is_stage && event.event_type == EventType::Finish);
        missing.then(|| Placed {
            channel: Topic::Stage(stage).channel(instance),
            event: ReportingEvent {
                name: stage.as_str().to_owned(),
                description: description(stage).to_owned(),
                event_type: EventType::Start,
                origin: event.origin.clone(),
                timestamp: event.timestamp,
                result: None,
                duration: None,
                files: None,
            },
            inferred: true,
        })
    }
}

/// What cloud-init says when it begins a stage.
const fn description(stage: Stage) -> &'static str {
    match stage {
        Stage::InitLocal => "searching for local datasources",
        Stage::InitNetwork => "searching for network datasources",
        Stage::ModulesConfig => "running modules for config",
        Stage::ModulesFinal => "running modules for final",
    }
}

/// `config-<module>` belongs to the module's channel; other steps have one of their own name.
fn topic_of(stage: Stage, rest: &str) -> Topic {
    let step = rest.split('/').next().unwrap_or_default();
    let step = step.strip_prefix("config-").unwrap_or(step);
    match Topic::step_name(step) {
        Some(step) => Topic::StageStep(stage, step),
        None => Topic::Stage(stage),
    }
}

fn reporting_topic(origin: &str) -> Topic {
    let origin = Topic::step_name(origin).or_else(|| Topic::step_name("other"));
    Topic::Reporting(origin.expect("`other` is a channel segment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, event_type: &str) -> ReportingEvent {
        let text = format!(
            r#"{{"name":"{name}","description":"d","event_type":"{event_type}","origin":"cloudinit","timestamp":1.0}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn run(events: &[(&str, &str)]) -> Vec<String> {
        let instance = InstanceId::parse("i").unwrap();
        let mut tracker = StageTracker::default();
        let placed = events.iter().flat_map(|(name, kind)| tracker.place(&instance, event(name, kind)));
        placed
            .map(|p| {
                let kind = if p.event.event_type == EventType::Start { "start" } else { "finish" };
                format!("{} {kind} {}{}", p.channel, p.event.name, if p.inferred { " inferred" } else { "" })
            })
            .collect()
    }

    #[test]
    fn a_missing_stage_start_is_made_up_once() {
        let seen = run(&[
            ("init-local/check-cache", "start"),
            ("init-local/check-cache", "finish"),
            ("init-local", "finish"),
            ("init-network", "start"),
            ("init-network/config-write_files", "start"),
        ]);
        assert_eq!(
            seen,
            [
                "/cloudinit/i/init-local start init-local inferred",
                "/cloudinit/i/init-local/check-cache start init-local/check-cache",
                "/cloudinit/i/init-local/check-cache finish init-local/check-cache",
                "/cloudinit/i/init-local finish init-local",
                "/cloudinit/i/init-network start init-network",
                "/cloudinit/i/init-network/write_files start init-network/config-write_files",
            ]
        );
    }

    #[test]
    fn a_stage_may_run_again_and_others_have_their_place() {
        let seen = run(&[
            ("modules-final", "finish"),
            ("modules-final", "finish"),
            ("hotplug-hook/check-cache", "start"),
            ("strange name!", "start"),
            ("azure ds/x", "start"),
        ]);
        assert_eq!(
            seen,
            [
                "/cloudinit/i/modules-final start modules-final inferred",
                "/cloudinit/i/modules-final finish modules-final",
                "/cloudinit/i/modules-final start modules-final inferred",
                "/cloudinit/i/modules-final finish modules-final",
                "/cloudinit/i/reporting/hotplug-hook start hotplug-hook/check-cache",
                "/cloudinit/i/reporting/other start strange name!",
                "/cloudinit/i/reporting/other start azure ds/x",
            ]
        );
    }
}
