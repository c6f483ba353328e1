//! A fault or a stop at every effect of a push.

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{Held, Outcome, apply, put_back};

use crate::machine::{HASHES, MIXED, SHADOW, line_of, machine, planned, push, sandbox, shadow};

/// How many effects a push has when nothing goes wrong.
fn effects(make: fn() -> MemorySystem, payload: &str) -> usize {
    let system = make();
    push(&system, &Held::nothing(), payload);
    system.effects()
}

#[test]
fn a_fault_at_any_effect_ends_in_exactly_the_old_file() {
    for make in [machine, sandbox] {
        for payload in [HASHES, MIXED] {
            for at in 1..=effects(make, payload) {
                for late in [false, true] {
                    let system = make();
                    if late {
                        system.fail_late_at(at);
                    } else {
                        system.fail_at(at);
                    }
                    let plan = planned(&system, &Held::nothing(), payload).unwrap();
                    let outcome = apply(&plan, &plan.preimage(None), &system);
                    let Outcome::Failed { undone, .. } = &outcome else { panic!("{at}: {outcome}") };
                    assert_eq!(*undone, Ok(Vec::new()), "{at}, late {late}");
                    assert_eq!(system.files()["/etc/shadow"], shadow(), "{at}, late {late}");
                }
            }
        }
    }
}

#[test]
fn a_stop_after_any_effect_ends_in_the_new_state_once_tried_again() {
    for make in [machine, sandbox] {
        for payload in [HASHES, MIXED] {
            for (at, put_back_first) in (0..=effects(make, payload)).flat_map(|at| [(at, false), (at, true)])
            {
                let system = make();
                let plan = planned(&system, &Held::nothing(), payload).unwrap();
                let preimage = plan.preimage(None);
                system.stop_after(at);
                drop(apply(&plan, &preimage, &system));
                system.restart();

                if put_back_first {
                    assert_eq!(put_back(&preimage, &system), Ok(()));
                    assert_eq!(system.files()["/etc/shadow"], shadow(), "{at}");
                }
                let plan = planned(&system, &Held::nothing(), payload).unwrap();
                let outcome = apply(&plan, &plan.preimage(Some(&preimage)), &system);
                assert!(matches!(outcome, Outcome::Done { .. }), "{at}: {outcome}");
                for name in ["root", "alice"] {
                    let line = line_of(&system, name);
                    assert!(!SHADOW.contains(&line) && line.contains(":0:0:99999:7:::"), "{at}: {line}");
                }
            }
        }
    }
}

#[test]
fn a_second_failure_after_a_stop_still_ends_in_the_old_file() {
    let system = machine();
    let plan = planned(&system, &Held::nothing(), MIXED).unwrap();
    let preimage = plan.preimage(None);
    system.stop_after(2);
    drop(apply(&plan, &preimage, &system));
    system.restart();
    let plan = planned(&system, &Held::nothing(), MIXED).unwrap();
    let preimage = plan.preimage(Some(&preimage));
    system.fail_at(1);
    let outcome = apply(&plan, &preimage, &system);
    assert!(matches!(outcome, Outcome::Failed { undone: Ok(_), .. }), "{outcome}");
    assert_eq!(system.files()["/etc/shadow"], shadow());
}
