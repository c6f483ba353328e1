//! Publishing: is it allowed, who is asked, who gets it.

use super::io::{OfferId, Output, Sender};
use super::reply::{Origin, Reply};
use super::{ConnectionId, Now, Server};
use crate::channel::ChannelName;
use crate::error::BayeuxError;
use crate::publication::Publication;
use crate::wire::Fields;

/// A publish whose reply waits for a local session's verdict.
#[derive(Debug)]
pub(super) struct PendingOffer {
    connection: ConnectionId,
    origin: Origin,
}

impl Server {
    pub(super) fn publish(
        &mut self,
        now: Now,
        connection: ConnectionId,
        channel: ChannelName,
        fields: &Fields<'_>,
        origin: &Origin,
    ) -> Result<(), BayeuxError> {
        let sender = self.sender(now, connection, fields)?;
        let data = fields.data.ok_or_else(|| BayeuxError::missing("data"))?;
        if !self.policy.may_publish(&sender.principal, &channel) {
            return Err(BayeuxError::forbidden(channel.as_str(), "Publishing here is not allowed"));
        }
        let publication = Publication {
            channel,
            id: origin.id.clone(),
            data: data.to_owned(),
            ext: fields.ext.filter(|ext| ext.get() != "null").map(ToOwned::to_owned),
        };
        let accepts = |channel: &ChannelName, local: &super::LocalSession| {
            local.accepts.iter().any(|pattern| pattern.matches(channel))
        };
        if let Some(local) = self.locals.iter().find(|local| accepts(&publication.channel, local)) {
            let to = local.id;
            return self.offer(connection, origin, to, sender, publication);
        }
        self.broadcast(now, &sender, &publication);
        self.reply(connection, &Reply::success(&origin.channel, origin.id.as_ref()));
        Ok(())
    }

    fn sender(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fields: &Fields<'_>,
    ) -> Result<Sender, BayeuxError> {
        if fields.client_id.is_some_and(|raw| raw.get() != "null") {
            let key = self.resolve(now, connection, fields)?;
            let session = self.sessions.get(key).ok_or_else(BayeuxError::unknown_client)?;
            return Ok(Sender { principal: session.principal.clone(), client: Some(session.client) });
        }
        let stream = self.connections.get(connection).ok_or_else(BayeuxError::unknown_client)?;
        let principal = self.policy.admit_unconnected(&stream.peer)?;
        if stream.session.is_none() {
            self.await_session(now, connection);
        }
        Ok(Sender { principal, client: None })
    }

    /// Asks a local session; the reply goes out with its verdict.
    fn offer(
        &mut self,
        connection: ConnectionId,
        origin: &Origin,
        to: super::LocalId,
        sender: Sender,
        publication: Publication,
    ) -> Result<(), BayeuxError> {
        if self.offers.len() >= self.config.limits.pending_offers {
            return Err(BayeuxError::busy(
                "Too many messages are waiting to be accepted, send it again later",
            ));
        }
        self.last_offer += 1;
        let offer = OfferId(self.last_offer);
        self.offers.insert(offer, PendingOffer { connection, origin: origin.clone() });
        self.outputs.push_back(Output::Offer { offer, to, sender, publication });
        Ok(())
    }

    pub(super) fn settle(&mut self, offer: OfferId, verdict: Result<(), BayeuxError>) {
        // A verdict for a stream that is gone has nobody to go to; the reply is dropped there.
        let Some(PendingOffer { connection, origin }) = self.offers.remove(&offer) else { return };
        let reply = match &verdict {
            Ok(()) => Reply::success(&origin.channel, origin.id.as_ref()),
            Err(error) => Reply::failure(&origin.channel, origin.id.as_ref(), error),
        };
        self.reply(connection, &reply);
    }

    fn broadcast(&mut self, now: Now, sender: &Sender, publication: &Publication) {
        self.deliver(now, publication, Publication::encode_without_id, None);
        for local in &self.locals {
            if local.subscribes.iter().any(|pattern| pattern.matches(&publication.channel)) {
                self.outputs.push_back(Output::Deliver {
                    to: local.id,
                    sender: sender.clone(),
                    publication: publication.clone(),
                });
            }
        }
    }
}
