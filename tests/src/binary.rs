//! The binaries under test, built fresh once for each run of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `cloud-channel` binary beside this test's executable.
///
/// Under cargo it is built first, in the same profile: a test of a package does not build the binaries of others.
///
/// # Panics
/// If there is none, or it cannot be built.
pub fn cloud_channel() -> &'static Path {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // A failure is kept as well: a hundred tests need not build in vain a hundred times.
    let found = BINARY.get_or_init(|| find("cloud-channel"));
    found.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// The `mgmt-sim` binary, as [`cloud_channel()`] is found.
///
/// # Panics
/// If there is none, or it cannot be built.
pub fn mgmt_sim() -> &'static Path {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find("mgmt-sim"));
    found.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// A binary that is named as its package is.
fn find(name: &str) -> Result<PathBuf, String> {
    let own =
        std::env::current_exe().map_err(|error| format!("cannot tell this executable's path: {error}"))?;
    // <target>/<profile>/deps/cases-<hash>
    let profile = own.ancestors().nth(2).ok_or("expected the tests in <target>/<profile>/deps")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(name, Path::new(&cargo), profile)?;
    }
    let binary = profile.join(name);
    if binary.exists() {
        Ok(binary)
    } else {
        Err(format!("`{}` is not there: run `cargo build -p {name}` first", binary.display()))
    }
}

fn build(name: &str, cargo: &Path, profile: &Path) -> Result<(), String> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", name, "--bin", name, "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    command.arg("--target-dir").arg(profile.parent().ok_or("expected a target folder above the profile's")?);
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => {
            command.args(["--profile", name]);
        }
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cannot build {name}: {command:?} ended with {status}")),
        Err(error) => Err(format!("cannot start {command:?}: {error}")),
    }
}
