//! `network`: what people say about the last change of the network.

use cloud_channel_protocol::{ChannelPattern, EventResult, Module, Publication, Stage, Topic, Verb};
use serde_json::json;

use super::arguments::{NetworkCommand, RollbackArguments, WordArguments};
use super::client::with_session;
use super::set::follow;
use super::{FAILED, OK, refused};

pub(super) async fn run(command: NetworkCommand) -> anyhow::Result<u8> {
    match command {
        NetworkCommand::Confirm(arguments) => say(Verb::Confirm, arguments, false).await,
        NetworkCommand::Rollback(RollbackArguments { word, no_wait }) => {
            say(Verb::Rollback, word, !no_wait).await
        }
    }
}

async fn say(verb: Verb, arguments: WordArguments, wait: bool) -> anyhow::Result<u8> {
    let data = arguments.cause.map_or_else(|| json!({}), |cause| json!({ "cause": cause }));
    let data = serde_json::value::to_raw_value(&data)?;
    with_session(&arguments.target, async |session| {
        let instance = session.instance().await?;
        if wait {
            let results = Topic::StageStep(Stage::ModulesConfig, Module::Network.into()).channel(&instance);
            session.subscribe(&ChannelPattern::Exact(results), None).await?;
        }
        let channel = Topic::Config(verb, Module::Network.into()).channel(&instance);
        let id = session.next_id();
        let word = Publication { channel, id: Some(id.clone()), data, ext: None };
        if let Err(error) = session.publish(&word).await? {
            return Ok(refused(&error));
        }
        if !wait {
            return Ok(OK);
        }
        // A change that was on trial ends under its own cause, as one that failed: that is what was asked for.
        let finish = follow(session, |_| true).await?;
        let is_ours = finish.cause.as_ref() == Some(&id);
        Ok(if is_ours && finish.result == EventResult::Fail { FAILED } else { OK })
    })
    .await
}
