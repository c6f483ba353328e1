//! One request that the core answers, from its seat in the registry to the driver's hearing how it ended.
//!
//! Whoever holds an [`Exchange`] owes the driver its end. It is paid by [`Exchange::settle`], and else when the
//! exchange is dropped: with its stream, with a task that is cancelled or panics, with whatever fails. So an exchange
//! that nobody thinks of any more is forgotten by the core too.

use std::fmt;
use std::sync::Arc;

use cloud_channel_protocol::ConnectionId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::registry::{Answer, ConnectionRegistry};
use crate::happening::{DriverHandle, Happening, Telling};

/// An exchange whose end the driver does not know yet.
pub(super) struct Exchange {
    id: ConnectionId,
    registry: Arc<ConnectionRegistry>,
    driver: DriverHandle,
    /// All of its response is out.
    written: bool,
    /// The driver knows.
    told: bool,
}

impl Exchange {
    /// Takes a seat; the answer comes to what is returned beside it.
    pub(super) fn enter(
        registry: &Arc<ConnectionRegistry>,
        driver: &DriverHandle,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (id, answer) = registry.enter_exchange();
        let (registry, driver) = (registry.clone(), driver.clone());
        (Self { id, registry, driver, written: false, told: false }, answer)
    }

    pub(super) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// The system has taken all of its response. One of which this is not said is cut.
    pub(super) const fn written(&mut self) {
        self.written = true;
    }

    /// Leaves, and tells the driver how it ended; waits while the driver is busy.
    pub(super) async fn settle(mut self) {
        self.registry.leave(self.id);
        // A driver that has ended wants to know nothing more.
        let _ended = self.driver.tell(self.end()).await;
        self.told = true;
    }

    const fn end(&self) -> Happening {
        let connection = self.id;
        if self.written { Happening::Answered { connection } } else { Happening::Closed { connection } }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        self.registry.leave(self.id);
        let Telling::Waiting(telling) = self.driver.tell(self.end()) else { return };
        // Where no runtime is, no driver is either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(telling);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::happening::{Happenings, QUEUE};

    fn stage() -> (Arc<ConnectionRegistry>, DriverHandle, Happenings) {
        let (driver, happenings) = DriverHandle::new();
        (Arc::default(), driver, happenings)
    }

    /// The next that a driver hears: an exchange's end, and whether its response was written.
    async fn heard(happenings: &mut Happenings) -> (ConnectionId, bool) {
        match happenings.next().await {
            Some(Happening::Answered { connection }) => (connection, true),
            Some(Happening::Closed { connection }) => (connection, false),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn its_end_is_told_once() {
        let (registry, driver, mut happenings) = stage();
        for written in [true, false] {
            let (mut settled, _answer) = Exchange::enter(&registry, &driver);
            let (mut dropped, _answer) = Exchange::enter(&registry, &driver);
            let ids = [settled.id(), dropped.id()];
            if written {
                settled.written();
                dropped.written();
            }
            settled.settle().await;
            drop(dropped);
            for id in ids {
                assert_eq!(heard(&mut happenings).await, (id, written));
            }
            assert!(registry.is_empty());
            assert_eq!(happenings.len(), 0);
        }
    }

    /// A driver that is behind hears of all of them, whatever becomes of their tasks.
    #[tokio::test]
    async fn a_busy_driver_hears_of_those_whose_tasks_are_gone() {
        let (registry, driver, mut happenings) = stage();
        for _ in 0..QUEUE {
            driver.tell(Happening::Stop).await.unwrap();
        }
        let (panicking, _answer) = Exchange::enter(&registry, &driver);
        let (cancelled, _answer) = Exchange::enter(&registry, &driver);
        let mut expected = vec![panicking.id(), cancelled.id()];
        let broken = tokio::spawn(async move { panic!("with {panicking:?} in hand") });
        assert!(broken.await.unwrap_err().is_panic());
        let waiting = tokio::spawn(cancelled.settle());
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert!(registry.is_empty(), "their seats are free at once");
        for _ in 0..QUEUE {
            assert!(matches!(happenings.next().await, Some(Happening::Stop)));
        }
        for _ in 0..2 {
            let (id, written) = heard(&mut happenings).await;
            assert!(!written && expected.contains(&id), "{id}");
            expected.retain(|other| *other != id);
        }
    }
}
