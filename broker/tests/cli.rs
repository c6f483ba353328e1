//! The binary answers for itself. What it does as a daemon is tested in `tests/`.

use std::process::Command;

#[test]
fn the_version_is_the_packages() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloud-channel")).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("cloud-channel {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_no_configuration_fault() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloud-channel")).arg("walk").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("walk"));
}
