//! The real daemon as a process: found or built, started, ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::machine::Machine;
use crate::commands::complain;

const PROGRAM: &str = "cloud-channel";
/// How long the daemon may take to end well.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// The program to run: as given, else the one beside our own, which cargo builds first if it runs us.
pub(super) fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let (program, advice) = match given {
        Some(given) => (given.to_owned(), "give --guest the path of a program"),
        None => {
            let own = std::env::current_exe().context("cannot tell where this program is")?;
            if let Some(cargo) = std::env::var_os("CARGO") {
                build(Path::new(&cargo), &own)?;
            }
            (own.with_file_name(PROGRAM), "build it (cargo build -p cloud-channel), or give --guest PATH")
        }
    };
    ensure!(program.is_file(), "`{}` is not there: {advice}", program.display());
    // Relative to where we are now, whatever folder the process is started in.
    std::path::absolute(&program).with_context(|| format!("cannot resolve `{}`", program.display()))
}

/// Builds the daemon into the folder where cargo has put us, with the same profile.
fn build(cargo: &Path, own: &Path) -> anyhow::Result<()> {
    let folder = own.parent().context("this program lies in no folder")?;
    let profile =
        folder.file_name().and_then(|name| name.to_str()).context("this program lies in no folder")?;
    let target = folder.parent().context("this program lies in no target folder")?;
    complain("building cloud-channel (the first time takes a while) …");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", PROGRAM, "--bin", PROGRAM])
        .arg("--target-dir")
        .arg(target);
    // The folder of the profile `dev` is called `debug`.
    command.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
        command.arg("--manifest-path").arg(Path::new(&package).join("Cargo.toml"));
    }
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot run `{}`", cargo.display()))?;
    ensure!(status.success(), "cargo could not build cloud-channel ({status})");
    Ok(())
}

/// The daemon at work. If it is dropped, it is killed.
#[derive(Debug)]
pub(super) struct Guest {
    child: Child,
    pid: Pid,
    exited: oneshot::Receiver<()>,
    over: bool,
}

impl Guest {
    /// Starts it in the sandbox, towards a management server.
    pub(super) fn start(program: &Path, machine: &Machine, endpoint: &str) -> anyhow::Result<Self> {
        let path = machine.log();
        let log = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        let mut command = Command::new(program);
        command
            .args(["run", "--dev", "--log-format", "text", "--connect", endpoint, "--root"])
            .arg(machine.root());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot run `{}`", program.display()))?;
        let pid = Pid::from_child(&child);
        let (told, exited) = oneshot::channel();
        // Waits without reaping: until we reap it ourselves, its number cannot be another process's.
        std::thread::Builder::new().name("guest-exit".to_owned()).spawn(move || {
            // An error means that there is no such process any more, which is what is waited for.
            let _over = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _unheard = told.send(());
        })?;
        Ok(Self { child, pid, exited, over: false })
    }

    /// Waits until it has ended by itself, which it should not; says how.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        // The thread tells, or is gone: either way there is nothing more to wait for.
        let _told_or_gone = (&mut self.exited).await;
        match self.reap() {
            Ok(status) => anyhow::anyhow!("the daemon has ended by itself ({status})"),
            Err(error) => error.context("the daemon has ended by itself"),
        }
    }

    /// Asks it to end, and waits for that.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if self.over {
            return Ok(());
        }
        kill_process(self.pid, Signal::TERM).context("cannot ask the daemon to end")?;
        if timeout(STOP_DEADLINE, &mut self.exited).await.is_err() {
            self.child.kill().context("cannot kill the daemon")?;
            self.reap()?;
            bail!("the daemon did not end within {} s of SIGTERM", STOP_DEADLINE.as_secs());
        }
        let status = self.reap()?;
        ensure!(status.success(), "the daemon ended badly ({status})");
        Ok(())
    }

    fn reap(&mut self) -> anyhow::Result<ExitStatus> {
        self.over = true;
        self.child.wait().context("cannot wait for the daemon")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.over {
            // It may have ended already, and there is nobody to tell.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The last lines of a log.
pub(super) fn log_tail(log: &Path, lines: usize) -> String {
    match std::fs::read_to_string(log) {
        Ok(text) => {
            let skipped = text.lines().count().saturating_sub(lines);
            text.lines().skip(skipped).map(|line| format!("  {line}\n")).collect()
        }
        Err(error) => format!("  (cannot be read: {error})"),
    }
}
