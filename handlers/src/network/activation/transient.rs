//! Commands that leave something behind, a DHCP client above all: as units of their own, where systemd runs the machine.
//!
//! What they start lives on when the daemon ends, or is replaced, and is not held to what the daemon's own unit may do
//! (systemd-run(1), systemd.kill(5)).

use super::{Activation, DBUS_PROGRAMS, await_dbus};
use crate::network::machine::reading::text;
use crate::{Invocation, Step, System};

/// Asks the service manager for a unit.
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// Has a plan run these programs as units, if that can be done here. Their commands stay what they are.
pub(super) fn run_outside(plan: &mut Activation, programs: &[&str], system: &dyn System) {
    if !is_possible(system) {
        return;
    }
    let moved = |command: &mut Invocation| {
        if programs.contains(&&*command.program) {
            *command = as_unit(command);
        }
    };
    let mut any = false;
    for step in plan.before.iter_mut().chain(&mut plan.steps) {
        let before = step.clone();
        match step {
            Step::Run { command, undo } => {
                moved(command);
                undo.as_mut().into_iter().for_each(moved);
            }
            Step::AtUndo(command) => command.command_mut().into_iter().for_each(moved),
            Step::File(_)
            | Step::Regenerate { .. }
            | Step::Await { .. }
            | Step::Show(_)
            | Step::Verify(_) => {}
        }
        any |= *step != before;
    }
    if any {
        plan.before.splice(0..0, await_dbus(system));
    }
}

fn is_possible(system: &dyn System) -> bool {
    let is_systemd = text(system, "/proc/1/comm").is_some_and(|name| name == "systemd");
    let has_dbus = DBUS_PROGRAMS.iter().any(|program| system.has_program(program));
    is_systemd && has_dbus && system.has_program(SYSTEMD_RUN)
}

/// The command with its input, output and exit status, for as long as it may take; what it leaves behind stays.
fn as_unit(command: &Invocation) -> Invocation {
    let longest = format!("--property=RuntimeMaxSec={}", command.deadline.as_secs());
    let options = ["--quiet", "--wait", "--pipe", "--collect", "--property=KillMode=process", &longest, "--"];
    let command_line = std::iter::once(&*command.program).chain(command.args.iter().map(String::as_str));
    let args = options.into_iter().chain(command_line).map(str::to_owned).collect();
    Invocation { program: SYSTEMD_RUN.into(), args, ..command.clone() }
}
