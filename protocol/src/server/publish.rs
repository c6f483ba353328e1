//! Publishing: is it allowed, who is asked, who gets it.

use serde_json::value::RawValue;

use super::io::{OfferId, Output, Sender};
use super::policy::Principal;
use super::reply::{Origin, Reply};
use super::session::SessionKey;
use super::subscriptions::Granted;
use super::{ConnectionId, LocalSession, Server};
use crate::channel::ChannelName;
use crate::error::BayeuxError;
use crate::publication::{self, Publication};
use crate::wire::{self, Fields};

/// A request whose reply waits for a verdict.
#[derive(Debug)]
pub(super) struct PendingOffer {
    connection: ConnectionId,
    session: Option<SessionKey>,
    origin: Origin,
    /// What is granted with it, if it is a subscribe that wants a replay.
    subscribe: Option<Granted>,
}

/// Who publishes, where it can be found: most publishes concern nobody who wants to know it in full.
enum Publisher {
    Session(SessionKey),
    Unconnected(Principal),
}

impl Server {
    pub(super) fn publish(
        &mut self,
        connection: ConnectionId,
        session: Option<SessionKey>,
        channel: ChannelName,
        fields: &Fields<'_>,
        origin: &mut Origin,
    ) -> Result<(), BayeuxError> {
        let publisher = self.publisher(connection, session)?;
        self.connections.published(connection, &channel);
        let data = fields.data.ok_or_else(|| BayeuxError::missing("data"))?;
        if !self.policy.may_publish(self.principal(&publisher)?, &channel) {
            return Err(BayeuxError::forbidden(channel.as_str(), "Publishing here is not allowed"));
        }
        let ext = wire::given_raw(fields.ext);
        let accepts = |local: &LocalSession| local.accepts.iter().any(|pattern| pattern.matches(&channel));
        let hears = |local: &LocalSession| local.subscribes.iter().any(|pattern| pattern.matches(&channel));
        let publication = |origin: &Origin| {
            Ok::<_, BayeuxError>(Publication {
                channel: channel.clone(),
                id: origin.id.clone(),
                data: data.to_raw()?,
                ext: ext.map(ToOwned::to_owned),
            })
        };
        if let Some(to) = self.locals.iter().find(|local| accepts(local)).map(|local| local.id) {
            let (sender, publication) = (self.sender(connection, publisher)?, publication(origin)?);
            let offer = self.offer(connection, session, origin, None)?;
            self.outputs.push_back(Output::Offer { offer, to, sender, publication });
            return Ok(());
        }
        let timestamp = self.extensions.outgoing(self.now).timestamp;
        let encode =
            || publication::encode(&channel, None, data.get(), ext.map(RawValue::get), timestamp.as_deref());
        self.deliver(&channel, None, encode);
        self.deliver_behind(&channel, encode);
        if self.locals.iter().any(hears) {
            let (sender, publication) = (self.sender(connection, publisher)?, publication(origin)?);
            for local in self.locals.iter().filter(|local| hears(local)) {
                let (sender, publication) = (sender.clone(), publication.clone());
                self.outputs.push_back(Output::Deliver { to: local.id, sender, publication });
            }
        }
        self.reply(connection, Reply::success(origin));
        Ok(())
    }

    /// Who publishes, if it may do so at all.
    fn publisher(
        &mut self,
        connection: ConnectionId,
        session: Option<SessionKey>,
    ) -> Result<Publisher, BayeuxError> {
        if let Some(key) = session {
            return Ok(Publisher::Session(key));
        }
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        let principal = self.policy.admit_unconnected(&stream.peer)?;
        if stream.session.is_none() {
            self.await_session(connection);
        }
        Ok(Publisher::Unconnected(principal))
    }

    fn principal<'a>(&'a self, publisher: &'a Publisher) -> Result<&'a Principal, BayeuxError> {
        match publisher {
            Publisher::Session(key) => {
                let session = self.sessions.get(*key).ok_or_else(BayeuxError::unknown_client)?;
                Ok(&session.principal)
            }
            Publisher::Unconnected(principal) => Ok(principal),
        }
    }

    /// A publisher as local sessions are told of it.
    fn sender(&self, connection: ConnectionId, publisher: Publisher) -> Result<Sender, BayeuxError> {
        match publisher {
            Publisher::Session(key) => {
                let session = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?;
                let (principal, address) = (session.principal.clone(), session.peer.address.clone());
                Ok(Sender { principal, client: Some(session.client), address })
            }
            Publisher::Unconnected(principal) => {
                let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
                Ok(Sender { principal, client: None, address: stream.peer.address.clone() })
            }
        }
    }

    /// Keeps a request until its verdict comes.
    pub(super) fn offer(
        &mut self,
        connection: ConnectionId,
        session: Option<SessionKey>,
        origin: &mut Origin,
        subscribe: Option<Granted>,
    ) -> Result<OfferId, BayeuxError> {
        let limits = &self.config.limits;
        let of_connection = self.connections.get(connection).map_or(0, |connection| connection.owed);
        if self.offers.len() >= limits.pending_offers || of_connection >= limits.pending_offers_per_connection
        {
            let text = "Too many messages are waiting to be accepted, send it again later";
            return Err(BayeuxError::busy(text));
        }
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.owed += 1;
        }
        self.last_offer += 1;
        let offer = OfferId(self.last_offer);
        self.offers.insert(offer, PendingOffer { connection, session, origin: origin.take(), subscribe });
        Ok(offer)
    }

    pub(super) fn settle(&mut self, offer: OfferId, verdict: Result<(), BayeuxError>) {
        let Some(PendingOffer { connection, session, mut origin, subscribe }) = self.offers.remove(&offer)
        else {
            return;
        };
        self.owes_less(connection);
        // The session may go on over another stream. One that has none will ask again.
        let moved = session.and_then(|key| self.sessions.get(key)).and_then(|session| session.stream);
        let gone = !self.is_open(connection);
        let to = moved.filter(|_| gone).unwrap_or(connection);
        match (verdict, subscribe, session) {
            (Ok(()), Some(granted), Some(key)) => {
                // Meanwhile the session may have ended, or subscribed to as much as it may.
                let patterns = granted.live.iter().chain(&granted.replayed).cloned().collect();
                match self.check_subscriptions(key, patterns) {
                    Ok(_) => self.subscribe_granted(to, key, granted, &mut origin),
                    Err(error) => self.refuse(to, &mut origin, Some(granted.asked()), &error.into()),
                }
            }
            (Ok(()), ..) => self.reply(to, Reply::success(&mut origin)),
            (Err(error), subscribe, _) => {
                let asked = subscribe.as_ref().map(Granted::asked);
                self.refuse(to, &mut origin, asked, &error.into());
            }
        }
    }
}
