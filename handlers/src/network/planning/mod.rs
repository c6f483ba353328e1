//! From a push to a plan: merge, render, compare, and say what is left to do.

mod base;
mod change;
mod deferral;
mod description;
mod draft;
mod former_mtu;
mod found;
mod kept_address;
mod memory;
mod orphans;
mod outlook;
mod replaced;
mod steps;
mod survey;
mod take_over;
mod wanted;

pub(super) use description::describe;
pub(super) use outlook::outlook;

use serde_json::Value;

use super::document::contradiction;
use crate::{Held, Plan, Refusal, System};
use draft::Draft;
use steps::add_steps;
use survey::Survey;
use wanted::Task;

/// Plans a push.
pub(super) fn plan(held: &Held, payload: &Value, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Push(payload), system)
}

/// Plans what waits and can be done now.
pub(super) fn resume(held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Resume, system)
}

/// Plans the way back to what was wanted before the last change.
pub(super) fn revert(held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
    plan_task(held, &Task::Revert, system)
}

fn plan_task(held: &Held, task: &Task<'_>, system: &dyn System) -> Result<Plan, Refusal> {
    let survey = Survey::take(held, task, system)?;
    let draft = Draft::of(&survey, system)?;
    let Survey { memory, base, wanted, change, .. } = &survey;
    let mut plan = Plan::nothing(Held::nothing());
    change.tell_what_waits(&mut plan, &survey.links);
    if draft.files.is_empty() && memory.as_ref() == Some(&draft.memory) {
        return Ok(Plan { held: held.clone(), ..plan });
    }
    plan.held = draft.memory.clone().into_held();
    plan.warnings.extend(base.warning.iter().chain(wanted.warnings()).cloned());
    plan.warnings.extend(contradiction::warnings(&change.desired.config, &change.pushed, wanted.path()));
    plan.conflicts.clone_from(&survey.rivals);
    if !draft.is_active(memory.as_ref()) {
        add_steps(&mut plan, draft, survey, system)?;
    }
    Ok(plan)
}
