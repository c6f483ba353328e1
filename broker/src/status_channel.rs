//! Where a daemon is asked how things are: a service channel, whose answers go to the asker alone.

use cloud_channel_protocol::ChannelName;

/// Its name.
pub(crate) const STATUS_CHANNEL: &str = "/service/cloud-channel/status";

/// The same as a channel.
pub(crate) fn status_channel() -> ChannelName {
    ChannelName::parse(STATUS_CHANNEL).expect("a constant is a channel")
}
