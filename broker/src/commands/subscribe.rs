//! `subscribe`.

use cloud_channel_protocol::Publication;

use super::arguments::{Format, SubscribeArguments};
use super::client::with_session;
use super::{OK, print_line};

pub(super) async fn run(arguments: SubscribeArguments) -> anyhow::Result<u8> {
    with_session(&arguments.target.endpoint(), async |session| {
        for pattern in &arguments.patterns {
            session.subscribe(pattern).await?;
        }
        let mut seen = 0;
        while arguments.count.is_none_or(|count| seen < count) {
            print_event(&session.next_event().await?, arguments.format)?;
            seen += 1;
        }
        Ok(OK)
    })
    .await
}

/// One line an event.
pub(super) fn print_event(event: &Publication, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => print_line(&event.encode()),
        Format::Text => print_line(&format!("{} {}", event.channel, event.data.get())),
    }
}
