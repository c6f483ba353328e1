//! What must be true of the machine after a change, and looking until it is.

use std::time::Duration;

use serde_json::Value;

use super::address::{Cidr, MacAddress};
use super::base::digest;
use super::link::{Links, attribute, text};
use crate::{Invocation, System};

/// Looks before a change counts as failed: 10 seconds, because a link may negotiate for some.
const LOOKS: u32 = 50;

/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// How long listing a link's addresses may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What must be true of links and files after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Each file of ours with the digest of its content; `None` for one that is gone.
    pub(super) files: Vec<(String, Option<String>)>,
    /// Each affected link that is there.
    pub(super) links: Vec<ExpectedLink>,
}

/// What must be true of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedLink {
    pub(super) name: String,
    /// The hardware address that the config finds it by or gives it.
    pub(super) address: Option<MacAddress>,
    pub(super) mtu: Option<u32>,
    pub(super) addresses: Vec<Cidr>,
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
    for link in &expectation.links {
        let mut last = verify_link(link, system);
        for _ in 1..LOOKS {
            if last.is_ok() {
                break;
            }
            system.pause(BETWEEN_LOOKS);
            last = verify_link(link, system);
        }
        last?;
    }
    Ok(())
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

fn verify_link(expected: &ExpectedLink, system: &dyn System) -> Result<(), String> {
    let name = &expected.name;
    let links = Links::look(system).map_err(|refusal| refusal.to_string())?;
    let Some(link) = links.named(name) else { return Err(format!("no link is called `{name}`")) };
    if let Some(address) = expected.address.filter(|address| !link.has_address(*address)) {
        return Err(format!("link `{name}` is not the one with the hardware address {address}"));
    }
    if let Some(mtu) = expected.mtu.filter(|mtu| link.mtu != Some(*mtu)) {
        let found = link.mtu.map_or_else(|| "unknown".to_owned(), |mtu| mtu.to_string());
        return Err(format!("link `{name}` has MTU {found}, expected {mtu}"));
    }
    if expected.addresses.is_empty() || waits_for_carrier(name, system) {
        return Ok(());
    }
    let present = addresses(name, system)?;
    match expected.addresses.iter().find(|address| !present.contains(address)) {
        None => Ok(()),
        Some(missing) => Err(format!("link `{name}` does not have the address {missing}")),
    }
}

/// networkd gives a card its addresses when it has a carrier. Until the other side plugs in, there is nothing
/// wrong.
fn waits_for_carrier(name: &str, system: &dyn System) -> bool {
    text(system, &attribute(name, "carrier")).is_some_and(|carrier| carrier == "0")
}

/// The addresses a link has now.
fn addresses(name: &str, system: &dyn System) -> Result<Vec<Cidr>, String> {
    let program =
        ip_program(system).ok_or_else(|| format!("no `ip` program to see the addresses of `{name}` with"))?;
    let args = ["-json", "address", "show", "dev", name].map(str::to_owned).to_vec();
    let output = system
        .run(&Invocation { program: program.into(), args, stdin: None, deadline: DEADLINE })
        .map_err(|error| error.to_string())?;
    let shown: Value = serde_json::from_str(&output)
        .map_err(|error| format!("cannot read what `{program} -json` shows: {error}"))?;
    let found =
        shown.as_array().into_iter().flatten().filter_map(|link| link["addr_info"].as_array()).flatten();
    Ok(found.filter_map(cidr_of).collect())
}

fn cidr_of(info: &Value) -> Option<Cidr> {
    let address = info["local"].as_str()?.parse().ok()?;
    Some(Cidr { address, prefix: u8::try_from(info["prefixlen"].as_u64()?).ok()? })
}

/// Where iproute2 is, if it is.
pub(super) fn ip_program(system: &dyn System) -> Option<&'static str> {
    ["/usr/sbin/ip", "/usr/bin/ip", "/sbin/ip", "/bin/ip"].into_iter().find(|path| system.has_program(path))
}
