//! What modules have put off until devices are there: it is looked at when links have changed, and done as soon as it can be.
//!
//! ```text
//! links changed ─▶ clerk asks the module ─▶ Foreseen ─▶ a place in the row of pushes ─▶ job
//! ```
//!
//! Looks do not pile up: one is under way for each module at most, and one more is remembered.

use std::collections::{BTreeMap, BTreeSet};

use cloud_channel_handlers::{Held, Outlook};
use cloud_channel_protocol::{CloudinitExt, Module};

use super::Driver;
use crate::clerk::{Admit, AdmittedWork, Order};
use crate::journal::Sender;
use crate::request::{Asker, Request};
use crate::witness::Witness;

/// What one module has put off.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    look: Look,
    /// As far as is known. What waits for nothing any more is about to be done, or could not be.
    waiting: BTreeMap<String, BTreeSet<String>>,
    /// What was tried last. The same is not tried again: it would fail again.
    tried: BTreeMap<String, String>,
    /// True if links have rested since what could be done was done last: they need not rest again for that.
    rested: bool,
}

/// Whether the machine has to be looked at.
#[derive(Debug, Default, PartialEq, Eq)]
enum Look {
    /// Nothing has changed since.
    #[default]
    Done,
    /// The clerk is at it.
    UnderWay,
    /// Something has changed since it was begun.
    Again,
    /// Something has changed while a change was made.
    Later,
    /// What can be done has its place in the row of pushes; what has changed since is seen after it.
    Resuming,
}

impl Deferred {
    /// What waits, and what each waits for.
    pub(super) const fn waiting(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.waiting
    }

    /// The module holds something else now, so what was tried before says nothing.
    pub(super) fn forget_tries(&mut self) {
        self.tried.clear();
    }

    /// Links rest.
    pub(super) fn links_rest(&mut self) {
        self.rested = true;
    }

    /// What could be done was done, or could not get a place in the row.
    pub(super) fn resumed(&mut self) {
        self.look = Look::Done;
    }
}

impl Driver {
    /// Has a module look whether what it has put off can be done.
    pub(super) fn look_ahead(&mut self, module: Module) {
        if self.stopping || !self.ready {
            return;
        }
        let held = self.pushes.held(module);
        let busy = self.pushes.running(module).is_some();
        let deferred = self.pushes.deferred(module);
        deferred.look = match deferred.look {
            Look::Resuming => Look::Resuming,
            Look::UnderWay | Look::Again => Look::Again,
            Look::Done | Look::Later if held == Held::nothing() => Look::Done,
            // It holds something else once that is over.
            Look::Done | Look::Later if busy => Look::Later,
            Look::Done | Look::Later => Look::UnderWay,
        };
        if deferred.look != Look::UnderWay {
            return;
        }
        if let Err(error) = self.parts.clerk.order(Order::Foresee(module, Box::new(held))) {
            tracing::warn!(%module, %error, "what waits for devices is not looked at now");
            self.pushes.deferred(module).look = Look::Later;
        }
    }

    /// A module was looked at.
    pub(super) fn foreseen(&mut self, module: Module, outlook: Result<Outlook, String>) {
        let busy = self.pushes.running(module).is_some();
        // Of cards that come one after another, each push would be followed by a change for those that came meanwhile.
        let is_restless = self.kernel_links.due().is_some();
        let deferred = self.pushes.deferred(module);
        let again = std::mem::take(&mut deferred.look) == Look::Again;
        match outlook {
            Ok(Outlook { waiting, ready }) => {
                deferred.waiting = waiting;
                // What can be done is not done yet.
                deferred.waiting.extend(ready.keys().map(|id| (id.clone(), BTreeSet::new())));
                let must_rest = is_restless && !deferred.rested;
                if ready.is_empty() {
                    deferred.rested = false;
                } else if !busy && !must_rest {
                    self.attempt(module, ready);
                }
                // Else another look follows: on what runs, or on the links when they rest.
            }
            Err(refusal) => tracing::warn!(%module, %refusal, "cannot tell what could be done now"),
        }
        if again {
            self.look_ahead(module);
        }
    }

    /// Does what can be done now, unless just that has failed before.
    fn attempt(&mut self, module: Module, ready: BTreeMap<String, String>) {
        let deferred = self.pushes.deferred(module);
        deferred.rested = false;
        if ready == deferred.tried {
            tracing::debug!(%module, "what could be done now has failed before");
            return;
        }
        deferred.tried = ready;
        deferred.look = Look::Resuming;
        self.resume(module);
    }

    fn resume(&mut self, module: Module) {
        let ext = CloudinitExt::default();
        let request = Request { asker: Asker::Guest, module, spelling: module.into(), id: None, ext };
        let admit = Admit {
            request,
            work: AdmittedWork::Resume,
            sender: Sender::guest(),
            witness: self.who_would_be_missed(module),
        };
        tracing::info!(%module, "devices have come that something waited for");
        if let Err(error) = self.parts.clerk.order(Order::Admit(Box::new(admit))) {
            tracing::warn!(%module, %error, "what waited is not done now");
            let deferred = self.pushes.deferred(module);
            deferred.forget_tries();
            deferred.look = Look::Later;
        }
    }

    /// Somebody who is there over a network, and was found to be there after the last change without a word.
    fn who_would_be_missed(&self, module: Module) -> Option<Witness> {
        let link = Some(Witness::Link).filter(|_| self.parts.link.is_some() && !self.link.is_down());
        let voucher = self.trials.voucher(module).filter(|witness| !self.sessions.of(witness).is_empty());
        link.or_else(|| voucher.cloned())
    }
}
