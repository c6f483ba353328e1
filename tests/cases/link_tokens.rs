//! The token that the guest shows where it dials: on each transport over TLS, and another one without a restart.

use std::process::Stdio;

use cloud_channel_tests::binary::mgmt_sim;
use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::patience::{eventually, within};
use cloud_channel_tests::polling::{PollingServer, Request};
use cloud_channel_tests::sandbox::{INSTANCE, Sandbox};
use cloud_channel_tests::tls::{Authority, Front, Validity};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const CONFIG: &str = "etc/cloud-channel/config.yaml";
const TOKEN: &str = "etc/cloud-channel/link-token";

/// A machine that shows a token to servers that this authority vouches for.
fn machine(authority: &Authority) -> Sandbox {
    let sandbox = Sandbox::machine();
    sandbox.write("etc/cloud-channel/ca.pem", &authority.pem());
    sandbox.write(
        CONFIG,
        "dial-tls: {ca: /etc/cloud-channel/ca.pem}\nlink: {token-file: /etc/cloud-channel/link-token}\n",
    );
    sandbox
}

/// `mgmt-sim serve`, as a process. It is killed when this is dropped.
struct Simulator {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Simulator {
    /// At an address of the loopback, demanding the token in a file.
    async fn serve(address: &str, token: &str) -> Self {
        let mut process = Command::new(mgmt_sim())
            .args(["serve", "--format", "json", "--token-file", token, "--listen"])
            .arg(format!("ws://{address}/events"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mgmt-sim can be started");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut simulator = Self { process, lines, address: String::new() };
        let listening = simulator.line("listening").await;
        let url = listening["endpoint"].as_str().expect("an endpoint is text");
        url.split('/').nth(2).expect("a URL has an authority").clone_into(&mut simulator.address);
        simulator
    }

    /// Ends without a word; its address is free then.
    async fn crash(mut self) -> String {
        self.process.kill().await.expect("a process can be killed");
        self.address
    }

    /// The next line of this kind.
    async fn line(&mut self, kind: &str) -> Value {
        let found = async {
            loop {
                let line = self.lines.next_line().await.expect("a line is text").expect("it goes on");
                let line: Value = serde_json::from_str(&line).expect("a line is JSON");
                if line["kind"] == kind {
                    return line;
                }
            }
        };
        within(kind, found).await
    }
}

async fn assert_logged(sandbox: &Sandbox, part: &str) {
    eventually(part, || sandbox.log().contains(part).then_some(())).await;
}

fn assert_secret(sandbox: &Sandbox) {
    for secret in ["first-secret", "second-secret"] {
        assert!(!sandbox.log().contains(secret), "a token is in the log");
    }
}

#[tokio::test]
async fn a_websocket_link_shows_the_token_of_now() {
    let authority = Authority::new();
    let sandbox = machine(&authority);
    let demanded = sandbox.beside("demanded-token");
    std::fs::write(&demanded, "first-secret\n").unwrap();
    let file = demanded.to_str().unwrap();
    let mut simulator = Simulator::serve("127.0.0.1:0", file).await;
    let own = authority.issue(&["localhost"], Validity::Current);
    let front = Front::before(&simulator.address, &own, None).await;
    let url = format!("wss://localhost:{}/events", front.port());

    // No token yet: nobody is dialled. Then a wrong one, and the right one.
    let guest = Launch::on(&sandbox).connect(&url).start().await;
    assert_logged(&sandbox, "cannot read the link's token file").await;
    sandbox.write(TOKEN, "second-secret\n");
    assert_logged(&sandbox, "refuses us with HTTP status 401").await;
    sandbox.write(TOKEN, "first-secret\n");
    assert_eq!(simulator.line("session").await["instance"], INSTANCE);

    // Both sides change it; the guest goes on running.
    std::fs::write(&demanded, "second-secret\n").unwrap();
    sandbox.write(TOKEN, "second-secret\n");
    let address = simulator.crash().await;
    let mut simulator = Simulator::serve(&address, file).await;
    assert_eq!(simulator.line("session").await["instance"], INSTANCE);
    assert_secret(&sandbox);
    guest.stop().await;
}

/// Answers a request as well as a server has to.
fn grant(request: Request) {
    if request.channel() != "/meta/handshake" {
        return request.accept();
    }
    let reply = json!([{"channel": "/meta/handshake", "id": request.messages[0]["id"], "successful": true,
        "version": "1.0", "clientId": "c1", "supportedConnectionTypes": ["long-polling"],
        "advice": {"reconnect": "retry", "interval": 20, "timeout": 0}}]);
    request.answer(&reply);
}

#[tokio::test]
async fn each_request_of_a_polling_link_shows_the_token() {
    let authority = Authority::new();
    let sandbox = machine(&authority);
    sandbox.write(TOKEN, "first-secret\n");
    let mut server = PollingServer::start().await;
    let plain = server.url();
    let own = authority.issue(&["localhost"], Validity::Current);
    let front = Front::before(plain.split('/').nth(2).unwrap(), &own, None).await;
    let url = format!("https://localhost:{}/cometd", front.port());
    let guest = Launch::on(&sandbox).connect(&url).start().await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let request = server.next("requests of a session").await;
        assert_eq!(request.header("authorization"), "Bearer first-secret", "{}", request.line());
        seen.push(request.channel().to_owned());
        grant(request);
    }
    assert!(seen.iter().any(|channel| channel == "/meta/connect"), "{seen:?}");

    // The server takes another one from now on. The guest hears of it, dials anew, and shows what is there by then.
    sandbox.write(TOKEN, "second-secret\n");
    loop {
        let request = server.next("a request with the new token").await;
        match request.header("authorization") {
            "Bearer first-secret" => request.respond("401 Unauthorized", &["WWW-Authenticate: Bearer"], b""),
            "Bearer second-secret" => break grant(request),
            other => panic!("{other:?}"),
        }
    }
    assert_secret(&sandbox);
    drop(server);
    guest.stop().await;
}

#[tokio::test]
async fn a_token_is_not_shown_in_the_open() {
    let sandbox = machine(&Authority::new());
    sandbox.write(TOKEN, "first-secret\n");
    for url in ["ws://127.0.0.1:1/events", "http://127.0.0.1:1/events"] {
        let refused = Launch::on(&sandbox).connect(url).output().await;
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("link.token-file") && said.contains(url), "{said}");
    }
}
