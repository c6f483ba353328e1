//! A session at a daemon, for one command.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use cloud_channel_protocol::client::{Client, ClientConfig, ClientOutput};
use cloud_channel_protocol::server::ReplayFrom;
use cloud_channel_protocol::{
    ChannelName, ChannelPattern, CloudinitExt, InstanceId, Limits, MessageId, Publication, token_ext,
};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::target::Target;
use crate::clock::Clock;
use crate::conversation::Conversation;
use crate::status_channel::STATUS_CHANNEL;
use crate::transport::dial::{Dialler, Line};

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon does not let a subscription stand.
#[derive(Debug, thiserror::Error)]
#[error("the daemon refuses the subscription to {pattern}: {error}")]
pub(super) struct Refusal {
    pattern: ChannelPattern,
    error: String,
}

/// What became of a publish.
pub(super) type Reply = Result<(), String>;

/// Runs `task` in a session at the daemon.
pub(super) async fn with_session<T>(
    target: &Target,
    task: impl AsyncFnOnce(&mut Session<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut client = new_client(target)?;
    let mut session = Session::open(target, &mut client, Clock::start()).await?;
    let outcome = task(&mut session).await;
    session.leave().await;
    outcome
}

/// A client for sessions at the daemon. It remembers its subscriptions from one to the next.
pub(super) fn new_client(target: &Target) -> anyhow::Result<Client> {
    // In the handshake itself: a token has to go over Unix sockets and vsock too.
    let handshake_ext = target.token()?.as_ref().map(token_ext);
    Ok(Client::new(ClientConfig { handshake_ext, replay: true, ..ClientConfig::default() })?)
}

/// A new line to the daemon.
async fn dial(target: &Target) -> anyhow::Result<Line> {
    let (endpoint, limits) = (target.endpoint(), Limits::default());
    // What the user names on the command line is the user's own affair, whoever owns the files.
    let anybodys = Some(Path::new("/"));
    let dialler = Dialler::new(std::slice::from_ref(&endpoint), &target.tls(), anybodys, limits)?;
    Arc::new(dialler).open(&endpoint).await.context("cannot reach the daemon; does it run there?")
}

/// An open session.
pub(super) struct Session<'c> {
    conversation: Conversation<'c>,
    clock: Clock,
    last: u64,
    /// Events that came before anybody waited for them.
    early: VecDeque<Publication>,
}

impl<'c> Session<'c> {
    /// Opens a session, or takes up the client's last one. The clock is the client's in all of them.
    pub(super) async fn open(target: &Target, client: &'c mut Client, clock: Clock) -> anyhow::Result<Self> {
        let conversation = Conversation::begin(client, dial(target).await?, clock);
        let mut session = Self { conversation, clock, last: 0, early: VecDeque::new() };
        session.until(|output| matches!(output, ClientOutput::Connected { .. }).then_some(())).await?;
        Ok(session)
    }

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

    /// Subscribes, to what the daemon has retained as well if `from` says from where on.
    pub(super) async fn subscribe(
        &mut self,
        pattern: &ChannelPattern,
        from: Option<ReplayFrom>,
    ) -> anyhow::Result<()> {
        let (now, client) = (self.clock.now(), &mut *self.conversation.client);
        match from {
            None => client.subscribe(now, pattern.clone()),
            Some(from) if client.can_replay() => client.subscribe_from(now, pattern.clone(), from),
            Some(_) => bail!("the daemon replays no events, `replay` is not among its `extensions`"),
        }
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
            Some(error) => Err(Refusal { pattern: pattern.clone(), error }.into()),
        }
    }

    /// The next event, however long it takes.
    pub(super) async fn next_event(&mut self) -> anyhow::Result<Publication> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        loop {
            match self.step().await? {
                Some(ClientOutput::Event(event)) => return Ok(event),
                // Asked for anew in a new session.
                Some(ClientOutput::SubscribeRefused { pattern, error }) => {
                    return Err(Refusal { pattern, error }.into());
                }
                _ => {}
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
            if let Some(ClientOutput::Event(event)) = output {
                self.early.push_back(event);
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

    /// Lets go of a line that is lost. Gives the events that had come over it.
    pub(super) async fn give_up(mut self) -> Vec<Publication> {
        let mut events: Vec<Publication> = self.early.drain(..).collect();
        while let Some(output) = self.conversation.client.poll_output() {
            if let ClientOutput::Event(event) = output {
                events.push(event);
            }
        }
        self.conversation.end().await;
        events
    }

    /// Says good-bye; the work is done, so whether it is heard does not matter.
    pub(super) async fn leave(self) {
        self.conversation.leave().await;
    }
}
