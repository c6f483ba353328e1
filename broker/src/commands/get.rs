//! `get`.

use anyhow::Context;
use cloud_channel_protocol::{Topic, Verb};
use serde_json::value::RawValue;

use super::arguments::GetArguments;
use super::client::with_session;
use super::{OK, print_line, refused};

pub(super) async fn run(arguments: GetArguments) -> anyhow::Result<u8> {
    let module = Topic::step_name(&arguments.module).context("a module's name has no such characters")?;
    with_session(&arguments.target, async |session| {
        let channel = Topic::Config(Verb::Get, module).channel(&session.instance().await?);
        match session.ask(channel, RawValue::from_string("{}".to_owned())?, None).await? {
            Ok(answer) => {
                let value: serde_json::Value = serde_json::from_str(answer.get())?;
                print_line(&serde_json::to_string_pretty(&value)?)?;
                Ok(OK)
            }
            Err(error) => Ok(refused(&error)),
        }
    })
    .await
}
