//! Giving a card that is there the name that `set-name` says, and giving it back what it was.

use std::time::Duration;

use crate::network::document::name::{DeviceId, LinkName};
use crate::network::machine::link::{Link, Links};
use crate::{Invocation, Refusal, Secret, Step, Subject, System, UndoCommand};

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
    if was_configured && links.is_in_use(link, system) {
        return Some(format!("`{from}` is in use, and renaming it to `{name}` would cut it off"));
    }
    let way_out = !was_configured && links.is_only_way_out(link, system);
    way_out.then(|| format!("`{from}` is the only way out, and renaming it to `{name}` would cut it off"))
}

/// The refusal of a rename that cannot be put off either.
pub(super) fn refuse(id: &DeviceId, link: &Link, why: &str) -> Refusal {
    Refusal::at(format!("network.ethernets.{id}.set-name"), "a name that the card can get now")
        .given(&link.name)
        .hint(format!("{why}; leave `set-name` out, or use `{}`, or take the link down first", link.name))
}

/// One command for all moves, so that a link is never left down by a crash between two commands. A kernel before
/// 6.2 renames no link that is up. The undo gives back what networkd may have changed meanwhile as well.
pub(super) fn step(link: &Link, to: &str, system: &dyn System) -> Result<Step, Refusal> {
    let from = &link.name;
    let (down, up) = if link.up {
        (format!("link set dev {from} down\n"), format!("link set dev {to} up\n"))
    } else {
        // Left down: networkd brings it up when it has told the kernel whom to listen to.
        (String::new(), String::new())
    };
    let command = batch(&["-batch", "-"], format!("{down}link set dev {from} name {to}\n{up}"), system)?;
    let back = format!(
        "link set dev {to} down\nlink set dev {to} name {from}\nlink set dev {from} {}\n",
        state(link)
    );
    // The undo goes on over what was not done.
    let undo = batch(&["-force", "-batch", "-"], back, system)?;
    let names = [from, to].map(Subject::spoken_of).to_vec();
    Ok(Step::Run { command: command.with_subjects(names.clone()), undo: Some(undo.with_subjects(names)) })
}

/// Keeps what networkd would not give back to a link that it lets go of: its MTU, and that it was down. To say it of
/// a link that is so already does nothing; said as an undo, it puts that back.
pub(super) fn keep_step(link: &Link, system: &dyn System) -> Result<Step, Refusal> {
    let command = script(&link.name, state_line(link), system)?;
    Ok(Step::Run { undo: Some(command.clone()), command })
}

/// Gives a link back, by the undo, the MAC address that it has now. Most drivers take another one only while the link is down,
/// and the kernel makes the link-local address of it when the link comes up.
pub(super) fn address_at_undo(link: &Link, system: &dyn System) -> Result<Option<Step>, Refusal> {
    let Some(address) = link.address else { return Ok(None) };
    let name = &link.name;
    let back =
        format!("link set dev {name} down\nlink set dev {name} address {address}\n{}", state_line(link));
    Ok(Some(Step::AtUndo(UndoCommand::Run(script(name, back, system)?))))
}

/// True if links can be changed by `ip`.
pub(super) fn has_ip(system: &dyn System) -> bool {
    ip_program(system).is_some()
}

/// Gives a link another MTU; the undo gives it back the one that it has. Nothing without `ip`: it is what the next boot does.
pub(crate) fn mtu_step(
    link: &Link,
    mtu: u32,
    has_undo: bool,
    system: &dyn System,
) -> Result<Option<Step>, Refusal> {
    if ip_program(system).is_none() {
        return Ok(None);
    }
    let set = |mtu: u32| script(&link.name, format!("link set dev {} mtu {mtu}\n", link.name), system);
    let undo = link.mtu.filter(|_| has_undo).map(set).transpose()?;
    Ok(Some(Step::Run { command: set(mtu)?, undo }))
}

/// A line of a script that makes a link what it is.
pub(super) fn state_line(link: &Link) -> String {
    format!("link set dev {} {}\n", link.name, state(link))
}

/// What a link is, in `ip`'s words.
fn state(link: &Link) -> String {
    let mtu = link.mtu.map(|mtu| format!("mtu {mtu} ")).unwrap_or_default();
    format!("{mtu}{}", if link.up { "up" } else { "down" })
}

/// A script for `ip` that speaks of one link, and ends at the first line that fails.
pub(super) fn script(link: &str, lines: String, system: &dyn System) -> Result<Invocation, Refusal> {
    let command = batch(&["-batch", "-"], lines, system)?;
    Ok(command.with_subjects(vec![Subject::spoken_of(link)]))
}

/// A script for `ip`, on its standard input.
pub(super) fn batch(args: &[&str], lines: String, system: &dyn System) -> Result<Invocation, Refusal> {
    let program = ip_program(system).ok_or_else(|| {
        Refusal::at("network", "a machine with `ip`, to set a link up").hint("install iproute2")
    })?;
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let stdin = Some(Secret::new(lines));
    Ok(Invocation { program: program.into(), args, stdin, deadline: DEADLINE, subjects: Vec::new() })
}

/// Where iproute2 is, if it is.
fn ip_program(system: &dyn System) -> Option<&'static str> {
    ["/usr/sbin/ip", "/usr/bin/ip", "/sbin/ip", "/bin/ip"].into_iter().find(|path| system.has_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    /// What `ip` reads of a step and of its undo, for a card of 1,500 bytes with these flags.
    fn scripts(flags: &str, step: impl Fn(&Link, &MemorySystem) -> Step) -> (String, String) {
        let system = MemorySystem::new()
            .with_program("/usr/sbin/ip")
            .with_file("/sys/class/net/eth0/mtu", "1500\n")
            .with_file("/sys/class/net/eth0/flags", flags);
        let links = Links::look(&system).unwrap();
        let Step::Run { command, undo: Some(undo) } = step(links.named("eth0").unwrap(), &system) else {
            panic!("expected a command with an undo")
        };
        let [command, undo] =
            [command, undo].map(|command| command.stdin.unwrap().expose().replace('\n', "; "));
        (command, undo)
    }

    #[test]
    fn a_card_gets_back_its_name_mtu_and_state() {
        let rename = |link: &Link, system: &MemorySystem| step(link, "ens0", system).unwrap();
        let (command, undo) = scripts("0x1003", rename);
        assert_eq!(command, "link set dev eth0 down; link set dev eth0 name ens0; link set dev ens0 up; ");
        let back = "link set dev ens0 down; link set dev ens0 name eth0; link set dev eth0 mtu 1500";
        assert_eq!(undo, format!("{back} up; "));
        let (command, undo) = scripts("0x1002", rename);
        assert_eq!(command, "link set dev eth0 name ens0; ");
        assert_eq!(undo, format!("{back} down; "));
        let keep = |link: &Link, system: &MemorySystem| keep_step(link, system).unwrap();
        let (command, undo) = scripts("0x1002", keep);
        assert_eq!((command.as_str(), undo), ("link set dev eth0 mtu 1500 down; ", command.clone()));
    }
}
