//! The links that a command is for. A card can be gone by the time its turn comes, and most programs that are given many
//! links then do nothing for any of them: what is left is done for those that are there.
//!
//! Nobody is asked as long as the command succeeds.

use std::collections::BTreeSet;
use std::io;

use super::{Invocation, System};

/// Where the kernel shows its links.
const LINKS: &str = "/sys/class/net";

/// A link that a command is for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subject {
    /// The argument that stands for it, behind all others; none if arguments or input say it already.
    argument: Option<String>,
    /// The link that has to be there; none if the command makes what it is for.
    link: Option<String>,
}

impl Subject {
    /// A link that is an argument, and there.
    #[must_use]
    pub fn link(name: &str) -> Self {
        Self { argument: Some(name.to_owned()), link: Some(name.to_owned()) }
    }

    /// A link that is an argument, and made by the command: on a card, or of nothing.
    #[must_use]
    pub fn made(name: &str, on: Option<&str>) -> Self {
        Self { argument: Some(name.to_owned()), link: on.map(str::to_owned) }
    }

    /// A link that the command speaks of already, and that is there.
    #[must_use]
    pub fn spoken_of(name: &str) -> Self {
        Self { argument: None, link: Some(name.to_owned()) }
    }

    /// The argument.
    #[must_use]
    pub fn argument(&self) -> Option<&str> {
        self.argument.as_deref()
    }

    fn is_gone(&self, present: &BTreeSet<String>) -> bool {
        self.link.as_ref().is_some_and(|link| !present.contains(link))
    }
}

impl Invocation {
    /// The same command for these links.
    #[must_use]
    pub fn with_subjects(self, subjects: Vec<Subject>) -> Self {
        Self { subjects, ..self }
    }

    /// Its arguments with those of all links that it is for.
    pub fn full_args(&self) -> impl Iterator<Item = &str> {
        let subjects = self.subjects.iter().filter_map(Subject::argument);
        self.args.iter().map(String::as_str).chain(subjects)
    }

    /// Runs it. If it fails, and links are gone that stand in its arguments, it runs again without these; if all links
    /// that it is for are gone, its failure means nothing. Gives what was passed over, for people.
    ///
    /// # Errors
    /// As [`System::run`], if it fails for the links that are there.
    pub(crate) fn run_on(&self, system: &dyn System) -> io::Result<Option<String>> {
        let mut command = self.clone();
        let mut gone: Vec<Subject> = Vec::new();
        // Each turn has fewer links than the one before, or is the last.
        while let Err(error) = system.run(&command.told()) {
            let Ok(present) = present(system) else { return Err(error) };
            let lost: Vec<Subject> =
                command.subjects.extract_if(.., |subject| subject.is_gone(&present)).collect();
            let is_shorter = lost.iter().any(|subject| subject.argument.is_some());
            let was_for_others = !lost.is_empty() && command.subjects.is_empty();
            gone.extend(lost);
            if was_for_others {
                break;
            }
            if !is_shorter {
                return Err(error);
            }
        }
        let is_left = !command.subjects.is_empty();
        let names = gone.iter().filter(|subject| !is_left || subject.argument.is_some());
        let names: BTreeSet<&str> = names.filter_map(|subject| subject.link.as_deref()).collect();
        let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
        let note = || format!("`{}` passed over what is gone: {}", self.program, names.join(", "));
        Ok((!names.is_empty()).then(note))
    }

    /// The command as a program is given it.
    fn told(&self) -> Self {
        let args = self.full_args().map(str::to_owned).collect();
        Self { args, subjects: Vec::new(), ..self.clone() }
    }
}

/// The names of all links.
fn present(system: &dyn System) -> io::Result<BTreeSet<String>> {
    match system.network()? {
        Some(network) => Ok(network.links.into_iter().map(|link| link.name).collect()),
        None => Ok(system.list(LINKS)?.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::MemorySystem;
    use super::*;

    fn command(subjects: Vec<Subject>) -> Invocation {
        let args = vec!["do".to_owned()];
        let deadline = Duration::from_secs(1);
        Invocation { program: "/bin/set".into(), args, stdin: None, deadline, subjects }
    }

    /// A machine whose program does what it is told if all of its links are there, but for `bond0`, which it makes.
    fn machine(links: &[&str]) -> MemorySystem {
        let system = MemorySystem::new().with_command("/bin/set", |command, files| {
            let lacks = |link: &&String| {
                *link != "bond0" && !files.contains_key(&format!("/sys/class/net/{link}/mtu"))
            };
            match command.args[1..].iter().find(lacks) {
                Some(link) => Err(format!("no link {link}")),
                None => Ok(String::new()),
            }
        });
        links.iter().fold(system, |system, link| system.with_file(&format!("{LINKS}/{link}/mtu"), "1500\n"))
    }

    fn ran(system: &MemorySystem) -> Vec<String> {
        system.invocations().iter().map(|command| command.args.join(" ")).collect()
    }

    #[test]
    fn what_is_gone_is_passed_over_and_told() {
        let all = || vec![Subject::link("a"), Subject::made("bond0", None), Subject::link("b")];
        let system = machine(&["a", "b"]);
        assert_eq!(command(all()).run_on(&system).unwrap(), None);
        assert_eq!(ran(&system), ["do a bond0 b"]);

        let system = machine(&["b"]);
        let note = command(all()).run_on(&system).unwrap().unwrap();
        assert_eq!(note, "`/bin/set` passed over what is gone: `a`");
        assert_eq!(ran(&system), ["do a bond0 b", "do bond0 b"]);

        let system = machine(&["c"]);
        let on_a = vec![Subject::link("a"), Subject::made("v7", Some("a"))];
        let note = command(on_a).run_on(&system).unwrap().unwrap();
        assert_eq!(note, "`/bin/set` passed over what is gone: `a`");
        assert_eq!(ran(&system), ["do a v7"], "nothing is left to be done");
    }

    #[test]
    fn a_command_that_fails_for_another_reason_fails() {
        let system = machine(&["a"]).with_command("/bin/set", |_, _| Err("no".into()));
        for subjects in [vec![Subject::link("a")], vec![Subject::made("bond0", None)], Vec::new()] {
            let error = command(subjects).run_on(&system).unwrap_err().to_string();
            assert_eq!(error, "`/bin/set` failed: no");
        }
        let blind = machine(&[]).with_kernel(|_, _| Err("no".into()));
        let error = command(vec![Subject::link("a")]).run_on(&blind).unwrap_err().to_string();
        assert_eq!(error, "`/bin/set` failed: no link a", "what cannot be looked at is not taken for gone");
    }

    #[test]
    fn one_of_two_names_is_enough_to_fail() {
        let names = || vec![Subject::spoken_of("old"), Subject::spoken_of("new")];
        let system = machine(&["new"]).with_command("/bin/set", |_, _| Err("no".into()));
        assert!(command(names()).run_on(&system).is_err());
        let system = machine(&["x"]).with_command("/bin/set", |_, _| Err("no".into()));
        let note = command(names()).run_on(&system).unwrap().unwrap();
        assert_eq!(note, "`/bin/set` passed over what is gone: `new`, `old`");
    }
}
