//! From a request to a plan: which users have to change, and how this machine does it.

use std::io;

use super::accounts::{Accounts, ShadowLine};
use super::change::{Change, New};
use super::crypt::Method;
use super::expectation::{Expectation, ExpectedPassword, ExpectedUser};
use super::memory::Memory;
use super::payload::{Entry, Password, Request};
use super::random_password::random_password;
use super::steps::{Programs, commands, rewrite, show, touched};
use crate::{Held, Plan, Refusal, Secret, Step, System, Verification};

/// Refuses a request on a machine that lacks the programs for it. A sandbox needs none.
pub(super) fn must_have_programs(request: &Request, system: &dyn System) -> Result<(), Refusal> {
    if system.is_sandbox() { Ok(()) } else { Programs::find(request.expire, system).map(drop) }
}

/// Makes the plan. Every user of the request has to be in `accounts`.
pub(super) fn plan(
    request: &Request,
    accounts: &Accounts,
    held: &Held,
    system: &dyn System,
) -> Result<Plan, Refusal> {
    let mut memory = Memory::of(held);
    let fresh: Vec<&Entry> =
        request.entries.iter().filter(|entry| !memory.knows(entry, request.expire)).collect();
    if fresh.is_empty() {
        return Ok(Plan::nothing(held.clone()));
    }
    let mut changes = Vec::new();
    for entry in fresh {
        memory.learn(entry, request.expire, system).map_err(|error| machine_fault(&error))?;
        let before = accounts.line(entry.name.as_str()).expect("the caller has looked for every user's line");
        changes.extend(change(entry, before, request.expire, system).map_err(|error| machine_fault(&error))?);
    }
    let held = memory.held();
    if changes.is_empty() {
        return Ok(Plan::nothing(held));
    }
    let (mut steps, touches) = if system.is_sandbox() {
        hash_texts(&mut changes, system).map_err(|error| machine_fault(&error))?;
        (
            vec![rewrite(&changes, &accounts.shadow, if request.expire { 0 } else { system.today() })],
            Vec::new(),
        )
    } else {
        (commands(&changes, Programs::find(request.expire, system)?, request.expire), touched(&changes))
    };
    steps.push(Step::Verify(Verification::Passwords(expectation(&changes, request.expire))));
    // Last, so that nobody is shown a password that was not set.
    steps.extend(show(&changes));
    Ok(Plan { steps, touches, ..Plan::nothing(held) })
}

fn machine_fault(error: &io::Error) -> Refusal {
    Refusal::at("chpasswd", "a machine on which passwords can be hashed").hint(error.to_string())
}

fn change(
    entry: &Entry,
    before: ShadowLine,
    expire: bool,
    system: &dyn System,
) -> io::Result<Option<Change>> {
    let mut shown = None;
    let new = match &entry.password {
        Password::Hash(hash) if before.password() == hash.expose() => match (expire, before.is_expired()) {
            (true, true) | (false, false) => return Ok(None),
            (true, false) => None,
            // Setting it again is what takes the expiry back.
            (false, true) => Some(New::Hash(hash.clone())),
        },
        Password::Hash(hash) => Some(New::Hash(hash.clone())),
        Password::Text(text) => Some(New::Text(text.clone())),
        Password::Random => {
            let text = random_password(system)?;
            shown = Some(text.clone());
            Some(New::Text(text))
        }
    };
    Ok(Some(Change { name: entry.name.clone(), before, new, shown }))
}

/// In a sandbox nobody else hashes.
fn hash_texts(changes: &mut [Change], system: &dyn System) -> io::Result<()> {
    let method = Method::of(system)?;
    for change in changes {
        if let Some(New::Text(text)) = &change.new {
            change.new = Some(New::Hash(method.hash(text, system)?));
        }
    }
    Ok(())
}

fn expectation(changes: &[Change], expired: bool) -> Expectation {
    let before = |change: &Change| Secret::new(change.before.password());
    let users = changes.iter().map(|change| ExpectedUser {
        name: change.name.clone(),
        password: match &change.new {
            None => ExpectedPassword::Field(before(change)),
            Some(New::Hash(hash)) => ExpectedPassword::Field(hash.clone()),
            Some(New::Text(text)) => ExpectedPassword::HashOf { text: text.clone(), before: before(change) },
        },
        expired,
    });
    Expectation { users: users.collect() }
}
