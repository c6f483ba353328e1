//! What must be true of the machine after a change, and looking until it is.
//!
//! Only that is demanded which is so on every machine that works: what is missing takes a change back. What waits for
//! something outside of the machine (a carrier, a DHCP server, a router) is not judged.

mod judgement;
mod link;
mod route;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use link::ExpectedLink;

use super::machine::link::Links;
use super::renderer::rendered_file::digest;
use crate::System;
use crate::system::KernelNetwork;
use judgement::{Certainty, Miss};

/// Looks before a change counts as failed: 10 seconds for all links together, because a link may negotiate for some.
const LOOKS: u32 = 50;

/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Looks for which a link must have had its carrier before it is judged by what comes with one: 5 seconds.
const LOOKS_WITH_CARRIER: u32 = 25;

/// Looks at which the kernel cannot be asked, until that is a failure of its own: each may take some seconds.
const MOST_BLIND_LOOKS: u32 = 3;

/// What must be true of links and files after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Each file of ours with the digest of its content; `None` for one that is gone.
    pub(super) files: Vec<(String, Option<String>)>,
    /// Each affected link that is there.
    pub(super) links: Vec<ExpectedLink>,
}

/// Looks at the machine until everything is as expected, for ten seconds at most.
///
/// # Errors
/// What was not as expected at the last look.
pub(crate) fn verify(expectation: &Expectation, system: &dyn System) -> Result<(), String> {
    // Files do not come up later: one look tells.
    expectation
        .files
        .iter()
        .try_for_each(|(path, expected)| verify_file(path, expected.as_deref(), system))?;
    if expectation.links.is_empty() {
        return Ok(());
    }
    let mut watch = Watch { links: &expectation.links, with_carrier: vec![0; expectation.links.len()] };
    let mut blind_looks = 0;
    let mut last = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            system.pause(BETWEEN_LOOKS);
        }
        match watch.look(system) {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => last = missing,
            Err(_) if blind_looks + 1 < MOST_BLIND_LOOKS => blind_looks += 1,
            Err(text) => return Err(text),
        }
    }
    let certain = last.into_iter().find(|miss| watch.is_certain(miss));
    certain.map_or(Ok(()), |miss| Err(miss.text))
}

fn verify_file(path: &str, expected: Option<&str>, system: &dyn System) -> Result<(), String> {
    let file = system.read(path).map_err(|error| error.to_string())?;
    match (file, expected) {
        (None, None) => Ok(()),
        (Some(file), Some(expected)) if digest(&file.content) == expected => Ok(()),
        (None, Some(_)) => Err(format!("`{path}` is not there after it was written")),
        (Some(_), _) => Err(format!("`{path}` was changed by someone else right after it was written")),
    }
}

/// The expected links over several looks.
struct Watch<'a> {
    links: &'a [ExpectedLink],
    /// Of each, the looks in a row at which it had a carrier.
    with_carrier: Vec<u32>,
}

impl Watch<'_> {
    /// What is not as expected now: of each link the first thing.
    fn look(&mut self, system: &dyn System) -> Result<Vec<Miss>, String> {
        let Some(network) = system.network().map_err(|error| error.to_string())? else {
            return look_at_files(self.links, system);
        };
        for (expected, looks) in self.links.iter().zip(&mut self.with_carrier) {
            *looks = if has_carrier(expected, &network) { *looks + 1 } else { 0 };
        }
        let judged = self.links.iter().enumerate().map(|(place, expected)| expected.judge(place, &network));
        Ok(judged.filter_map(Result::err).collect())
    }

    /// False for what may be right and cannot be seen, or comes a little later.
    fn is_certain(&self, miss: &Miss) -> bool {
        match miss.certainty {
            Certainty::Certain => true,
            Certainty::WithCarrier(place) => self.with_carrier[place] >= LOOKS_WITH_CARRIER,
            Certainty::Open => false,
        }
    }
}

fn has_carrier(expected: &ExpectedLink, network: &KernelNetwork) -> bool {
    network.link_named(&expected.name).is_some_and(|link| link.lower_up)
}

/// A machine that is played by files has names, hardware addresses and MTUs, and no more.
fn look_at_files(expected: &[ExpectedLink], system: &dyn System) -> Result<Vec<Miss>, String> {
    let links = Links::look(system).map_err(|refusal| refusal.to_string())?;
    Ok(expected.iter().filter_map(|expected| expected.judge_by_files(&links).err()).collect())
}
