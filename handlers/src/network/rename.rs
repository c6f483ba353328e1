//! Giving a card that is there the name that `set-name` says.

use std::time::Duration;

use super::expectation::ip_program;
use super::link::{Link, Links};
use super::name::{DeviceId, LinkName};
use crate::{Invocation, Refusal, Secret, Step, System};

/// How long the kernel may take; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a link cannot get its name now; `None` if it can.
///
/// cloud-init, too, leaves a link alone that is up and has addresses: whoever uses it would be cut off. A card that
/// nobody configured before the push is another matter: what it has came of some catch-all for new cards. It is
/// left alone only if it is the machine's only way out.
pub(super) fn obstacle(
    link: &Link,
    name: &LinkName,
    was_configured: bool,
    links: &Links,
    system: &dyn System,
) -> Option<String> {
    let from = &link.name;
    if links.named(name.as_str()).is_some() {
        return Some(format!("`{from}` is to be called `{name}`, which is another link's name"));
    }
    if was_configured && link.is_in_use(system) {
        return Some(format!("`{from}` is in use, and renaming it to `{name}` would cut it off"));
    }
    let way_out = !was_configured && link.is_only_way_out(system);
    way_out.then(|| format!("`{from}` is the only way out, and renaming it to `{name}` would cut it off"))
}

/// The refusal of a rename that cannot be put off either.
pub(super) fn refuse(id: &DeviceId, link: &Link, why: &str) -> Refusal {
    Refusal::at(format!("network.ethernets.{id}.set-name"), "a name that the card can get now")
        .given(&link.name)
        .hint(format!("{why}; leave `set-name` out, or use `{}`, or take the link down first", link.name))
}

/// One command for all three moves, so that a link is never left down by a crash between two commands. A kernel
/// before 6.2 renames no link that is up.
pub(super) fn step(from: &str, to: &str, system: &dyn System) -> Result<Step, Refusal> {
    let program = ip_program(system).ok_or_else(|| {
        Refusal::at("network", "a machine with `ip`, to rename a link").hint("install iproute2")
    })?;
    let batch = |args: &[&str], from: &str, to: &str| Invocation {
        program,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        stdin: Some(Secret::new(format!(
            "link set dev {from} down\nlink set dev {from} name {to}\nlink set dev {to} up\n"
        ))),
        deadline: DEADLINE,
    };
    // The undo goes on over what was not done.
    let undo = Some(batch(&["-force", "-batch", "-"], to, from));
    Ok(Step::Run { command: batch(&["-batch", "-"], from, to), undo })
}
