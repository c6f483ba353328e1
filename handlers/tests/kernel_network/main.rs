//! A real kernel: in a network namespace that each test makes for itself, by running itself once more within.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod snapshot;
mod verification;

use std::time::Duration;

use cloud_channel_handlers::system::HostSystem;
use cloud_channel_handlers::{Invocation, Secret, System as _};

/// `CLOUD_CHANNEL_NAMESPACES=required`: a namespace that cannot be made is a failure.
const REQUIRED: &str = "CLOUD_CHANNEL_NAMESPACES";

/// Set for the run within the namespace.
const WITHIN: &str = "CLOUD_CHANNEL_TEST_WITHIN_NAMESPACE";

fn run(program: &str, args: &[&str], stdin: Option<&str>) -> Result<String, String> {
    let system = HostSystem::real();
    let folders = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"];
    let mut paths = folders.iter().map(|folder| format!("{folder}{program}"));
    let path =
        paths.find(|path| system.has_program(path)).ok_or_else(|| format!("there is no `{program}`"))?;
    let invocation = Invocation {
        program: path.into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        stdin: stdin.map(Secret::new),
        deadline: Duration::from_secs(120),
        subjects: Vec::new(),
    };
    system.run(&invocation).map_err(|error| error.to_string())
}

fn words(line: &str) -> Result<String, String> {
    run("ip", &line.split(' ').collect::<Vec<_>>(), None)
}

/// Runs `test` of this program in a network namespace of its own. Where that cannot be, says so, or fails if it has to be.
#[expect(clippy::print_stderr, reason = "a skipped check must not look like a passed one")]
fn within_namespace(test: &str, work: fn()) {
    if std::env::var_os(WITHIN).is_some() {
        return work();
    }
    // Without privileges, a user namespace gives those that are needed within.
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let make_link = |way: &&&[&str]| {
        let make = [**way, &["ip", "link", "add", "type", "veth"]].concat();
        run("unshare", &make, None).is_ok()
    };
    let Some(way) = ways.iter().find(make_link) else {
        let text = "no network namespace with links can be made (it takes unshare(1), ip(8), and root or user namespaces)";
        assert!(std::env::var_os(REQUIRED).is_none_or(|value| value != "required"), "{text}");
        eprintln!("nothing is tested here: {text}");
        return;
    };
    let program = std::env::current_exe().unwrap();
    let within = format!("{WITHIN}=yes");
    let again = ["env", &within, program.to_str().unwrap(), "--exact", test, "--nocapture"];
    let output = run("unshare", &[way, again.as_slice()].concat(), None).unwrap();
    assert!(output.contains("1 passed"), "{output}");
}
