//! `network`: what people say about the last change of the network, and about whose the network is.

use cloud_channel_protocol::{
    ChannelPattern, EventResult, MessageId, Module, Publication, Stage, Topic, Verb,
};
use serde_json::{Value, json};

use super::client::with_session;
use super::network_arguments::{FollowArguments, NetworkCommand, RollbackArguments, WordArguments};
use super::set::{Finish, follow};
use super::target::Target;
use super::{FAILED, OK, refused};

pub(super) async fn run(command: NetworkCommand) -> anyhow::Result<u8> {
    match command {
        NetworkCommand::Confirm(WordArguments { cause, target }) => {
            say(Verb::Confirm, word(cause), target, None).await
        }
        NetworkCommand::Rollback(RollbackArguments { word: WordArguments { cause, target }, no_wait }) => {
            // A change that was on trial ends under its own cause, as one that failed: that is what was asked for.
            let went_well = |finish: &Finish, id: &MessageId| {
                finish.cause.as_ref() != Some(id) || finish.result != EventResult::Fail
            };
            let wait: Option<Judge> = if no_wait { None } else { Some(went_well) };
            say(Verb::Rollback, word(cause), target, wait).await
        }
        NetworkCommand::TakeOver(arguments) => set_take_over(&json!(true), arguments).await,
        NetworkCommand::HandBack(arguments) => set_take_over(&Value::Null, arguments).await,
    }
}

/// Whether a finish, the first that comes, means that a message was carried out.
type Judge = fn(&Finish, &MessageId) -> bool;

fn word(cause: Option<String>) -> Value {
    cause.map_or_else(|| json!({}), |cause| json!({ "cause": cause }))
}

async fn set_take_over(value: &Value, arguments: FollowArguments) -> anyhow::Result<u8> {
    let went_well = |finish: &Finish, _: &MessageId| finish.result != EventResult::Fail;
    let wait: Option<Judge> = if arguments.no_wait { None } else { Some(went_well) };
    say(Verb::Set, json!({"version": 2, "take-over": value}), arguments.target, wait).await
}

async fn say(verb: Verb, data: Value, target: Target, wait: Option<Judge>) -> anyhow::Result<u8> {
    let data = serde_json::value::to_raw_value(&data)?;
    with_session(&target, async |session| {
        let instance = session.instance().await?;
        if wait.is_some() {
            let results = Topic::StageStep(Stage::ModulesConfig, Module::Network.into()).channel(&instance);
            session.subscribe(&ChannelPattern::Exact(results), None).await?;
        }
        let channel = Topic::Config(verb, Module::Network.into()).channel(&instance);
        let id = session.next_id();
        let message = Publication { channel, id: Some(id.clone()), data, ext: None };
        if let Err(error) = session.publish(&message).await? {
            return Ok(refused(&error));
        }
        let Some(went_well) = wait else { return Ok(OK) };
        let is_ours = |cause: Option<&MessageId>| verb != Verb::Set || cause == Some(&id);
        let finish = follow(session, is_ours).await?;
        Ok(if went_well(&finish, &id) { OK } else { FAILED })
    })
    .await
}
