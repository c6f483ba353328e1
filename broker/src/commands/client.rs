//! A session at a daemon, for one command.

use std::time::Duration;

use anyhow::{Context, bail};
use cloud_channel_protocol::client::{Client, ClientConfig, ClientOutput};
use cloud_channel_protocol::{
    ChannelName, ChannelPattern, CloudinitExt, Endpoint, InstanceId, Limits, MessageId, Publication,
};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::conversation::Conversation;
use crate::driver::status::CHANNEL as STATUS_CHANNEL;
use crate::transport::dial::dial;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a publish.
pub(super) type Reply = Result<(), String>;

/// Runs `task` in a session at `endpoint`.
pub(super) async fn with_session<T>(
    endpoint: &Endpoint,
    task: impl AsyncFnOnce(&mut Session<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let limits = Limits::default();
    let socket = dial(endpoint, &limits).await.context("cannot reach the daemon; does it run there?")?;
    let clock = Clock::start();
    let mut client = Client::new(ClientConfig { limits, ..ClientConfig::default() })?;
    let mut session =
        Session { conversation: Conversation::begin(&mut client, socket, clock), clock, last: 0 };
    session.until(|output| matches!(output, ClientOutput::Connected { .. }).then_some(())).await?;
    let outcome = task(&mut session).await;
    session.leave().await;
    outcome
}

/// An open session.
pub(super) struct Session<'c> {
    conversation: Conversation<'c>,
    clock: Clock,
    last: u64,
}

impl Session<'_> {
    /// An id that this process has not used; the daemon keeps ids apart by session.
    pub(super) fn next_id(&mut self) -> MessageId {
        self.last += 1;
        MessageId::from_text(&format!("cli-{:016x}-{}", crate::ids::random_u64(), self.last))
    }

    /// Publishes and waits for the reply.
    pub(super) async fn publish(&mut self, publication: &Publication) -> anyhow::Result<Reply> {
        let wanted = publication.id.clone().context("a publish needs an id")?;
        self.conversation.client.publish(self.clock.now(), publication)?;
        self.until(|output| match output {
            ClientOutput::PublishReply { id, result } if *id == wanted => {
                Some(result.clone().map_err(|failure| failure.to_string()))
            }
            _ => None,
        })
        .await
    }

    /// Publishes a question and waits for its answer, which names it as its cause.
    pub(super) async fn ask(
        &mut self,
        channel: ChannelName,
        data: Box<RawValue>,
        ext: Option<Box<RawValue>>,
    ) -> anyhow::Result<Result<Box<RawValue>, String>> {
        let id = self.next_id();
        let question = Publication { channel, id: Some(id.clone()), data, ext };
        self.conversation.client.publish(self.clock.now(), &question)?;
        self.until(|output| match output {
            ClientOutput::PublishReply { id: of, result: Err(error) } if *of == id => {
                Some(Err(error.to_string()))
            }
            ClientOutput::Event(event) => {
                let ext = CloudinitExt::from_ext(event.ext.as_deref()).ok()?;
                (ext.cause.as_ref() == Some(&id)).then(|| Ok(event.data.clone()))
            }
            _ => None,
        })
        .await
    }

    pub(super) async fn subscribe(&mut self, pattern: &ChannelPattern) -> anyhow::Result<()> {
        self.conversation.client.subscribe(self.clock.now(), pattern.clone());
        let refusal = self
            .until(|output| match output {
                ClientOutput::Subscribed(of) if of == pattern => Some(None),
                ClientOutput::SubscribeRefused { pattern: of, error } if of == pattern => {
                    Some(Some(error.clone()))
                }
                _ => None,
            })
            .await?;
        match refusal {
            None => Ok(()),
            Some(error) => bail!("the daemon refuses the subscription to {pattern}: {error}"),
        }
    }

    /// The next event, however long it takes.
    pub(super) async fn next_event(&mut self) -> anyhow::Result<Publication> {
        loop {
            if let Some(ClientOutput::Event(event)) = self.step().await? {
                return Ok(event);
            }
        }
    }

    /// The daemon's instance.
    pub(super) async fn instance(&mut self) -> anyhow::Result<InstanceId> {
        let status = self.status().await?;
        let text = status["instance"].as_str().context("the daemon's status names no instance")?;
        Ok(InstanceId::parse(text)?)
    }

    pub(super) async fn status(&mut self) -> anyhow::Result<serde_json::Value> {
        let channel = ChannelName::parse(STATUS_CHANNEL)?;
        let answer = self.ask(channel, RawValue::from_string("{}".to_owned())?, None).await?;
        let data = answer.map_err(|error| anyhow::anyhow!("the daemon does not tell its status: {error}"))?;
        Ok(serde_json::from_str(data.get())?)
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(&ClientOutput) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = timeout_at(deadline, self.step())
                .await
                .with_context(|| format!("the daemon did not answer within {} s", PATIENCE.as_secs()))??;
            if let Some(found) = output.as_ref().and_then(&mut wanted) {
                return Ok(found);
            }
        }
    }

    /// Goes on until there is something to look at, or a frame has come.
    async fn step(&mut self) -> anyhow::Result<Option<ClientOutput>> {
        match self.conversation.next_output().await? {
            Some(ClientOutput::Close(reason)) => bail!("the session has ended: {reason}"),
            Some(ClientOutput::Ended(reason)) => bail!("the session has ended: {reason}"),
            Some(output) => Ok(Some(output)),
            None => {
                self.conversation.wait().await?;
                Ok(None)
            }
        }
    }

    /// Says good-bye; the work is done, so whether it is heard does not matter.
    async fn leave(mut self) {
        self.conversation.client.disconnect(self.clock.now());
        while let Ok(Some(_)) = self.conversation.next_output().await {}
        self.conversation.end().await;
    }
}

/// JSON from an argument, or from standard input for `-`.
pub(super) fn read_json(argument: &str, what: &str) -> anyhow::Result<Box<RawValue>> {
    let text = if argument == "-" {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        argument.to_owned()
    };
    // The text may hold a secret: the error says where, not what.
    RawValue::from_string(text.trim().to_owned()).with_context(|| format!("{what} is not JSON"))
}
