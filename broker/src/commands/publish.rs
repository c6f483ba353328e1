//! `publish`.

use cloud_channel_protocol::Publication;

use super::arguments::PublishArguments;
use super::client::with_session;
use super::payload::read_json;
use super::{OK, refused};

pub(super) async fn run(arguments: PublishArguments) -> anyhow::Result<u8> {
    let data = read_json(&arguments.data, "the data")?;
    let reply = with_session(&arguments.target, async |session| {
        let id = Some(session.next_id());
        session.publish(&Publication { channel: arguments.channel, id, data, ext: None }).await
    })
    .await?;
    match reply {
        Ok(()) => Ok(OK),
        Err(error) => Ok(refused(&error)),
    }
}
