//! Bayeux clients and servers of other makes, as they come from their registries: which there are, whether they are
//! installed, and how they are started.
//!
//! `make clients` installs them below `tests/clients`. Where they are not, their tests pass without having tested
//! anything and say so; with [`REQUIRED`] in the environment they fail instead.

use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::driver::Driver;
use crate::sandbox::Sandbox;
use crate::say;
use crate::stream::Address;

/// `CLOUD_CHANNEL_CLIENTS=required`: a client that is not installed is a failure.
pub const REQUIRED: &str = "CLOUD_CHANNEL_CLIENTS";

/// How long a server holds a connect unless a test says otherwise: a busy machine's guest must not lose its session.
pub const HOLD: Duration = Duration::from_secs(5);

/// Who made a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// The CometD JavaScript client on Node.
    CometD,
    /// Faye's client on Node.
    Faye,
    /// aiocometd-ng, for Python.
    Aiocometd,
}

/// How a client is told to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Over a WebSocket. Faye's and aiocometd shake hands over long-polling even then.
    WebSocket,
    /// Over long-polling alone.
    LongPolling,
}

/// A client to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Whose.
    pub make: Make,
    /// Over what.
    pub transport: Transport,
}

/// Who made a management server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerMake {
    /// cometd-nodejs-server, which serves long-polling alone.
    CometD,
    /// Faye's server.
    Faye,
}

/// A client that runs.
#[derive(Debug)]
pub struct Client {
    /// Its script.
    pub driver: Driver,
}

/// A server that runs.
#[derive(Debug)]
pub struct ForeignServer {
    /// Its script.
    pub driver: Driver,
    address: String,
}

impl Kind {
    /// True if it is installed; says what is not.
    ///
    /// # Panics
    /// If it is not and has to be.
    #[must_use]
    pub fn is_installed(self) -> bool {
        is_installed(self.make == Make::Aiocometd)
    }

    /// Starts one against a daemon's TCP port.
    #[must_use]
    pub fn start(self, address: &Address, sandbox: &Sandbox) -> Client {
        self.start_with(&[], address, sandbox)
    }

    /// Starts one with extensions. `token=TOKEN`, shown in the handshake, is for all, `replay` for CometD's and
    /// aiocometd; others CometD's client alone has.
    #[must_use]
    pub fn start_with(self, extensions: &[&str], address: &Address, sandbox: &Sandbox) -> Client {
        let Address::Tcp(address) = address else { panic!("no foreign client reaches {address:?}") };
        let transport = match self.transport {
            Transport::WebSocket => "websocket",
            Transport::LongPolling => "long-polling",
        };
        let mut command = match self.make {
            Make::CometD => node("cometd.mjs"),
            Make::Faye => node("faye.mjs"),
            Make::Aiocometd => python("aiocometd_driver.py"),
        };
        command.arg(format!("http://{address}/events")).arg(transport).args(extensions);
        Client { driver: Driver::start(&format!("{:?} {transport}", self.make), command, sandbox) }
    }

    /// Starts one and begins a session.
    pub async fn join(self, address: &Address, sandbox: &Sandbox) -> Client {
        let mut client = self.start(address, sandbox);
        client.open().await;
        client
    }
}

impl Client {
    /// Begins a session, which must be granted.
    ///
    /// # Panics
    /// If it is not.
    pub async fn open(&mut self) {
        let answer = self.driver.ask(json!({"do": "open"})).await;
        assert_eq!(answer["successful"], true, "{answer}");
    }

    /// Subscribes and gives what became of it.
    pub async fn ask_subscribe(&mut self, channel: &str) -> Value {
        self.driver.ask(json!({"do": "subscribe", "channel": channel})).await
    }

    /// Subscribes, which must be allowed.
    ///
    /// # Panics
    /// If it is not.
    pub async fn subscribe(&mut self, channel: &str) {
        let answer = self.ask_subscribe(channel).await;
        assert_eq!(answer["successful"], true, "{channel}: {answer}");
    }

    /// Subscribes from a number of the past on and gives what became of it; for one with the extension `replay`.
    pub async fn ask_subscribe_from(&mut self, channel: &str, from: i64) -> Value {
        self.driver.ask(json!({"do": "subscribe", "channel": channel, "from": from})).await
    }

    /// Takes a subscription back.
    ///
    /// # Panics
    /// If it may not.
    pub async fn unsubscribe(&mut self, channel: &str) {
        let answer = self.driver.ask(json!({"do": "unsubscribe", "channel": channel})).await;
        assert_eq!(answer["successful"], true, "{channel}: {answer}");
    }

    /// Publishes and gives what became of it.
    pub async fn ask_publish(&mut self, channel: &str, data: Value) -> Value {
        self.driver.ask(json!({"do": "publish", "channel": channel, "data": data})).await
    }

    /// Publishes, which must be allowed.
    ///
    /// # Panics
    /// If it is not.
    pub async fn publish(&mut self, channel: &str, data: Value) {
        let answer = self.ask_publish(channel, data).await;
        assert_eq!(answer["successful"], true, "{channel}: {answer}");
    }

    /// Waits until the application hears something on a channel, and gives it.
    pub async fn hears(&mut self, channel: &str) -> Value {
        self.hears_what(channel, |_| true).await
    }

