//! TLS, listening and dialling: who is believed, who is not, and what each is told.

use cloud_channel_tests::guest::{Guest, Launch, SOCKET};
use cloud_channel_tests::http::HttpConnection;
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::{assert_accepted, assert_refused, result};
use cloud_channel_tests::patience::{eventually, within};
use cloud_channel_tests::peer::Peer;
use cloud_channel_tests::sandbox::Sandbox;
use cloud_channel_tests::stream::Address;
use cloud_channel_tests::tls::{Authority, Front, Identity, Secured, Validity};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::long_polling;
use crate::payloads::card;

const CERTIFICATE: &str = "etc/cloud-channel/own.pem";
const KEY: &str = "etc/cloud-channel/own.key";
const CLIENTS: &str = "etc/cloud-channel/clients.pem";
const CONFIG: &str = "etc/cloud-channel/config.yaml";
/// What `tls` says in the configuration, clients' certificates included.
const MUTUAL: &str = "tls: {certificate: /etc/cloud-channel/own.pem, key: /etc/cloud-channel/own.key, client-ca: /etc/cloud-channel/clients.pem}\n";

/// A machine whose daemon is `localhost`, and who vouches for it.
struct Scene {
    sandbox: Sandbox,
    authority: Authority,
    clients: Authority,
}

impl Scene {
    fn new() -> Self {
        let scene =
            Self { sandbox: Sandbox::machine(), authority: Authority::new(), clients: Authority::new() };
        scene.install(&scene.authority.issue(&["localhost"], Validity::Current));
        scene.sandbox.write(CLIENTS, &scene.clients.pem());
        scene.configure("");
        scene
    }

    fn install(&self, own: &Identity) {
        self.sandbox.write(CERTIFICATE, &own.certificate);
        self.sandbox.write(KEY, &own.key);
        self.sandbox.set_mode(KEY, 0o600);
    }

    fn configure(&self, more: &str) {
        self.sandbox.write(CONFIG, &format!("{MUTUAL}{more}"));
    }

    fn launch(&self) -> Launch<'_> {
        let unix = format!("unix://{}", self.sandbox.path(SOCKET).display());
        let launch = Launch::on(&self.sandbox).argument("--listen").argument(unix);
        launch.argument("--listen").argument("wss://127.0.0.1:0/events")
    }

    fn reach(&self, guest: &Guest<'_>, identity: Option<&Identity>) -> Address {
        Address::Tls(Secured::new(guest.tls(), "localhost", &self.authority, identity))
    }
}

/// True if the daemon lets a stream be used. A refused certificate shows at the first read only.
async fn is_let_in(address: &Address) -> bool {
    let Ok(mut stream) = address.open().await else { return false };
    let request = async {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    matches!(within("an answer over TLS", request).await, Ok(answer) if answer.starts_with("HTTP/1.1 200 "))
}

#[tokio::test]
async fn both_flows_go_over_tls() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    let address = scene.reach(&guest, None);
    let mut peer = Peer::join(&address).await;
    peer.subscribe("/cloudinit/**").await;
    let finish = peer.push_through("network", "over-tls", card(0, 1400)).await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    // More than one record, both ways.
    let large = json!({"text": "x".repeat(100_000)});
    peer.subscribe("/custom/large").await;
    assert_accepted(&peer.publish("/custom/large", "large", large.clone()).await);
    let event = peer.event("the large one", |event| event["channel"] == "/custom/large").await;
    assert_eq!(event["data"], large);
    assert!(is_let_in(&address).await);
    guest.stop().await;
}

#[tokio::test]
async fn who_hangs_up_is_missed_at_once() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    long_polling::is_missed_at_once(&scene.reach(&guest, None)).await;
    guest.stop().await;
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let scene = Scene::new();
    let (named, printed, stranger) = (
        scene.clients.issue(&["ops.example", "spiffe://example/ops"], Validity::Current),
        scene.clients.issue(&["any.example"], Validity::Current),
        scene.clients.issue(&["else.example"], Validity::Current),
    );
    let digits: String = sha256(&printed.der());
    scene.configure(&format!(
        "authority:\n- {{who: {{unix: self}}, may: [publish, subscribe, get], on: [/**]}}\n\
         - {{who: [{{certificate: \"spiffe://example/ops\"}}, {{certificate: \"sha256:{digits}\"}}], may: [publish], \
         on: [/custom/*]}}\n"
    ));
    let guest = scene.launch().start().await;
    for (identity, is_known) in
        [(Some(&named), true), (Some(&printed), true), (Some(&stranger), false), (None, false)]
    {
        let mut peer = Peer::open(&scene.reach(&guest, identity)).await;
        let reply = peer.handshake().await;
        assert_eq!(reply["successful"], is_known, "{reply}");
        if is_known {
            assert_accepted(&peer.publish("/custom/allowed", "a", json!(1)).await);
            assert_refused(&peer.publish("/other", "b", json!(1)).await, &["403:"]);
        }
    }
    guest.stop().await;
}

