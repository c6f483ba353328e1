//! The link a scenario is played over: we serve, or we have dialled.

use cloud_channel_protocol::{Endpoint, Publication};

use crate::fault::Fault;
use crate::notice::Notice;
use crate::peer::Peer;
use crate::server_shell::Management;

use super::action::Direction;

/// Either shell.
#[derive(Debug)]
pub enum Link {
    /// Guests dial us.
    Serving(Management),
    /// We dial the guest.
    Dialled {
        /// The session.
        peer: Peer,
        /// Where the guest listens, for connections beside the session.
        endpoint: Endpoint,
    },
}

/// The shell has ended, which is a fault of its own.
#[derive(Debug, thiserror::Error)]
#[error("the link's task has ended")]
pub struct Ended;

impl Link {
    /// Which way.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Serving(_) => Direction::Serve,
            Self::Dialled { .. } => Direction::Connect,
        }
    }

    pub(super) async fn next(&mut self) -> Option<Notice> {
        match self {
            Self::Serving(management) => management.next().await,
            Self::Dialled { peer, .. } => peer.next().await,
        }
    }

    pub(super) async fn publish(&self, publication: Publication) -> Result<(), Ended> {
        match self {
            Self::Serving(management) => management.publish(publication).await.map_err(|_| Ended),
            Self::Dialled { peer, .. } => peer.publish(publication).await.map_err(|_| Ended),
        }
    }

    pub(super) async fn fault(&self, fault: Fault) -> Result<(), Ended> {
        match self {
            Self::Serving(management) => management.fault(fault).await.map_err(|_| Ended),
            Self::Dialled { peer, .. } => peer.fault(fault).await.map_err(|_| Ended),
        }
    }

    /// Ends it politely.
    ///
    /// # Errors
    /// If it had ended by itself.
    pub async fn stop(self) -> Result<(), Ended> {
        match self {
            Self::Serving(management) => management.stop().await.map_err(|_| Ended),
            Self::Dialled { peer, .. } => peer.stop().await.map_err(|_| Ended),
        }
    }
}