    /// Waits until the application hears something that fits on a channel, and gives it.
    pub async fn hears_what(&mut self, channel: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let event = |line: &Value| line["event"]["channel"] == channel && wanted(&line["event"]["data"]);
        let line = self.driver.line(&format!("an event on {channel}"), event).await;
        line["event"]["data"].clone()
    }

    /// Waits for a message as it came over the wire, after so many lines.
    pub async fn received(&mut self, mark: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let line = self.driver.line_since(mark, what, |line| wanted(&line["in"])).await;
        line["in"].clone()
    }

    /// Every message so far as it came over the wire, in order.
    pub fn wire(&self) -> impl Iterator<Item = &Value> {
        self.driver.told().iter().filter_map(|line| line.get("in"))
    }

    /// Every event on a channel so far as it came over the wire. What has no `successful` is an event.
    #[must_use]
    pub fn events_on(&self, channel: &str) -> Vec<&Value> {
        let event = |message: &&Value| message["channel"] == channel && message.get("successful").is_none();
        self.wire().filter(event).collect()
    }

    /// Leaves.
    ///
    /// # Panics
    /// If it may not.
    pub async fn leave(mut self) {
        let answer = self.driver.ask(json!({"do": "close"})).await;
        assert_eq!(answer["successful"], true, "{answer}");
    }
}

impl ServerMake {
    /// True if it is installed; says what is not.
    ///
    /// # Panics
    /// If it is not and has to be.
    #[must_use]
    pub fn is_installed(self) -> bool {
        is_installed(false)
    }

    /// Starts one on a free port of the loopback.
    pub async fn start(self, sandbox: &Sandbox) -> ForeignServer {
        self.start_at(0, HOLD, sandbox).await
    }

    /// Starts one on a port of the loopback, which holds a connect for a time. Its sessions live as long without one,
    /// or twice as long.
    ///
    /// # Panics
    /// If the port is taken.
    pub async fn start_at(self, port: u16, hold: Duration, sandbox: &Sandbox) -> ForeignServer {
        let script = match self {
            Self::CometD => "cometd-server.mjs",
            Self::Faye => "faye-server.mjs",
        };
        let mut command = node(script);
        command.arg(port.to_string()).arg(hold.as_millis().to_string());
        let mut driver = Driver::start(script, command, sandbox);
        let line = driver.line("the server to listen", |line| line.get("listening").is_some()).await;
        ForeignServer { address: format!("127.0.0.1:{}", line["listening"]), driver }
    }
}

impl ForeignServer {
    /// Its port, to come back at.
    ///
    /// # Panics
    /// Never: it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("its address ends with a port")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::Tcp(self.address.clone())
    }

    /// Waits until a guest has subscribed to a channel, told after so many lines.
    pub async fn subscribed(&mut self, mark: usize, channel: &str) {
        let what = format!("a subscription to {channel}");
        self.driver.line_since(mark, &what, |line| line["subscribed"] == channel).await;
    }

    /// Publishes to guests; `message` has a `channel`, `data`, and perhaps an `ext`.
    ///
    /// # Panics
    /// If the server does not do it.
    pub async fn publish(&mut self, mut message: Value) {
        message["do"] = "publish".into();
        let answer = self.driver.ask(message).await;
        assert_eq!(answer["successful"], true, "{answer}");
    }

    /// Waits for a guest's message that fits.
    pub async fn published(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let line = self.driver.line(what, |line| wanted(&line["published"])).await;
        line["published"].clone()
    }

    /// Every message of a guest so far.
    pub fn all_published(&self) -> impl Iterator<Item = &Value> {
        self.driver.told().iter().filter_map(|line| line.get("published"))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join(script)).current_dir(folder());
    command
}

fn python(script: &str) -> Command {
    let mut command = Command::new(folder().join(".venv/bin/python"));
    command.arg(folder().join(script)).current_dir(folder());
    command
}

/// Looks once for each language.
fn is_installed(python: bool) -> bool {
    static NODE: OnceLock<Result<(), String>> = OnceLock::new();
    static PYTHON: OnceLock<Result<(), String>> = OnceLock::new();
    let found = if python { PYTHON.get_or_init(find_python) } else { NODE.get_or_init(find_node) };
    let Err(absent) = found else { return true };
    let text = format!("{absent}: install the clients by `make clients`");
    assert!(std::env::var_os(REQUIRED).is_none_or(|value| value != "required"), "{text}");
    say(&format!("nothing is tested here, {text}"));
    false
}

fn find_node() -> Result<(), String> {
    if !runs(StdCommand::new("node").arg("--version")) {
        return Err("`node` is not there or does not run".to_owned());
    }
    // npm writes this file last.
    let installed = folder().join("node_modules/.package-lock.json");
    if installed.exists() { Ok(()) } else { Err(format!("`{}` is not there", installed.display())) }
}

fn find_python() -> Result<(), String> {
    let interpreter = folder().join(".venv/bin/python");
    if runs(StdCommand::new(&interpreter).args(["-c", "import aiocometd_ng"])) {
        return Ok(());
    }
    Err(format!("`{}` with the module aiocometd_ng is not there", interpreter.display()))
}

fn runs(command: &mut StdCommand) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
