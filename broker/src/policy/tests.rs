//! Every kind of peer against every kind of request, and what rules say when they are looked at.

use std::path::Path;

use cloud_channel_protocol::server::{BearerToken, Certificate};
use cloud_channel_protocol::token_ext;

use super::*;

const OWN_UID: u32 = 900;
const FINGERPRINT: [u8; 32] = [0xA5; 32];

fn unix(uid: u32) -> Peer {
    PeerAddress::Unix { uid }.into()
}

fn vsock(cid: u32, port: u32) -> Peer {
    PeerAddress::Vsock { cid, port }.into()
}

fn tcp(address: &str) -> Peer {
    PeerAddress::Tcp(address.parse().unwrap()).into()
}

fn with_token(peer: Peer, token: &str) -> Peer {
    Peer { bearer: Some(BearerToken::new(token.to_owned())), ..peer }
}

fn with_certificate(peer: Peer, fingerprint: [u8; 32], name: &str) -> Peer {
    let certificate = Certificate { fingerprint, names: vec!["other.example".to_owned(), name.to_owned()] };
    Peer { certificate: Some(Arc::new(certificate)), ..peer }
}

fn who() -> Who {
    Who::default()
}

fn rule(who: Who, may: &[Action], on: &[&str]) -> Rule {
    let on = on.iter().map(|text| RulePattern::parse(text).unwrap()).collect();
    Rule { who: vec![who], may: may.to_vec(), on, origin: "a file line 1".to_owned() }
}

fn policy_of(rules: Vec<Rule>, folder: &Path, dev: bool) -> PeerPolicy {
    let is_default = rules.is_empty();
    let rules = if is_default { default_rules(HostPorts::Privileged) } else { rules };
    let authority = Authority { rules, is_default, token_file: folder.join("tokens"), real: false };
    PeerPolicy::new(dev, OWN_UID, &authority, &InstanceId::parse("i").unwrap()).unwrap()
}

/// Everything a peer can ask of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Handshake,
    /// Any message of a session: connect, unsubscribe, disconnect need nothing more.
    Continue,
    Publish,
    Set,
    Get,
    Status,
    SubscribeExact,
    SubscribeWildcard,
    SubscribePushed,
    Hear,
    HearPushed,
    HearAnswer,
    /// A word on a change that is on trial, or on the last one; nobody hears it but the daemon.
    Confirm,
    Rollback,
    HearConfirm,
    HearRollback,
    Unconnected,
}

const REQUESTS: [Request; 17] = [
    Request::Handshake,
    Request::Continue,
    Request::Publish,
    Request::Set,
    Request::Get,
    Request::Status,
    Request::SubscribeExact,
    Request::SubscribeWildcard,
    Request::SubscribePushed,
    Request::Hear,
    Request::HearPushed,
    Request::HearAnswer,
    Request::Confirm,
    Request::Rollback,
    Request::HearConfirm,
    Request::HearRollback,
    Request::Unconnected,
];

/// `x` where the request is granted, in the order of [`REQUESTS`].
fn granted(policy: &PeerPolicy, peer: &Peer) -> String {
    let channel = |text: &str| ChannelName::parse(text).unwrap();
    let pattern = |text: &str| ChannelPattern::parse(text).unwrap();
    let principal = policy.admit(peer, None).ok();
    let grants = |request: Request| {
        let Some(principal) = &principal else { return false };
        match request {
            Request::Handshake => true,
            Request::Continue => policy.may_continue(principal).is_ok(),
            Request::Publish => policy.may_publish(principal, &channel("/cloudinit/i/hotplug/network")),
            Request::Set => policy.may_publish(principal, &channel("/cloudinit/i/config/set/network")),
            Request::Get => policy.may_publish(principal, &channel("/cloudinit/i/config/get/network")),
            Request::Status => policy.may_publish(principal, &channel("/service/cloud-channel/status")),
            Request::SubscribeExact => {
                policy.may_subscribe(principal, &pattern("/cloudinit/i/modules-config/network"))
            }
            Request::SubscribeWildcard => policy.may_subscribe(principal, &pattern("/cloudinit/**")),
            Request::SubscribePushed => {
                policy.may_subscribe(principal, &pattern("/cloudinit/i/config/set/**"))
            }
            Request::Hear => policy.may_receive(principal, &channel("/cloudinit/i/modules-config/network")),
            Request::HearPushed => policy.may_receive(principal, &channel("/cloudinit/i/config/set/network")),
            Request::HearAnswer => policy.may_receive(principal, &channel("/cloudinit/i/config/get/network")),
            Request::Confirm => {
                policy.may_publish(principal, &channel("/cloudinit/i/config/confirm/network"))
            }
            Request::Rollback => {
                policy.may_publish(principal, &channel("/cloudinit/i/config/rollback/network"))
            }
            Request::HearConfirm => {
                policy.may_receive(principal, &channel("/cloudinit/i/config/confirm/network"))
            }
            Request::HearRollback => {
                policy.may_receive(principal, &channel("/cloudinit/i/config/rollback/network"))
            }
            Request::Unconnected => policy.admit_unconnected(peer).is_ok(),
        }
    };
    REQUESTS.into_iter().map(|request| if grants(request) { 'x' } else { '-' }).collect()
}

