//! Nothing that people or programs can see holds a password or a hash.

use cloud_channel_handlers::{ConfigModule as _, Held, Secret, Step, apply, set_passwords::SetPasswords};
use serde_json::Value;

use crate::machine::{HASHES, MIXED, machine, planned, sandbox};

#[test]
fn no_secret_is_in_anything_that_can_be_seen() {
    let secrets = ["roots.hash", "alices.hash", "correct horse", "$6$old$alice"];
    for make in [machine, sandbox] {
        for payload in [HASHES, MIXED] {
            let system = make();
            let plan = planned(&system, &Held::nothing(), payload).unwrap();
            let preimage = plan.preimage(None);
            system.fail_at(1);
            let failed = apply(&plan, &preimage, &system);
            system.restart();
            let done = apply(&plan, &preimage, &system);
            let described = SetPasswords.describe(&plan.held, &system);
            let held: Value = serde_json::to_value(&plan.held).unwrap();
            let made_up: Vec<Secret> = system.console();
            let mut seen = format!(
                "{plan:?} {} {preimage:?} {failed} {failed:?} {done} {done:?} {described} {system:?} {:?} {held}",
                plan.to_json(),
                system.invocations()
            );
            for step in &plan.steps {
                if let Step::Run { command, .. } = step {
                    seen.push_str(&command.args.join(" "));
                }
            }
            for secret in secrets {
                assert!(!seen.contains(secret), "`{secret}` is in: {seen}");
            }
            for shown in made_up {
                let password = shown.expose().rsplit(':').next().unwrap().to_owned();
                assert!(!seen.contains(&password), "a made-up password is in: {seen}");
            }
        }
    }
}
