//! What the kernel has of the network, all of it at one look: links, addresses, routes and rules.
//!
//! These are facts, as rtnetlink(7) tells them and without a judgement; numbers that Linux may add to are kept as they
//! are. A link is referred to by its index, which stays when it is renamed.

mod address;
mod attributes;
mod dump;
mod exchange;
mod link;
mod route;
mod rule;
mod snapshot;
mod socket;

pub use address::{KernelAddress, KernelScope};
pub use link::{KernelLink, OperationalState};
pub use route::{KernelHop, KernelRoute, KernelRouteKind};
pub use rule::KernelRule;
pub(super) use snapshot::look;

/// The links, addresses, routes and routing rules of one network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelNetwork {
    /// Every link, the loopback among them, by rising index.
    pub links: Vec<KernelLink>,
    /// Every address, of both families.
    pub addresses: Vec<KernelAddress>,
    /// Routes of both families and all tables but `local`; without cached ones and those of routing daemons.
    pub routes: Vec<KernelRoute>,
    /// Rules that choose a routing table, of both families, in the order in which they are asked.
    pub rules: Vec<KernelRule>,
    /// What the kernel has and this snapshot has not; empty as a rule.
    pub gaps: Vec<KernelGap>,
}

/// Something that is missing from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelGap {
    /// What is missing.
    pub part: KernelPart,
    /// How many of it, at least.
    pub count: usize,
    /// Why, for people.
    pub reason: String,
}

/// A part of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPart {
    /// [`KernelNetwork::links`].
    Links,
    /// [`KernelNetwork::addresses`].
    Addresses,
    /// [`KernelNetwork::routes`].
    Routes,
    /// [`KernelNetwork::rules`].
    Rules,
}

impl KernelNetwork {
    /// The link of an index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&KernelLink> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The link of a name; an alternative name is none here.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&KernelLink> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The addresses of a link.
    pub fn addresses_of(&self, index: u32) -> impl Iterator<Item = &KernelAddress> {
        self.addresses.iter().filter(move |address| address.link == index)
    }

    /// The routes that lead over a link, alone or with others.
    pub fn routes_of(&self, index: u32) -> impl Iterator<Item = &KernelRoute> {
        self.routes.iter().filter(move |route| route.leads_over(index))
    }

    /// True if nothing of this part is missing.
    #[must_use]
    pub fn has_all(&self, part: KernelPart) -> bool {
        self.gaps.iter().all(|gap| gap.part != part)
    }
}

#[cfg(test)]
mod tests;
