//! A case is a folder in `test_data/set_passwords`: `payload.json`, what the machine has (`passwd`, `shadow`,
//! `login.defs`), what was pushed before (`earlier.json`) and what the user did then (`shadow-since`), and what
//! comes of it: `expected-shadow` or `expected-error`. `UPDATE_GOLDEN=1` writes the expected files anew; read the
//! difference before you keep it.

use std::path::{Path, PathBuf};

use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_handlers::{FileState, Held, Outcome, System as _, apply};

use crate::machine::{planned, push};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test_data/set_passwords");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 25, "the cases are missing: {cases:?}");
    cases
}

fn text(case: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(case.join(name)).ok()
}

/// The sandbox of a case, after its earlier push.
fn case_machine(case: &Path) -> (MemorySystem, Held) {
    let mut system = MemorySystem::sandbox();
    for (name, path) in
        [("passwd", "/etc/passwd"), ("shadow", "/etc/shadow"), ("login.defs", "/etc/login.defs")]
    {
        if let Some(content) = text(case, name) {
            system = system.with_file(path, content);
        }
    }
    let held = text(case, "earlier.json").map_or_else(Held::nothing, |earlier| {
        let held = push(&system, &Held::nothing(), &earlier);
        // Since then the user has chosen another.
        if let Some(content) = text(case, "shadow-since") {
            system.write("/etc/shadow", &FileState::of_root(content, 0o640)).unwrap();
        }
        held
    });
    (system, held)
}

#[test]
fn golden_folders() {
    let mut faults = Vec::new();
    for case in cases() {
        let (system, held) = case_machine(&case);
        let payload = text(&case, "payload.json").expect("each case has a payload");
        let before = system.text("/etc/shadow");
        let (file, result) = match planned(&system, &held, &payload) {
            Ok(plan) => {
                let outcome = apply(&plan, &plan.preimage(None), &system);
                assert!(matches!(outcome, Outcome::Done { .. }), "{case:?}: {outcome}");
                let Outcome::Done { held, .. } = outcome else { continue };
                let again = planned(&system, &held, &payload).unwrap();
                assert!(again.is_empty(), "{case:?}: the same push plans something the second time");
                ("expected-shadow", system.text("/etc/shadow").unwrap())
            }
            Err(refusal) => {
                assert_eq!(system.text("/etc/shadow"), before, "{case:?}: a refusal changed something");
                ("expected-error", format!("{refusal}\n"))
            }
        };
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            update(&case, file, &result);
        } else if text(&case, file).as_deref() != Some(result.as_str()) {
            let expected = text(&case, file);
            faults.push(format!("{}/{file}:\nexpected {expected:?}\n     got {result:?}", case.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "writes golden files on request")]
fn update(case: &Path, file: &str, result: &str) {
    for old in ["expected-shadow", "expected-error"] {
        if case.join(old).exists() {
            std::fs::remove_file(case.join(old)).unwrap();
        }
    }
    std::fs::write(case.join(file), result).unwrap();
}
