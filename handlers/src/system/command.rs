//! Runs one command to its end: bounded in time and output, and its input never comes out again.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::AsFd;
use rustix::process::{Pid, Signal};

use super::{Invocation, tree::told};

/// What a command may write on standard output; the longest that is wanted is a list of links.
const MOST_OUTPUT: usize = 256 * 1024;

/// How much of a failed command's output an error text shows.
const SHOWN: usize = 4 * 1024;

/// Kept for the error text. More than is shown, so that a secret is found that crosses the cut.
const KEPT: usize = 2 * SHOWN;

/// How long to wait for a pipe before looking whether the command has ended.
const TURN: Duration = Duration::from_millis(10);

/// Runs the command and gives back its standard output.
pub(super) fn run(invocation: &Invocation) -> io::Result<String> {
    let mut child = start(invocation)?;
    let mut pipes = Pipes::of(&mut child, invocation)?;
    let ended = wait(&mut child, &mut pipes, Instant::now() + invocation.deadline);
    if ended.is_err() {
        stop(&mut child);
    }
    let name = described(invocation);
    match ended {
        Err(Unfinished::Late) => {
            let text = format!(
                "`{name}` did not end within {:?}{}",
                invocation.deadline,
                pipes.complaint(invocation)
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
        Err(Unfinished::TooLong) => {
            Err(io::Error::other(format!("`{name}` wrote more than {MOST_OUTPUT} bytes")))
        }
        Err(Unfinished::Broken(error)) => {
            Err(io::Error::new(error.kind(), format!("cannot run `{name}`: {}", told(&error))))
        }
        Ok(status) if status.success() => Ok(String::from_utf8_lossy(&pipes.output).into_owned()),
        Ok(status) => {
            Err(io::Error::other(format!("`{name}` failed with {status}{}", pipes.complaint(invocation))))
        }
    }
}

fn described(invocation: &Invocation) -> String {
    std::iter::once(&*invocation.program)
        .chain(invocation.args.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ")
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts commands")]
fn start(invocation: &Invocation) -> io::Result<Child> {
    let program = &*invocation.program;
    if !program.starts_with('/') {
        let text = format!("cannot run `{program}`: expected an absolute path");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Command::new(program)
        .args(&invocation.args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        // Its own group, so that its children end with it.
        .process_group(0)
        .stdin(if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start `{program}`: {}", told(&error))))
}

/// Why there is no exit status.
enum Unfinished {
    Late,
    TooLong,
    Broken(io::Error),
}

impl From<io::Error> for Unfinished {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

fn wait(child: &mut Child, pipes: &mut Pipes, deadline: Instant) -> Result<ExitStatus, Unfinished> {
    loop {
        pipes.wait(TURN)?;
        // Asked before the last look at the pipes: what a command wrote before it ended is in them by then.
        let status = child.try_wait()?;
        pipes.pump()?;
        if pipes.output.len() > MOST_OUTPUT {
            return Err(Unfinished::TooLong);
        }
        if let Some(status) = status {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            return Err(Unfinished::Late);
        }
    }
}

/// Ends the command and all of its group, and takes its exit status so that no zombie stays.
fn stop(child: &mut Child) {
    // Fails only if the whole group has ended already.
    let _ended_already = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
    // Fails only if the status was taken already.
    let _taken_already = child.wait();
}

/// Our ends of the command's pipes, none of which ever blocks.
struct Pipes {
    stdin: Option<ChildStdin>,
    unwritten: Vec<u8>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    output: Vec<u8>,
    complaints: Vec<u8>,
}

impl Pipes {
    fn of(child: &mut Child, invocation: &Invocation) -> io::Result<Self> {
        let pipes = Self {
            stdin: child.stdin.take(),
            unwritten: invocation.stdin.as_ref().map_or_else(Vec::new, |text| text.expose().into()),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            output: Vec::new(),
            complaints: Vec::new(),
        };
        let fds = [
            pipes.stdin.as_ref().map(AsFd::as_fd),
            pipes.stdout.as_ref().map(AsFd::as_fd),
            pipes.stderr.as_ref().map(AsFd::as_fd),
        ];
        if let Err(error) = fds.into_iter().flatten().try_for_each(|fd| rustix::io::ioctl_fionbio(fd, true)) {
            stop(child);
            return Err(error.into());
        }
        Ok(pipes)
    }

    /// Waits until a pipe can be read or written; with no pipe open, for the time given.
    fn wait(&self, time: Duration) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3);
        fds.extend(self.stdin.as_ref().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let time = Timespec::try_from(time).expect("ten milliseconds fit");
        match rustix::event::poll(&mut fds, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn pump(&mut self) -> io::Result<()> {
        self.feed()?;
        if drain(self.stdout.as_mut(), &mut self.output, |output| output.len() <= MOST_OUTPUT)? {
            self.stdout = None;
        }
        let keep_end = |kept: &mut Vec<u8>| {
            let excess = kept.len().saturating_sub(KEPT);
            kept.drain(..excess);
            true
        };
        if drain(self.stderr.as_mut(), &mut self.complaints, keep_end)? {
            self.stderr = None;
        }
        Ok(())
    }

    fn feed(&mut self) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        while !self.unwritten.is_empty() {
            match stdin.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It reads no more; its exit status says whether that is a fault.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        // Closing is how the command learns that there is no more.
        self.stdin = None;
        Ok(())
    }

    /// ": " and the end of what the command wrote, unless that holds a part of what it read.
    fn complaint(&self, invocation: &Invocation) -> String {
        let written = if self.complaints.is_empty() { &self.output } else { &self.complaints };
        let text = String::from_utf8_lossy(&written[written.len().saturating_sub(KEPT)..]);
        let secrets = invocation.stdin.iter().flat_map(|stdin| stdin.expose().lines());
        // In each line of `user:password`, both the line and the password.
        let mut parts =
            secrets.flat_map(|line| [line, line.split_once(':').map_or(line, |(_, secret)| secret)]);
        if parts.any(|part| !part.is_empty() && text.contains(part)) {
            return "; its output is not shown, because it holds a part of its input".into();
        }
        let mut start = text.len().saturating_sub(SHOWN);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let lines: Vec<&str> = text[start..].lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let told: String = lines.join(" / ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if told.is_empty() { ", without a word".into() } else { format!(": {told}") }
    }
}

/// Reads what there is. True if the pipe has ended.
fn drain(
    pipe: Option<&mut impl Read>,
    into: &mut Vec<u8>,
    mut go_on: impl FnMut(&mut Vec<u8>) -> bool,
) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = [0; 4096];
    // A writer that never stops must not keep us from the clock.
    for _ in 0..256 {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(read) => {
                into.extend_from_slice(&buffer[..read]);
                if !go_on(into) {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn shell(script: &str, stdin: Option<&str>) -> Invocation {
        Invocation {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            stdin: stdin.map(Secret::new),
            deadline: Duration::from_secs(30),
            subjects: Vec::new(),
        }
    }

    fn failure(invocation: &Invocation) -> String {
        run(invocation).unwrap_err().to_string()
    }

    #[test]
    fn gives_back_what_was_written_and_lets_nothing_in() {
        assert_eq!(run(&shell("cat; echo done >&2", Some("in\n"))).unwrap(), "in\n");
        assert_eq!(run(&shell("cat", None)).unwrap(), "");
        let environment = run(&shell("env | grep -v ^PWD= | grep -v ^_= | sort; pwd", None)).unwrap();
        let lines: Vec<&str> = environment.lines().filter(|line| !line.starts_with("SHLVL=")).collect();
        assert_eq!(lines, ["LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/"]);
    }

    #[test]
    fn large_input_and_output_cross_without_blocking() {
        let large = "0123456789abcde\n".repeat(12_000);
        assert_eq!(run(&shell("cat", Some(&large))).unwrap(), large);
        // One that reads nothing of it.
        assert_eq!(run(&shell("exit 0", Some(&large))).unwrap(), "");
    }

    #[test]
    fn a_child_that_stays_behind_does_not_hold_us() {
        let started = Instant::now();
        assert_eq!(run(&shell("sleep 20 & echo started", None)).unwrap(), "started\n");
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn too_much_output_is_an_error_and_complaints_are_not() {
        assert_eq!(failure(&shell("while :; do echo yes; done", None)), {
            "`/bin/sh -c while :; do echo yes; done` wrote more than 262144 bytes"
        });
        let loud = "i=0; while [ $i -lt 9000 ]; do echo 0123456789abcdef >&2; i=$((i+1)); done; echo end >&2; exit 3";
        let text = failure(&shell(loud, None));
        assert!(text.contains("failed with exit status: 3: ") && text.ends_with(" / end"), "{text}");
        assert!(text.len() < 3 * SHOWN, "{}", text.len());
    }

    #[test]
    fn failures_say_which_command_and_what_it_said() {
        assert_eq!(
            failure(&shell("echo first >&2; printf 'bell\\007' >&2; exit 2", None)),
            "`/bin/sh -c echo first >&2; printf 'bell\\007' >&2; exit 2` failed with exit status: 2: first / bell "
        );
        assert_eq!(
            failure(&shell("exit 1", None)),
            "`/bin/sh -c exit 1` failed with exit status: 1, without a word"
        );
        let nothing = Invocation { program: "/no/such".into(), ..shell("", None) };
        assert_eq!(failure(&nothing), "cannot start `/no/such`: no such file or directory");
        let relative = Invocation { program: "sh".into(), ..shell("", None) };
        assert_eq!(failure(&relative), "cannot run `sh`: expected an absolute path");
    }

    #[test]
    fn a_secret_that_comes_back_is_not_shown() {
        for script in ["cat >&2; exit 1", "cat; exit 1", "cut -d: -f2 >&2; exit 1"] {
            let text = failure(&shell(script, Some("root:hunter2\nuser:geheim\n")));
            assert!(
                text.ends_with("its output is not shown, because it holds a part of its input"),
                "{text}"
            );
            assert!(!text.contains("hunter2") && !text.contains("geheim"), "{text}");
        }
    }

    #[test]
    fn the_deadline_ends_the_command_and_its_children() {
        let started = Instant::now();
        let script = "sleep 1000 & echo $! >&2; echo started >&2; wait";
        let late = Invocation { deadline: Duration::from_millis(300), ..shell(script, None) };
        let text = failure(&late);
        assert!(started.elapsed() < Duration::from_secs(20));
        let (_, said) = text.split_once("did not end within 300ms: ").unwrap();
        let child: i32 = said.split(' ').next().unwrap().parse().unwrap();
        let child = Pid::from_raw(child).unwrap();
        // It may be a zombie for a moment, until whoever adopted it takes its status.
        let end = Instant::now() + Duration::from_secs(20);
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(Instant::now() < end, "the command's child still runs");
            std::thread::yield_now();
        }
    }
}