#[tokio::test]
async fn a_bad_client_certificate_is_sent_away() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    let good = scene.clients.issue(&["ops.example"], Validity::Current);
    for (what, identity, expected) in [
        ("a good one", good, true),
        ("another authority's", Authority::new().issue(&["ops.example"], Validity::Current), false),
        ("an expired one", scene.clients.issue(&["ops.example"], Validity::Expired), false),
    ] {
        assert_eq!(is_let_in(&scene.reach(&guest, Some(&identity))).await, expected, "{what}");
    }
    assert!(is_let_in(&scene.reach(&guest, None)).await, "none is asked for more than politely");
    guest.stop().await;
}

#[tokio::test]
async fn what_is_no_tls_is_told_or_dropped_and_disturbs_nobody() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    // Silent for as long as the test lasts: it delays nobody.
    let silent = TcpStream::connect(guest.tls()).await.unwrap();
    let mut plain = HttpConnection::open(&Address::Tcp(guest.tls().to_owned())).await;
    assert_eq!(plain.request("GET", "/events", &[], b"").await.status, 400);
    for garbage in
        [&[0x16, 3, 1, 0xff, 0xff, 1][..], &[0; 64], b"\x80\x2e\x01\x00\x02", &[0x15, 3, 3, 0, 2, 2, 40]]
    {
        let mut stream = TcpStream::connect(guest.tls()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        let _reset = within("the end of the stream", stream.read_to_end(&mut answer)).await;
        assert!(answer.len() <= 7, "at most an alert: {answer:?}");
    }
    Peer::join(&scene.reach(&guest, None)).await.leave().await;
    // The operator sees it, and not once for each of them.
    let log = scene.sandbox.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("could not be secured")).collect();
    assert!((1..5).contains(&told.len()), "{told:?}");
    assert!(
        told[0].contains("INFO") && told[0].contains("127.0.0.1") && told[0].contains("left_out=0"),
        "{told:?}"
    );
    drop(silent);
    guest.stop().await;
}

#[tokio::test]
async fn certificates_are_renewed_without_a_restart() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    let before = Peer::join(&scene.reach(&guest, None)).await;
    let renewed = Authority::new();
    let trusting = Address::Tls(Secured::new(guest.tls(), "localhost", &renewed, None));
    assert!(!is_let_in(&trusting).await);
    // First the certificate, then its key: in between they do not fit, and the former go on.
    let own = renewed.issue(&["localhost"], Validity::Current);
    scene.sandbox.write(CERTIFICATE, &own.certificate);
    assert!(is_let_in(&scene.reach(&guest, None)).await);
    scene.install(&own);
    assert!(is_let_in(&trusting).await);
    assert!(!is_let_in(&scene.reach(&guest, None)).await);
    std::fs::remove_file(scene.sandbox.path(KEY)).unwrap();
    assert!(is_let_in(&trusting).await);
    before.leave().await;
    let log = scene.sandbox.log();
    assert!(log.contains("going on with the former") && log.contains("read again"), "{log}");
    guest.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let scene = Scene::new();
    let says = async |parts: &[&str]| {
        let output = scene.launch().output().await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{text}");
        for part in parts {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    };
    let good = scene.sandbox.read(KEY);
    scene.sandbox.write(KEY, &scene.authority.issue(&["localhost"], Validity::Current).key);
    says(&["own.pem", "own.key", "and its key"]).await;
    scene.sandbox.write(KEY, "no key");
    says(&["own.key", "unencrypted private key"]).await;
    scene.sandbox.write(KEY, &good);
    scene.sandbox.write(CLIENTS, "");
    says(&["clients.pem", "BEGIN CERTIFICATE"]).await;
    std::fs::remove_file(scene.sandbox.path(CERTIFICATE)).unwrap();
    scene.sandbox.write(CLIENTS, &scene.clients.pem());
    says(&["own.pem", "cannot read"]).await;
    scene.sandbox.write(CONFIG, "");
    says(&["wss://127.0.0.1:0/events", "certificate", "key"]).await;
}

