//! How passwords get into the machine: the machine's own programs, or in a sandbox the file itself.

use std::time::Duration;

use super::accounts::SHADOW;
use super::change::{Change, New};
use crate::colon_file::ColonFile;
use crate::{FileChange, FileState, Invocation, LineState, Refusal, Secret, Step, System};

/// Where the two programs are, in the order of the search.
const CHPASSWD: [&str; 2] = ["/usr/sbin/chpasswd", "/sbin/chpasswd"];
const PASSWD: [&str; 2] = ["/usr/bin/passwd", "/bin/passwd"];

/// Both take well under a second a user; a stuck PAM module must not hold the channel for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// The programs that a real machine needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programs {
    chpasswd: &'static str,
    /// Only asked for where passwords expire.
    passwd: &'static str,
}

impl Programs {
    /// Looks for them.
    pub(super) fn find(expire: bool, system: &dyn System) -> Result<Self, Refusal> {
        let find = |places: [&'static str; 2], place: &str| {
            places.into_iter().find(|path| system.has_program(path)).ok_or_else(|| {
                Refusal::at(place, format!("a machine with the program `{}`", places[0]))
                    .hint("install it (Debian: package `passwd`); nothing was changed")
            })
        };
        let chpasswd = find(CHPASSWD, "chpasswd")?;
        let passwd = if expire { find(PASSWD, "chpasswd.expire")? } else { PASSWD[0] };
        Ok(Self { chpasswd, passwd })
    }
}

/// The real machine's steps: hashes, texts, then expiry. Secrets go in on standard input, where no other user can
/// read them. They have no undo of their own: the lines in [`touched`] are put back.
pub(super) fn commands(changes: &[Change], programs: Programs, expire: bool) -> Vec<Step> {
    let (mut hashes, mut texts) = (String::new(), String::new());
    for change in changes {
        let name = &change.name;
        match &change.new {
            Some(New::Hash(hash)) => hashes.push_str(&format!("{name}:{}\n", hash.expose())),
            Some(New::Text(text)) => texts.push_str(&format!("{name}:{}\n", text.expose())),
            None => {}
        }
    }
    let step = |program: &'static str, args: &[&str], stdin: Option<String>| Step::Run {
        command: Invocation {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            stdin: stdin.map(Secret::new),
            deadline: DEADLINE,
            subjects: Vec::new(),
        },
        undo: None,
    };
    let mut steps = Vec::new();
    if !hashes.is_empty() {
        steps.push(step(programs.chpasswd, &["-e"], Some(hashes)));
    }
    if !texts.is_empty() {
        steps.push(step(programs.chpasswd, &[], Some(texts)));
    }
    if expire {
        steps.extend(
            changes.iter().map(|change| step(programs.passwd, &["--expire", change.name.as_str()], None)),
        );
    }
    steps
}

/// The lines that the commands change.
pub(super) fn touched(changes: &[Change]) -> Vec<LineState> {
    let touch = |change: &Change| LineState {
        path: SHADOW.into(),
        key: change.name.to_string(),
        line: change.before.whole().clone(),
    };
    changes.iter().map(touch).collect()
}

/// The sandbox's one step: the shadow file with the lines that the machine's own programs would have written.
/// Every text has become a hash.
pub(super) fn rewrite(changes: &[Change], shadow: &FileState, day: u64) -> Step {
    let mut lines = ColonFile::new(shadow.content.clone());
    for change in changes {
        let password = match &change.new {
            Some(New::Hash(hash) | New::Text(hash)) => Some(hash),
            None => None,
        };
        lines.replace(change.name.as_str(), change.before.with(password, day).expose());
    }
    Step::File(FileChange {
        path: SHADOW.into(),
        before: Some(shadow.clone()),
        after: Some(FileState { content: lines.into_bytes(), ..shadow.clone() }),
        secret: true,
    })
}

/// Shows what was made up, as cloud-init does, if anything was.
pub(super) fn show(changes: &[Change]) -> Option<Step> {
    let shown = changes.iter().filter_map(|change| Some((&change.name, change.shown.as_ref()?)));
    let lines: Vec<String> = shown.map(|(name, text)| format!("{name}:{}", text.expose())).collect();
    (!lines.is_empty()).then(|| {
        Step::Show(Secret::new(format!("Set the following 'random' passwords\n{}", lines.join("\n"))))
    })
}
