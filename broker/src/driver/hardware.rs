//! Hardware: events of it go out as ours, and what became possible by it is looked at again.

use cloud_channel_protocol::{Module, Topic};

use super::Driver;
use crate::clerk::{Draft, Order, Sighting};
use crate::hotplug::{Fact, Observed};

impl Driver {
    /// Cards and disks have come, gone or changed: it is recorded, together with what is remembered of them, and then
    /// goes out.
    pub(super) fn hardware(&mut self, observed: Observed) {
        let Observed { facts, recorded } = observed;
        let sighting = |Fact { event, changes }| {
            let draft = event.map(|event| {
                let channel = Topic::Hotplug(event.subsystem).channel(&self.parts.instance);
                Box::new(Draft::event(channel, event.to_data(), None))
            });
            Sighting { event: draft, changes }
        };
        let sightings = facts.into_iter().map(sighting).collect();
        if let Err(error) = self.parts.clerk.order(Order::Sightings { sightings, recorded }) {
            // As nothing of it is remembered, the next start finds it.
            tracing::debug!(%error, "hardware events wait for the next start");
        }
    }

    /// Links differ, or somebody says so: it is looked at when they rest.
    pub(super) fn kernel_links_stirred(&mut self) {
        self.kernel_links.note(self.now.uptime);
    }

    /// Looks at changed links once for each burst of changes.
    pub(super) fn mind_kernel_links(&mut self) {
        if self.kernel_links.take(self.now.uptime) {
            self.kernel_links_changed();
        }
    }

    /// Links have come, gone, got other names or addresses, or were set up or down, and rest now. What waits for one may be
    /// possible.
    fn kernel_links_changed(&mut self) {
        self.counters.link_changes += 1;
        tracing::debug!("links have changed");
        for module in Module::all() {
            self.pushes.deferred(module).links_rest();
            self.look_ahead(module);
        }
    }
}
