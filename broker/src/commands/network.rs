//! `network`: what people say about a change of the network that waits to be confirmed.

use cloud_channel_protocol::{Module, Publication, Topic, Verb};
use serde_json::json;

use super::arguments::{NetworkCommand, WordArguments};
use super::client::with_session;
use super::{OK, refused};

pub(super) async fn run(command: NetworkCommand) -> anyhow::Result<u8> {
    match command {
        NetworkCommand::Confirm(arguments) => say(Verb::Confirm, arguments).await,
        NetworkCommand::Rollback(arguments) => say(Verb::Rollback, arguments).await,
    }
}

async fn say(verb: Verb, arguments: WordArguments) -> anyhow::Result<u8> {
    let data = arguments.cause.map_or_else(|| json!({}), |cause| json!({ "cause": cause }));
    let data = serde_json::value::to_raw_value(&data)?;
    with_session(&arguments.target, async |session| {
        let channel = Topic::Config(verb, Module::Network.into()).channel(&session.instance().await?);
        let word = Publication { channel, id: Some(session.next_id()), data, ext: None };
        Ok(match session.publish(&word).await? {
            Ok(()) => OK,
            Err(error) => refused(&error),
        })
    })
    .await
}
