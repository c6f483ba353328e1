//! Scenario files: what is wrong with one is told with its line; the shipped ones are right.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mgmt_sim::scenario::{self, Failure, Outcome, StepOutcome};

#[test]
fn mistakes_are_told_with_their_line() {
    let head = "name: n\ndirection: serve\nsteps:\n";
    for (text, line, told) in [
        ("", 1, "end of input"),
        ("name: n\ndirection: any\n", 2, "missing field"),
        ("name: n\ndirection: up\nsteps: []\n", 2, "up"),
        ("name: n\ndirection: serve\nsteps: []\n", 1, "`steps` is empty"),
        ("name: n\ndirection: serve\nstep: []\n", 3, "step"),
        (&format!("{head}  - wait_for: guest\n  - puhs: {{}}\n"), 5, "puhs"),
        (&format!("{head}  - wait_for: nobody\n"), 4, "nobody"),
        (&format!("{head}  - wait_for: guest\n    cut: {{}}\n"), 4, "exactly one of wait_for"),
        (&format!("{head}  - name: nothing\n"), 4, "exactly one of wait_for"),
        (&format!("{head}  - delay: soon\n"), 4, "`soon` is no time"),
        (&format!("{head}  - cut: {{for: 2h}}\n"), 4, "`2h` is no time"),
        (&format!("{head}  - push: {{module: network}}\n"), 4, "neither `file` nor `data`"),
        (&format!("{head}  - push: {{data: {{}}}}\n"), 4, "no `module`"),
        (&format!("{head}  - push: {{module: m, data: {{}}, file: f}}\n"), 4, "both `file` and `data`"),
        (&format!("{head}  - expect: {{channel: c, count: 0}}\n"), 4, "none: true"),
        (&format!("{head}  - expect: {{channel: c, count: 1, none: true}}\n"), 4, "both `none` and `count`"),
        (&format!("{head}  - garbage: {{send: flowers}}\n"), 4, "flowers"),
        (&format!("{head}  - publish: {{channel: \"${{x}}\", data: 1}}\n"), 4, "`${x}` is unknown"),
        (&format!("{head}  - publish: {{channel: c}}\n"), 4, "data"),
    ] {
        let error = scenario::parse(text, Path::new("s.yaml"), &[]).unwrap_err();
        assert!(error.text.contains(told), "{text}\n{error}");
        assert_eq!(error.line, line, "{text}\n{error}");
        assert!(error.to_string().starts_with(&format!("s.yaml:{line}: ")), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn the_shipped_scenarios_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        scenario::read(&path, &[]).unwrap();
        count += 1;
    }
    assert!(count >= 5, "{count} scenarios");
}

#[test]
fn variables_of_the_command_line_go_first() {
    let text = "name: n\ndirection: any\nvars: {mac: one}\nsteps: [{get: {module: \"${mac}\"}}]\n";
    let given = [("mac".to_owned(), "two".to_owned())];
    let mut expected = scenario::Variables::default();
    expected.set("mac", "two").unwrap();
    assert_eq!(scenario::parse(text, Path::new("s"), &given).unwrap().variables, expected);
}

#[test]
fn passwords_are_in_no_debug_output() {
    let text = "name: n\ndirection: any\nvars: {p: hunter2}\nsteps:\n  - push: {module: m, data: {a: hunter2}}\n  - \
                publish: {channel: c, data: hunter2}\n";
    let scenario = scenario::parse(text, Path::new("s"), &[]).unwrap();
    assert!(!format!("{scenario:?}").contains("hunter2"), "{scenario:?}");
}

#[test]
fn junit_survives_any_text() {
    let failure =
        Failure { expected: "a < b & \"c\"".to_owned(), came: vec!["\u{1b}[31m</failure>".to_owned()] };
    let step = StepOutcome {
        title: "it's <this>".to_owned(),
        line: 7,
        took: Duration::from_millis(1500),
        failure: Some(failure),
    };
    let skipped = vec![("later".to_owned(), 8)];
    let outcome = Outcome { played: vec![step], skipped, took: Duration::from_secs(2) };
    let xml = scenario::to_junit("a & b", Path::new("s.yaml"), &outcome);
    for part in [
        r#"<testsuite name="a &amp; b" tests="2" failures="1" errors="0" skipped="1" time="2.000">"#,
        r#"name="it's &lt;this&gt;" file="s.yaml" line="7" time="1.500">"#,
        r#"message="expected a &lt; b &amp; &quot;c&quot;">"#,
        "\u{fffd}[31m&lt;/failure&gt;</failure>",
        "line=\"8\"><skipped/>",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
}

fn mgmt_sim(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mgmt-sim")).args(arguments).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn the_exit_code_tells_a_mistake_from_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, "name: n\ndirection: serve\nsteps:\n  - wait_for: nobody\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, said) = mgmt_sim(&["run", file, "--listen", "ws://127.0.0.1:0/events"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("bad.yaml:4: "), "{said}");

    std::fs::write(file, "name: n\ndirection: serve\npatience: 50ms\nsteps:\n  - wait_for: guest\n").unwrap();
    assert_eq!(mgmt_sim(&["run", file, "--listen", "ws://127.0.0.1:0/events"]).0, Some(1));
    let (code, said) = mgmt_sim(&["run", file, "--endpoint", "ws://127.0.0.1:1/events", "--instance", "i"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("give --listen URL instead"), "{said}");
    let (code, said) = mgmt_sim(&["serve", "--listen", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("`nowhere` is no endpoint"), "{said}");
}