/// Nothing at all, and all that anybody can be granted.
const NOTHING: &str = "-----------------";
const EVERYTHING: &str = "xxxxxxxx-x--xx--x";

#[test]
fn without_rules_root_the_own_user_and_the_host_may_do_everything() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy_of(Vec::new(), folder.path(), false);
    let dev = policy_of(Vec::new(), folder.path(), true);
    for (peer, expected) in [
        (unix(0), EVERYTHING),
        (unix(OWN_UID), EVERYTHING),
        (unix(1000), NOTHING),
        (vsock(2, 1023), EVERYTHING),
        (vsock(2, 1024), NOTHING),
        (vsock(1, 1), NOTHING),
        (vsock(3, 1), NOTHING),
        (tcp("127.0.0.1:5"), NOTHING),
        (tcp("[::1]:5"), NOTHING),
        (with_token(tcp("127.0.0.1:5"), "secret"), NOTHING),
        (with_certificate(tcp("192.0.2.1:5"), FINGERPRINT, "ops.example"), NOTHING),
        // A token that nobody asked for does not hurt.
        (with_token(unix(0), "secret"), EVERYTHING),
    ] {
        assert_eq!(granted(&policy, &peer), expected, "{peer}");
        assert_eq!(granted(&dev, &peer), EVERYTHING, "{peer} in development mode");
    }
}

#[test]
fn rules_grant_what_they_say() {
    use Action::{Get, Publish, Subscribe};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tokens"),
        format!("{}\n{}\n", token_line("ops", "good"), token_line("ci", "other")),
    )
    .unwrap();
    let everything = ["/**"];
    let rules = vec![
        rule(Who { unix: Some(UnixUser::Uid(0)), ..who() }, &[Publish, Subscribe, Get], &everything),
        rule(
            Who { unix: Some(UnixUser::Uid(1000)), ..who() },
            &[Subscribe],
            &["/cloudinit/<instance-id>/**"],
        ),
        rule(
            Who { vsock: Some(VsockPeer { cid: 2, ports: HostPorts::Any }), ..who() },
            &[Publish],
            &["/cloudinit/<instance-id>/config/set/*"],
        ),
        rule(Who { token: Some("ops".to_owned()), ..who() }, &[Publish, Get], &everything),
        rule(
            Who { token: Some("ci".to_owned()), tcp: Some(TcpPlace::Loopback), ..who() },
            &[Get],
            &["/service/cloud-channel/status"],
        ),
        rule(
            Who { certificate: Some(CertificateName::Name("spiffe://fleet/Ops".to_owned())), ..who() },
            &[Get],
            &["/cloudinit/*/config/get/*"],
        ),
        rule(
            Who {
                certificate: Some(CertificateName::Fingerprint(FINGERPRINT)),
                token: Some("ops".to_owned()),
                ..who()
            },
            &[Subscribe],
            &["/cloudinit/i/modules-config/*"],
        ),
    ];
    let policy = policy_of(rules, folder.path(), false);
    for (what, peer, expected) in [
        // handshake, continue, publish, set, get, status, exact, wildcard, pushed, hear, pushed, answer, confirm,
        // rollback, hear those, unconnected
        ("root", unix(0), "xxxxxxxx-x--xx--x"),
        ("a user that may listen", unix(1000), "xx----xx-x------x"),
        ("the daemon's own user, without a rule", unix(OWN_UID), NOTHING),
        ("another user", unix(1001), NOTHING),
        ("the host", vsock(2, 40_000), "xx-x------------x"),
        ("another guest", vsock(5, 1), NOTHING),
        ("a stranger", tcp("192.0.2.1:5"), NOTHING),
        ("a token", with_token(tcp("192.0.2.1:5"), "good"), "xxxxxx-x----xx--x"),
        ("a token over a Unix socket", with_token(unix(1001), "good"), "xxxxxx-x----xx--x"),
        ("a wrong token of root", with_token(unix(0), "bad"), NOTHING),
        ("an empty token", with_token(tcp("192.0.2.1:5"), ""), NOTHING),
        ("a token from here", with_token(tcp("127.0.0.1:5"), "other"), "xx---x----------x"),
        ("the same from elsewhere", with_token(tcp("192.0.2.1:5"), "other"), NOTHING),
        ("a name", with_certificate(tcp("192.0.2.1:5"), [1; 32], "spiffe://fleet/ops"), "xx--x--x--------x"),
        ("another name", with_certificate(tcp("192.0.2.1:5"), [1; 32], "spiffe://fleet/op"), NOTHING),
        ("a fingerprint alone", with_certificate(tcp("192.0.2.1:5"), FINGERPRINT, "x"), NOTHING),
        (
            "a fingerprint and a token",
            with_token(with_certificate(tcp("192.0.2.1:5"), FINGERPRINT, "x"), "good"),
            "xxxxxxxx-x--xx--x",
        ),
        ("two rules at once", with_token(unix(1000), "good"), "xxxxxxxx-x--xx--x"),
    ] {
        assert_eq!(granted(&policy, &peer), expected, "{what}");
    }
}

