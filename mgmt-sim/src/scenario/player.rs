//! Plays a scenario: one step after the other, each within its time, nothing waited for that does not come.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cloud_channel_protocol::{InstanceId, MessageId, Publication};
use tokio::time::{Instant, timeout_at};

use super::action::{Action, Direction};
use super::inbox::Inbox;
use super::link::Link;
use super::outcome::{Failure, Outcome, StepOutcome};
use super::parse::ScenarioError;
use super::span::Span;
use super::{Scenario, Step};
use crate::clock::Clock;
use crate::notice::Notice;

/// Replies that are remembered; a scenario asks for each right after its message.
const REPLIES: usize = 1_024;

/// The state of a play.
pub(super) struct Player<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) link: &'a mut Link,
    pub(super) instance: Option<InstanceId>,
    pub(super) inbox: Inbox,
    pub(super) replies: HashMap<MessageId, Result<(), String>>,
    /// The last message sent, and the last push.
    pub(super) last_id: Option<MessageId>,
    pub(super) last_push: Option<Publication>,
    pub(super) ready: bool,
    /// Open connections, those that we have cut aside.
    pub(super) lines: HashSet<String>,
    /// The last thing that was said about the link.
    remark: Option<String>,
    clock: Clock,
}

/// Why a step does not go on.
pub(super) enum Stopped {
    /// The other side did not do what is expected.
    Failed(Failure),
    /// The scenario asks for what cannot be done.
    Scenario(String),
}

impl From<super::link::Ended> for Stopped {
    fn from(ended: super::link::Ended) -> Self {
        Self::Failed(Failure { expected: "a link".to_owned(), came: vec![ended.to_string()] })
    }
}

/// Plays a scenario over a link. `told` hears of each step as it ends. A step that fails is the last.
///
/// # Errors
/// If the scenario asks for what cannot be done, such as a variable without a value or a file that is not there.
pub async fn play(
    scenario: &Scenario,
    link: &mut Link,
    instance: Option<InstanceId>,
    told: &mut dyn FnMut(&StepOutcome),
) -> Result<Outcome, ScenarioError> {
    let begun = Instant::now();
    let direction = link.direction();
    let mut player = Player {
        scenario,
        link,
        instance,
        inbox: Inbox::default(),
        replies: HashMap::new(),
        last_id: None,
        last_push: None,
        ready: false,
        lines: HashSet::new(),
        remark: None,
        clock: Clock::start(),
    };
    let mut outcome = Outcome { played: Vec::new(), skipped: Vec::new(), took: Duration::ZERO };
    for step in &scenario.steps {
        if !outcome.is_success() || step.only.is_some_and(|only| only != direction) {
            outcome.skipped.push((step.title.clone(), step.line));
            continue;
        }
        let played = player.play(step).await?;
        told(&played);
        outcome.played.push(played);
    }
    outcome.took = begun.elapsed();
    Ok(outcome)
}

impl Player<'_> {
    async fn play(&mut self, step: &Step) -> Result<StepOutcome, ScenarioError> {
        let begun = Instant::now();
        let stopped = match self.fill(step) {
            Ok(action) => self.act(action).await,
            Err(text) => Err(Stopped::Scenario(text)),
        };
        let failure = match stopped {
            Ok(()) => None,
            Err(Stopped::Failed(failure)) => Some(failure),
            Err(Stopped::Scenario(text)) => return Err(self.scenario.error(step.line, text)),
        };
        Ok(StepOutcome { title: step.title.clone(), line: step.line, took: begun.elapsed(), failure })
    }

    /// The step's action with the values of its variables.
    fn fill(&self, step: &Step) -> Result<Action, String> {
        let mut action = step.action.clone();
        let instance = self.instance.as_ref().map(InstanceId::as_str);
        let last_id = self.last_id.as_ref().map(MessageId::text);
        let mut failed = None;
        action.visit_texts(
            &mut |text| match self.scenario.variables.fill(text, instance, last_id.as_deref()) {
                Ok(filled) => *text = filled,
                Err(error) => {
                    failed.get_or_insert(error);
                }
            },
        );
        failed.map_or(Ok(action), Err)
    }

    /// When a step's patience ends.
    pub(super) fn deadline(&self, within: Option<Span>) -> Instant {
        Instant::now() + within.unwrap_or(self.scenario.patience).0
    }

    /// Takes in what comes until `found` finds what it looks for; nothing if the time is over first.
    pub(super) async fn until<T>(
        &mut self,
        deadline: Instant,
        mut found: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, Stopped> {
        loop {
            if let Some(found) = found(self) {
                return Ok(Some(found));
            }
            match timeout_at(deadline, self.link.next()).await {
                Ok(Some(notice)) => self.take_in(notice)?,
                Ok(None) => return Err(super::link::Ended.into()),
                Err(_elapsed) => return Ok(None),
            }
        }
    }

    fn take_in(&mut self, notice: Notice) -> Result<(), Stopped> {
        match notice {
            Notice::LineUp { line, .. } => {
                self.lines.insert(line);
            }
            Notice::LineDown { line, reason } => {
                self.lines.remove(&line);
                self.not_ready();
                self.remark = Some(format!("connection {line} is down: {reason}"));
            }
            Notice::Up { .. } => {}
            Notice::Ready { instance } => {
                // The first guest is the one that the scenario is about, unless it names another.
                if self.instance.is_none() {
                    self.instance.clone_from(&instance);
                }
                self.ready |= instance.is_none() || instance == self.instance;
            }
            Notice::Down { instance, reason } => {
                self.ready &= instance.is_some() && instance != self.instance;
                self.remark = Some(format!("the session has ended: {reason}"));
            }
            Notice::Event(publication) => self.inbox.add(publication, self.clock.now().wall),
            Notice::Reply { id, result } => {
                if self.replies.len() == REPLIES {
                    self.replies.clear();
                }
                self.replies.insert(id, result);
            }
            Notice::Remark(text) => self.remark = Some(text),
            Notice::Missed(count) => {
                let came = vec![format!("{count} events came faster than they were read")];
                return Err(Stopped::Failed(Failure { expected: "every event".to_owned(), came }));
            }
        }
        Ok(())
    }

    /// A session that we have dialled goes with its connection, until it is resumed or begun anew. What a guest has
    /// subscribed to waits for it here.
    pub(super) fn not_ready(&mut self) {
        if self.link.direction() == Direction::Connect {
            self.ready = false;
        }
    }

    /// A failure, with how the link stands.
    pub(super) fn failed(&self, expected: impl Into<String>, mut came: Vec<String>) -> Stopped {
        came.extend(self.remark.clone());
        Stopped::Failed(Failure { expected: expected.into(), came })
    }
}
