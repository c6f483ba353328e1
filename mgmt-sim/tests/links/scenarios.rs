//! Scenarios played against the fake guest: how they succeed and how they fail.

use std::path::Path;

use mgmt_sim::scenario::{self, Link, Outcome, ScenarioError};

use crate::fake_guest;
use crate::transports::start;

async fn play(steps: &str) -> Result<Outcome, ScenarioError> {
    let text = format!("name: a test\ndirection: serve\npatience: 5s\nsteps:\n{steps}");
    let scenario = scenario::parse(&text, Path::new("test.yaml"), &[]).unwrap();
    let management = start("ws://127.0.0.1:0/events").await;
    let guest = tokio::spawn(fake_guest::run(management.endpoints()[0].clone()));
    let mut link = Link::Serving(management);
    let outcome = scenario::play(&scenario, &mut link, None, &mut |_| {}).await;
    guest.abort();
    link.stop().await.unwrap();
    outcome
}

#[tokio::test]
async fn a_scenario_that_goes_well() {
    let steps = r#"
  - wait_for: guest
  - push: {module: network, data: {a: 1}}
  - expect:
      channel: modules-config/*
      data: [{event_type: finish, result: SUCCESS, description: {$contains: ran}}]
      ext: {cloudinit: {cause: "${last_id}"}}
  - push: {module: network, data: {fail: "expected better"}, reply: {refused: better}}
  - delay: 50ms
  - push: {module: cc_set_passwords, data: {}, id: again}
  - duplicate: {}
  - expect: {channel: modules-config/cc_set_passwords, data: [{event_type: finish}], count: 2}
  - cut: {for: 50ms}
  - wait_for: guest
  - push: {module: network, data: {b: 2}}
  - expect: {channel: modules-config/network, data: [{result: SUCCESS}], ext: {cloudinit: {cause: "${last_id}"}}}
  - expect: {channel: /cloudinit/i-fake/hotplug/*, none: true, within: 50ms}
  - name: for the other direction only
    only: connect
    get: {module: network}
"#;
    let outcome = play(steps).await.unwrap();
    let failed = outcome.played.iter().find(|step| step.failure.is_some());
    assert!(outcome.is_success(), "{failed:?}");
    assert_eq!(outcome.skipped, [("for the other direction only".to_owned(), 22)]);
}

#[tokio::test]
async fn a_failure_says_what_was_expected_and_what_came() {
    let steps = r#"
  - wait_for: guest
  - push: {module: network, data: {fail: "no such device"}}
  - expect: {channel: modules-config/network, data: [{event_type: finish, result: SUCCESS}], within: 500ms}
  - push: {module: network, data: {}}
"#;
    let outcome = play(steps).await.unwrap();
    assert_eq!((outcome.played.len(), outcome.skipped.len()), (3, 1));
    let step = &outcome.played[2];
    assert_eq!(step.line, 8);
    let failure = step.failure.clone().unwrap();
    assert!(failure.expected.contains("1 on /cloudinit/i-fake/modules-config/network"), "{failure:?}");
    let nearest = &failure.came[0];
    assert!(nearest.contains("no such device"), "{failure:?}");
    assert!(nearest.contains(r#"data[0].result: expected "SUCCESS", got "FAIL""#), "{failure:?}");
    let report = scenario::to_junit("a test", Path::new("test.yaml"), &outcome);
    assert!(report.contains(r#"tests="4" failures="1" errors="0" skipped="1""#), "{report}");
}

#[tokio::test]
async fn an_event_is_expected_once() {
    let steps = r#"
  - wait_for: guest
  - push: {module: network, data: {}}
  - expect: {channel: modules-config/network, data: [{event_type: finish}]}
  - expect: {channel: modules-config/network, data: [{event_type: finish}], within: 200ms}
"#;
    let outcome = play(steps).await.unwrap();
    let failure = outcome.played.last().unwrap().failure.clone().unwrap();
    assert!(failure.came[0].contains("(expected before)"), "{failure:?}");
    let unexpected = play("  - wait_for: guest\n  - push: {module: network, data: {}}\n  - expect: {channel: modules-config/*, none: true, within: 5s}\n").await.unwrap();
    assert!(!unexpected.is_success());
}

#[tokio::test]
async fn what_cannot_be_done_is_a_mistake_in_the_scenario() {
    for (steps, told) in [
        ("  - push: {module: network, data: {}}\n", "test.yaml:5: the guest's instance-id is not known yet"),
        ("  - duplicate: {}\n", "test.yaml:5: there is no push to send again"),
        ("  - wait_for: guest\n  - push: {file: none.json}\n", "test.yaml:6: cannot push `none.json`"),
        (
            "  - wait_for: guest\n  - garbage: {send: huge, error: x}\n",
            "test.yaml:6: `error` cannot be expected",
        ),
        ("  - wait_for: guest\n  - expect: {channel: a/**/b}\n", "test.yaml:6: "),
    ] {
        let error = play(steps).await.unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}