#[test]
fn refusals_say_why_and_show_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let default = policy_of(Vec::new(), folder.path(), false);
    let ops = Who { token: Some("ops".to_owned()), ..who() };
    std::fs::write(folder.path().join("tokens"), token_line("ops", "good")).unwrap();
    let strict = policy_of(vec![rule(ops, &[Action::Get], &["/**"])], folder.path(), false);
    for (policy, peer, expected) in [
        (&default, tcp("127.0.0.1:5"), "403::TCP peers are not trusted, use the Unix socket"),
        (&default, unix(7), "403::only root and the daemon's own user"),
        (&default, vsock(2, 5000), "403::only the host (CID 2) is trusted, from a port below 1024"),
        (&strict, tcp("127.0.0.1:5"), "403::TCP peers are not trusted without a valid token or certificate"),
        (&strict, unix(0), "403::no rule of `authority` is about this peer"),
        (&strict, with_token(unix(0), "sesame"), "401::The token is not valid here"),
    ] {
        let error = policy.admit(&peer, None).unwrap_err().to_string();
        assert!(error.starts_with(expected) && !error.contains("sesame"), "{error}");
        assert_eq!(policy.admit_unconnected(&peer).unwrap_err().to_string(), error);
    }
    assert!(!format!("{strict:?} {:?}", with_token(unix(0), "sesame")).contains("sesame"));
}

#[test]
fn a_token_in_ext_is_as_good_as_one_in_the_head() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens"), token_line("ops", "good")).unwrap();
    let ops = Who { token: Some("ops".to_owned()), ..who() };
    let policy = policy_of(vec![rule(ops, &[Action::Get], &["/**"])], folder.path(), false);
    let ext = |token: &str| token_ext(&BearerToken::new(token.to_owned()));
    let peer = tcp("192.0.2.1:5");
    assert_eq!(policy.admit(&peer, Some(&ext("good"))).unwrap().as_str(), "token-ops");
    assert!(policy.admit(&peer, Some(&ext("bad"))).is_err());
    assert!(policy.admit(&with_token(peer, "bad"), Some(&ext("good"))).is_err(), "the head counts first");
}

#[test]
fn a_token_that_is_taken_away_ends_what_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, token_line("ops", "old")).unwrap();
    let ops = Who { token: Some("ops".to_owned()), ..who() };
    let policy = policy_of(vec![rule(ops, &[Action::Subscribe], &["/**"])], folder.path(), false);
    let channel = ChannelName::parse("/custom/x").unwrap();
    let old = policy.admit(&with_token(tcp("127.0.0.1:5"), "old"), None).unwrap();
    assert!(policy.may_continue(&old).is_ok() && policy.may_receive(&old, &channel));
    std::fs::write(&file, format!("{}\n", token_line("ops", "new"))).unwrap();
    // Somebody shakes hands, so the file is looked at.
    let new = policy.admit(&with_token(tcp("127.0.0.1:5"), "new"), None).unwrap();
    assert_eq!(old.as_str(), new.as_str());
    let refusal = policy.may_continue(&old).unwrap_err().to_string();
    assert_eq!(refusal, "401::The token of this session is not valid any more");
    assert!(!policy.may_receive(&old, &channel) && policy.may_receive(&new, &channel));
    assert!(policy.admit(&with_token(tcp("127.0.0.1:5"), "old"), None).is_err());
}

