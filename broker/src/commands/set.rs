//! `set`: push, and follow it to its finish.

use anyhow::Context;
use cloud_channel_protocol::{
    ChannelPattern, CloudinitExt, EventResult, EventType, MessageId, Object, Publication, ReportingEvent,
    Stage, Topic, Verb, signing,
};

use super::arguments::SetArguments;
use super::client::{Session, with_session};
use super::payload::read_json_or_yaml;
use super::{FAILED, OK, print_line, refused};
use crate::clock::Clock;

pub(super) async fn run(arguments: SetArguments) -> anyhow::Result<u8> {
    let module = Topic::step_name(&arguments.module).context("a module's name has no such characters")?;
    let text = match arguments.file.as_str() {
        "-" => "-".to_owned(),
        file => std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?,
    };
    let data = read_json_or_yaml(&text, &format!("`{}`", arguments.file))?;
    let ext = CloudinitExt {
        generation: arguments.generation,
        dry_run: arguments.dry_run,
        confirm_seconds: arguments.confirm_within,
        ..CloudinitExt::default()
    };
    let key = arguments.sign.as_deref().map(|file| super::keys::read(file, arguments.key_name.as_deref()));
    let key = key.transpose()?;
    with_session(&arguments.target, async |session| {
        let instance = session.instance().await?;
        let channel = Topic::Config(Verb::Set, module.clone()).channel(&instance);
        let ext = match &key {
            Some(key) => {
                let expires = Clock::start().now().wall.as_secs().saturating_add(arguments.valid_for);
                signing::sign(key, &channel, &data, &ext, expires)?
            }
            None => ext.to_ext(),
        };
        if arguments.dry_run {
            return match session.ask(channel, data, Some(ext)).await? {
                Ok(plan) => {
                    let value: serde_json::Value = serde_json::from_str(plan.get())?;
                    print_line(&serde_json::to_string_pretty(&value)?)?;
                    Ok(OK)
                }
                Err(error) => Ok(refused(&error)),
            };
        }
        let results = Topic::StageStep(Stage::ModulesConfig, module).channel(&instance);
        session.subscribe(&ChannelPattern::Exact(results), None).await?;
        let id = session.next_id();
        let push = Publication { channel, id: Some(id.clone()), data, ext: Some(ext) };
        match session.publish(&push).await? {
            Err(error) => Ok(refused(&error)),
            Ok(()) if arguments.no_wait => Ok(OK),
            Ok(()) => {
                let finish = follow(session, |cause| cause == Some(&id)).await?;
                Ok(if finish.result == EventResult::Fail { FAILED } else { OK })
            }
        }
    })
    .await
}

/// How a change ended.
pub(super) struct Finish {
    pub(super) cause: Option<MessageId>,
    pub(super) result: EventResult,
}

/// Prints the events of changes that are ours by their cause, until a finish.
pub(super) async fn follow(
    session: &mut Session<'_>,
    is_ours: impl Fn(Option<&MessageId>) -> bool,
) -> anyhow::Result<Finish> {
    loop {
        let event = session.next_event().await?;
        let ext = CloudinitExt::from_ext(event.ext.as_deref()).unwrap_or_default();
        if !is_ours(ext.cause.as_ref()) {
            continue;
        }
        let events: Vec<Object<ReportingEvent>> = serde_json::from_str(event.data.get())?;
        for Object(event) in events {
            let result = event
                .result
                .map_or_else(|| "start".to_owned(), |result| format!("{result:?}").to_uppercase());
            print_line(&format!("{result} {}", event.description))?;
            if let (EventType::Finish, Some(result)) = (event.event_type, event.result) {
                return Ok(Finish { cause: ext.cause, result });
            }
        }
    }
}
