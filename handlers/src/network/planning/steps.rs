//! What is done for a draft: its files, the commands that make the machine act on them, and what is looked for afterwards.

use super::draft::Draft;
use super::kept_address;
use super::survey::Survey;
use super::take_over;
use crate::network::activation::Activation;
use crate::network::expectation::{Expectation, ExpectedLink};
use crate::network::machine::known_names::before_the_move;
use crate::network::scene::Scene;
use crate::{Plan, Refusal, Step, System, Verification};

/// Adds what is to be done.
pub(super) fn add_steps(
    plan: &mut Plan,
    draft: Draft,
    survey: Survey,
    system: &dyn System,
) -> Result<(), Refusal> {
    let Draft { files, digests, is_literal, .. } = draft;
    let written = digests.into_iter().map(|(path, digest)| (path, Some(digest)));
    let removed = files.iter().filter(|change| change.after.is_none());
    let expected = written.chain(removed.map(|change| (change.path.clone(), None))).collect();
    let mut expectation = Expectation { files: expected, links: Vec::new() };
    let mut activation = Activation::default();
    let (mut given_back, mut kept) = (Vec::new(), Vec::new());
    // What cloud-init is told is no change of the network.
    let is_network = files.is_empty() || files.iter().any(|change| change.path != take_over::FILE);
    plan.is_trial = !system.is_sandbox() && is_network;
    if plan.is_trial {
        let (mtus, orphans) = (survey.mtus(), survey.orphans());
        let Survey { renderer, links, base, change, .. } = survey;
        let (old, new) = (&change.old, &change.deferral.now.config);
        (given_back, kept) = mtus.give_back(old, new, &links, system)?;
        kept.extend(kept_address::warnings(old, new, &links, renderer.kind()));
        let scene = Scene {
            old,
            new,
            affected: &change.affected,
            files: &files,
            known: &before_the_move(&base.names, new, &links),
            orphans: &orphans,
            links,
            needs_name: &|device| renderer.needs_name(device),
            system,
        };
        activation = renderer.activator(system).plan(&scene)?;
    }
    plan.steps.extend(activation.before);
    plan.steps.extend(files.into_iter().map(Step::File));
    plan.steps.extend(given_back);
    plan.steps.extend(activation.steps);
    plan.warnings.extend(kept.into_iter().chain(activation.warnings));
    expectation.links = activation.links;
    if !is_literal {
        expectation.links = expectation.links.into_iter().map(ExpectedLink::outline).collect();
    }
    plan.steps.push(Step::Verify(Verification::Network(expectation)));
    Ok(())
}