#[test]
fn rules_that_cannot_matter_are_named() {
    use Action::{Get, Publish, Subscribe};
    let root = || Who { unix: Some(UnixUser::Uid(0)), ..who() };
    let host = |ports| Who { vsock: Some(VsockPeer { cid: 2, ports }), ..who() };
    let token = |name: &str| Who { token: Some(name.to_owned()), ..who() };
    let certified = Who { certificate: Some(CertificateName::Fingerprint([1; 32])), ..who() };
    let around =
        Surroundings { vsock: true, tcp: true, tokens: vec!["ops".to_owned()], ..Surroundings::default() };
    let other = Who { unix: Some(UnixUser::Uid(7)), ..who() };
    for (rules, expected) in [
        (vec![rule(root(), &[Publish], &["/**"]), rule(host(HostPorts::Any), &[Get], &["/**"])], vec![]),
        (
            vec![rule(root(), &[Publish, Get], &["/**"]), rule(root(), &[Get], &["/cloudinit/**"])],
            vec!["rule 2 can never matter"],
        ),
        // Whichever comes first, and two equal ones: the later.
        (
            vec![rule(root(), &[Get], &["/cloudinit/**"]), rule(root(), &[Publish, Get], &["/**"])],
            vec!["rule 1 can never matter"],
        ),
        (
            vec![rule(root(), &[Publish], &["/a/*"]), rule(root(), &[Publish], &["/a/*"])],
            vec!["rule 2 can never matter"],
        ),
        // By two others together.
        (
            vec![
                rule(root(), &[Publish], &["/a/**"]),
                rule(root(), &[Publish], &["/b/**"]),
                rule(root(), &[Publish], &["/a/x", "/b/x"]),
            ],
            vec!["rule 3 can never matter"],
        ),
        (
            vec![
                rule(host(HostPorts::Any), &[Publish], &["/**"]),
                rule(host(HostPorts::Privileged), &[Publish], &["/**"]),
            ],
            vec!["rule 2 can never matter"],
        ),
        (vec![rule(certified, &[Publish], &["/**"])], vec!["certificates are not asked for"]),
        (vec![rule(token("ops"), &[Publish], &["/**"])], vec![]),
        (vec![rule(token("dev"), &[Publish], &["/**"])], vec!["the token file has no token `dev`"]),
        (vec![rule(other, &[Publish], &["/**"])], vec!["set `socket-mode`"]),
        (
            vec![rule(Who { tcp: Some(TcpPlace::Any), ..root() }, &[Publish], &["/**"])],
            vec!["one of a Unix socket"],
        ),
        (vec![rule(root(), &[Subscribe], &["/meta/**"])], vec!["the protocol's own channels"]),
        (vec![rule(root(), &[Subscribe], &["/cloudinit/i/config/set/*"])], vec!["goes to its module alone"]),
        (vec![rule(root(), &[Publish], &["/cloudinit/i/config/get/network"])], vec!["a question is `get`"]),
        (vec![rule(root(), &[Get], &["/cloudinit/i/hotplug/*"])], vec!["questions are asked on"]),
        (vec![rule(root(), &[Subscribe], &["/service/**"])], vec!["heard by nobody"]),
        (vec![rule(root(), &[Publish], &["/cloudinit/i/hotplug/usb"])], vec!["specs/channels.md"]),
        (
            vec![rule(
                root(),
                &[Publish, Get],
                &["/cloudinit/i/config/get/*", "/service/cloud-channel/status"],
            )],
            vec![],
        ),
    ] {
        let warnings = review(&rules, &around);
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected) && warning.contains("a file line 1"), "{warning}");
        }
    }
    let nowhere = Surroundings::default();
    assert!(
        review(&[rule(host(HostPorts::Any), &[Publish], &["/**"])], &nowhere)[0]
            .contains("nothing listens on vsock")
    );
}

#[test]
fn a_rule_for_a_channel_that_is_not_there_is_named_and_no_other() {
    use Action::{Publish, Subscribe};
    for (action, pattern, is_there) in [
        (Publish, "/cloudinit/<instance-id>/config/confirm/network", true),
        (Publish, "/cloudinit/<instance-id>/config/confirm/*", true),
        (Publish, "/cloudinit/<instance-id>/config/rollback/*", true),
        (Subscribe, "/cloudinit/<instance-id>/config/confirm/*", false),
        (Subscribe, "/cloudinit/<instance-id>/config/rollback/*", false),
        (Publish, "/cloudinit/<instance-id>/init-local", true),
        (Subscribe, "/cloudinit/<instance-id>/modules-final/*", true),
        (Publish, "/cloudinit/<instance-id>/reporting/single", true),
        (Publish, "/cloudinit/<instance-id>/init-locale", false),
        (Subscribe, "/cloudinit/<instance-id>/hotplug", false),
        (Subscribe, "/cloudinit/<instance-id>/modules-final/a/b", false),
        (Subscribe, "/cloudinit/<instance-id>/*", true),
        (Publish, "/custom/x", true),
    ] {
        let root = Who { unix: Some(UnixUser::Uid(0)), ..who() };
        let warnings = review(&[rule(root, &[action], &[pattern])], &Surroundings::default());
        let named = |warning: &String| warning.contains("no channel of") && warning.contains(pattern);
        assert!(warnings.iter().all(named), "{warnings:?}");
        assert_eq!(warnings.is_empty(), is_there, "{action} {pattern}: {warnings:?}");
    }
}
