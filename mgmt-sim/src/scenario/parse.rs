//! From YAML to a scenario; what is wrong is told with its file and line.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::action::{Action, Cut, Direction, Duplicate, Expect, Garbage, Get, Publish, Push, WaitFor};
use super::span::Span;
use super::variables::Variables;
use super::{Scenario, Step};

/// No scenario is longer.
const LONGEST: u64 = 1024 * 1024;
const PATIENCE: Span = Span(Duration::from_secs(10));

/// A scenario that cannot be played as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {text}", .file.display())]
pub struct ScenarioError {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong, and what was expected.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    direction: Direction,
    instance: Option<String>,
    patience: Option<Span>,
    #[serde(default)]
    vars: BTreeMap<String, Spanned<String>>,
    steps: Vec<Spanned<WrittenStep>>,
}

/// One of the actions, and what any step may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    name: Option<String>,
    only: Option<Direction>,
    wait_for: Option<WaitFor>,
    publish: Option<Publish>,
    push: Option<Push>,
    get: Option<Get>,
    expect: Option<Expect>,
    cut: Option<Cut>,
    delay: Option<Span>,
    duplicate: Option<Duplicate>,
    garbage: Option<Garbage>,
}

/// Reads a scenario's file. `given` are the command line's variables; they go before the file's own.
///
/// # Errors
/// If it cannot be read, or says what a scenario does not say.
pub fn read(file: &Path, given: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    let failed = |error: std::io::Error| ScenarioError {
        file: file.to_owned(),
        line: 0,
        text: format!("cannot read the scenario: {error}"),
    };
    let mut text = String::new();
    std::fs::File::open(file).map_err(failed)?.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    parse(&text, file, given)
}

/// The same from text.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, file: &Path, given: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    let wrong = |line: u64, text: String| ScenarioError { file: file.to_owned(), line, text };
    let written: Written = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        wrong(line, plain_message(&error))
    })?;
    let mut variables = Variables::default();
    for (name, value) in &written.vars {
        variables.set(name, &value.value).map_err(|text| wrong(value.referenced.line(), text))?;
    }
    for (name, value) in given {
        variables.set(name, value).map_err(|text| wrong(1, text))?;
    }
    let mut steps = Vec::new();
    for step in written.steps {
        let line = step.referenced.line();
        steps.push(read_step(step.value, line, &variables).map_err(|text| wrong(line, text))?);
    }
    if steps.is_empty() {
        return Err(wrong(1, "`steps` is empty, expected at least one step".to_owned()));
    }
    Ok(Scenario {
        name: written.name,
        direction: written.direction,
        instance: written.instance,
        patience: written.patience.unwrap_or(PATIENCE),
        variables,
        steps,
        file: file.to_owned(),
    })
}

/// The library's message without the source around it: the place is told once, in front.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].trim_start_matches("error: ").to_owned()
}

fn read_step(written: WrittenStep, line: u64, variables: &Variables) -> Result<Step, String> {
    let WrittenStep { name, only, wait_for, publish, push, get, expect, cut, delay, duplicate, garbage } =
        written;
    let actions = [
        wait_for.map(Action::WaitFor),
        publish.map(Action::Publish),
        push.map(Action::Push),
        get.map(Action::Get),
        expect.map(Action::Expect),
        cut.map(Action::Cut),
        delay.map(Action::Delay),
        duplicate.map(Action::Duplicate),
        garbage.map(Action::Garbage),
    ];
    let mut actions = actions.into_iter().flatten();
    let (Some(mut action), None) = (actions.next(), actions.next()) else {
        return Err("expected exactly one of wait_for, publish, push, get, expect, cut, delay, duplicate, garbage in \
                    a step (an empty one is written `cut: {}`)"
            .to_owned());
    };
    check(&action)?;
    let title = name.unwrap_or_else(|| action.title());
    let mut unknown = None;
    action.visit_texts(&mut |text| {
        if let Err(error) = variables.check(text) {
            unknown.get_or_insert(error);
        }
    });
    unknown.map_or(Ok(()), Err)?;
    Ok(Step { line, title, only: only.filter(|only| *only != Direction::Any), action })
}

/// What the types cannot say.
fn check(action: &Action) -> Result<(), String> {
    match action {
        Action::Push(Push { file: Some(_), data: Some(_), .. }) => {
            Err("`push` has both `file` and `data`, expected one of them".to_owned())
        }
        Action::Push(Push { file: None, data: None, .. }) => {
            Err("`push` has neither `file` nor `data`, expected one of them".to_owned())
        }
        Action::Push(Push { module: None, file: None, .. }) => {
            Err("`push` has no `module`, expected one beside inline data".to_owned())
        }
        Action::Expect(Expect { none: true, count: Some(_), .. }) => {
            Err("`expect` has both `none` and `count`, expected one of them".to_owned())
        }
        Action::Expect(Expect { count: Some(0), .. }) => {
            Err("`count: 0` expects nothing, write `none: true`".to_owned())
        }
        _ => Ok(()),
    }
}