#[tokio::test]
async fn a_guest_dials_over_tls_and_shows_its_certificate() {
    let (sandbox, authority, guests) = (Sandbox::machine(), Authority::new(), Authority::new());
    let management = Management::start().await;
    let own = authority.issue(&["localhost"], Validity::Current);
    let front = Front::before(management.address(), &own, Some(&guests)).await;
    let identity = guests.issue(&["guest.example"], Validity::Current);
    sandbox.write("etc/ssl/certs/ca-certificates.crt", &authority.pem());
    sandbox.write("etc/cloud-channel/guest.pem", &identity.certificate);
    sandbox.write("etc/cloud-channel/guest.key", &identity.key);
    sandbox.write(
        CONFIG,
        "dial-tls: {certificate: /etc/cloud-channel/guest.pem, key: /etc/cloud-channel/guest.key}\n",
    );
    let url = format!("wss://localhost:{}/events", front.port());
    let guest = Launch::on(&sandbox).connect(&url).start().await;
    management.guest_subscribed(1).await;
    management.push("network", "over-tls", &card(0, 1400));
    let finish = management.finish("over-tls").await;
    assert_eq!(result(&finish), "SUCCESS", "{finish}");
    guest.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_not_talked_to() {
    let authority = Authority::new();
    let management = Management::start().await;
    let address = management.address().to_owned();
    let good = authority.issue(&["localhost"], Validity::Current);
    for (what, own, reason) in [
        ("another authority's", Authority::new().issue(&["localhost"], Validity::Current), "is not trusted"),
        ("another name", authority.issue(&["elsewhere.example"], Validity::Current), "elsewhere.example"),
        ("an expired one", authority.issue(&["localhost"], Validity::Expired), "expired"),
    ] {
        let sandbox = Sandbox::machine();
        sandbox.write("etc/cloud-channel/ca.pem", &authority.pem());
        sandbox.write(CONFIG, "dial-tls: {ca: /etc/cloud-channel/ca.pem}\n");
        let (bad, fine) =
            (Front::before(&address, &own, None).await, Front::before(&address, &good, None).await);
        let url = |front: &Front| format!("wss://localhost:{}/events", front.port());
        let guest = Launch::on(&sandbox).connect(&url(&bad)).connect(&url(&fine)).start().await;
        // The next of the list takes its place, and the log says why.
        eventually(&format!("the link to pass over {what}"), || {
            sandbox.log().contains(&format!("link up endpoint={}", url(&fine))).then_some(())
        })
        .await;
        let log = sandbox.log();
        for part in ["is not trusted", "ca.pem", reason] {
            assert!(log.contains(part), "{what}: {part:?} is not in {log}");
        }
        assert!(!log.contains(&format!("link up endpoint={}", url(&bad))), "{log}");
        guest.stop().await;
    }
}

#[tokio::test]
async fn commands_go_over_tls() {
    let scene = Scene::new();
    let guest = scene.launch().dev().start().await;
    let (_, port) = guest.tls().rsplit_once(':').unwrap();
    let ca = scene.sandbox.beside("ca.pem");
    std::fs::write(&ca, scene.authority.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    for scheme in ["wss", "https"] {
        let endpoint = format!("{scheme}://localhost:{port}/events");
        let output = guest.bare_command(&["status", "--endpoint", &endpoint, "--ca", ca]).await;
        assert!(output.status.success(), "{output:?}");
    }
    let endpoint = format!("wss://localhost:{port}/events");
    let output = guest.bare_command(&["status", "--endpoint", &endpoint]).await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("ca-certificates.crt"), "{text}");
    guest.stop().await;
}

/// A digest as `sha256sum` tells it.
fn sha256(bytes: &[u8]) -> String {
    use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("it is one of TLS 1.3");
    suite.common.hash_provider.hash(bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
