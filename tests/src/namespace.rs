//! A network namespace: this machine's kernel with a network of its own, and cards in it that the test plugs. A card is
//! a veth, as it is in a container.
//!
//! Where none can be made, tests pass without having tested anything and say so; with [`REQUIRED`] in the environment
//! they fail instead.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::say;

/// `CLOUD_CHANNEL_NAMESPACES=required`: a namespace that cannot be made is a failure.
pub const REQUIRED: &str = "CLOUD_CHANNEL_NAMESPACES";

/// What the namespace begins with: its own sysfs, and a place for the daemon's journal.
const SET_UP: &str =
    "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /var/lib && echo ready && exec sleep infinity";

/// The namespace, as long as this is kept.
#[derive(Debug)]
pub struct Namespace {
    /// A process that does nothing but be in it.
    holder: Child,
}

impl Namespace {
    /// Makes one. None, with a printed reason, where that is not possible.
    ///
    /// # Panics
    /// If it is not possible and has to be.
    #[must_use]
    pub fn make() -> Option<Self> {
        let skipped = |reason: &str| {
            let text = format!("{reason} (it takes root, unshare(1), nsenter(1) and ip(8))");
            assert!(std::env::var_os(REQUIRED).is_none_or(|value| value != "required"), "{text}");
            say(&format!("nothing is tested here: {text}"));
            None
        };
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", SET_UP]).stdin(Stdio::null()).stdout(Stdio::piped());
        let Ok(mut holder) = command.spawn() else { return skipped("there is no unshare(1)") };
        let mut line = String::new();
        let output = holder.stdout.take().map(BufReader::new);
        let is_read = output.is_some_and(|mut output| output.read_line(&mut line).is_ok());
        let namespace = Self { holder };
        if !is_read || line != "ready\n" {
            return skipped("no namespace can be made");
        }
        let asked = namespace.command("ip").args(["link", "show"]).stdout(Stdio::null()).status();
        if asked.is_ok_and(|status| status.success()) {
            Some(namespace)
        } else {
            skipped("there is no ip(8)")
        }
    }

    /// What a command line has to begin with to be in the namespace.
    #[must_use]
    pub fn enter(&self) -> Vec<OsString> {
        let target = self.holder.id().to_string();
        ["nsenter", "--target", &target, "--net", "--mount"].map(OsString::from).to_vec()
    }

    /// Runs lines of ip(8), all at once.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn ip(&self, lines: &[String]) {
        let mut command = self.command("ip");
        let mut child = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip(8) starts");
        let mut input = child.stdin.take().expect("it has an input");
        input
            .write_all(lines.join("\n").as_bytes())
            .and_then(|()| input.write_all(b"\n"))
            .expect("ip(8) reads");
        drop(input);
        let status = child.wait().expect("a child can be waited for");
        assert!(status.success(), "ip(8) ended with {status} at {lines:?}");
    }

    /// Writes a file as it is seen in the namespace.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.command("tee");
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("tee(1) starts");
        let written = child.stdin.take().expect("it has an input").write_all(text.as_bytes());
        written.expect("tee(1) reads");
        assert!(child.wait().expect("a child can be waited for").success(), "cannot write {path}");
    }

    fn command(&self, program: &str) -> Command {
        let enter = self.enter();
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg(program).stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing left to do.
        let _gone = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
