//! Files become settings, and faults are told.

use super::*;

fn load(root: &Path, overrides: Overrides) -> Result<Settings, FragmentError> {
    Settings::load(Overrides { root: Some(root.to_owned()), ..overrides })
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn without_files_a_sandbox_listens_on_its_own_socket() {
    let root = tempfile::tempdir().unwrap();
    let settings = load(root.path(), Overrides::default()).unwrap();
    assert_eq!(settings.listen, [default_socket(root.path())]);
    assert!(!settings.listen_is_explicit && settings.connect.is_empty());
}

#[test]
fn later_files_and_then_the_command_line_win() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), CONFIG_FILE, "instance-id: i-one\nconnect: [\"ws://127.0.0.1:1\"]\n");
    put(root.path(), "etc/cloud-channel/conf.d/10-a.yaml", "instance-id: i-two\nlog-format: json\n");
    put(root.path(), "etc/cloud-channel/conf.d/notes.txt", "not: [yaml");
    let settings = load(root.path(), Overrides::default()).unwrap();
    assert_eq!(settings.instance.as_ref().unwrap().as_str(), "i-two");
    assert_eq!(settings.log_format, LogFormat::Json);
    assert!(settings.origins.to_string().contains("10-a.yaml"), "{}", settings.origins);
    let overrides = Overrides { instance: InstanceId::parse("i-three").ok(), ..Overrides::default() };
    let settings = load(root.path(), overrides).unwrap();
    assert_eq!(settings.instance.unwrap().as_str(), "i-three");
    assert_eq!(settings.connect.len(), 1);
}

#[test]
fn faults_name_file_line_and_the_nearest_key() {
    let root = tempfile::tempdir().unwrap();
    for (text, parts) in [
        ("instance-id: a\nlisen: []\n", ["config.yaml", "line 2", "lisen", "listen"]),
        ("listen: [\"ftp://x\"]\n", ["config.yaml", "1", "ftp://x", "unix://"]),
        ("connect: unix:///x\n", ["config.yaml", "line 1", "connect", "list"]),
        ("host-ports: all\n", ["line 1", "host-ports", "`privileged` or `any`", "`all`"]),
        ("instance-id: \"a b\"\n", ["config.yaml", "1", "a b", "expected"]),
    ] {
        put(root.path(), CONFIG_FILE, text);
        let error =
            cloud_channel_protocol::error_chain(&load(root.path(), Overrides::default()).unwrap_err());
        for part in parts {
            assert!(error.contains(part), "{text:?} gives {error:?}, which lacks {part:?}");
        }
    }
}

#[test]
fn groups_are_merged_key_by_key_and_lists_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        CONFIG_FILE,
        "limits: {sessions: 10, message-bytes: 64KiB}\nadvice: {timeout: 5s}\nallowed-origins: [\"https://A.example\"]\n\
         listen: [\"wss://192.0.2.1:443\"]\ntls: {certificate: /etc/a.pem, key: /etc/a.key}\n",
    );
    put(
        root.path(),
        "etc/cloud-channel/conf.d/10-a.yaml",
        "limits: {sessions: 20}\nadvice: {max-interval: 500ms}\ntls: {client-ca: /etc/ca.pem}\nallowed-origins: []\n\
         replay: {events: 5, age: 12h}\nextensions: [timestamp]\nactivity: 10min\nmetrics: {listen: [\"http://127.0.0.1:9100\"]}\n",
    );
    let settings = load(root.path(), Overrides::default()).unwrap();
    let limits = &settings.server.limits;
    assert_eq!((limits.sessions, limits.sessions_per_peer, limits.message_bytes), (20, 17, 65_536));
    assert_eq!(settings.server.advice.timeout, Duration::from_secs(5));
    assert_eq!(settings.server.max_interval, Duration::from_millis(500));
    assert!(settings.allowed_origins.is_empty());
    let tls = settings.tls.as_ref().unwrap();
    assert_eq!(tls.key, root.path().join("etc/a.key"));
    assert_eq!(tls.client_ca, Some(root.path().join("etc/ca.pem")));
    assert_eq!((settings.retention.events, settings.retention.bytes), (5, Retention::default().bytes));
    assert_eq!(settings.retention.age, Duration::from_secs(43_200));
    assert_eq!(settings.extensions, [ExtensionName::Timestamp]);
    assert_eq!(settings.activity, Some(Duration::from_secs(600)));
    assert_eq!(settings.metrics_listen.len(), 1);
    let shown = settings.origins.to_string();
    for row in [
        "limits.sessions",
        "20   # ",
        "limits.sessions-per-peer",
        "17   # ",
        "10-a.yaml",
        "64KiB",
        "12h",
        "10min",
        "timestamp",
    ] {
        assert!(shown.contains(row), "{row} is missing in\n{shown}");
    }
}

#[test]
fn a_peers_share_follows_the_sessions_unless_it_is_set() {
    let root = tempfile::tempdir().unwrap();
    for (limits, expected) in [
        ("{}", 1_008),
        ("{sessions: 20000}", 19_984),
        ("{sessions: 1}", 1),
        ("{sessions: 20000, sessions-per-peer: 5}", 5),
        ("{sessions-per-peer: 1024}", 1_024),
    ] {
        put(root.path(), CONFIG_FILE, &format!("limits: {limits}\n"));
        let settings = load(root.path(), Overrides::default()).unwrap();
        assert_eq!(settings.server.limits.sessions_per_peer, expected, "{limits}");
    }
    put(root.path(), CONFIG_FILE, "limits: {sessions: 50}\n");
    let dev = load(root.path(), Overrides { dev: true, ..Overrides::default() }).unwrap();
    assert_eq!(dev.server.limits.sessions_per_peer, 50, "everybody is one peer");
}

#[test]
fn rules_are_read() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        CONFIG_FILE,
        "host-ports: any\ntoken-file: /etc/tokens\nauthority:\n\
         - who: [{unix: root}, {vsock: host}, {vsock: 3, ports: privileged}]\n  may: [publish, get]\n  on: [/cloudinit/**]\n\
         - {who: {token: ops, tcp: loopback}, may: [subscribe], on: [\"/cloudinit/<instance-id>/hotplug/*\"]}\n\
         management-keys: {ops: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}\n",
    );
    put(root.path(), "etc/tokens", "");
    let settings = load(root.path(), Overrides::default()).unwrap();
    let shown: Vec<String> = settings.authority.rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "{who: [{unix: root}, {vsock: host, ports: any}, {vsock: 3, ports: privileged}], may: [publish, get], on: [/cloudinit/**]}",
            "{who: [{tcp: loopback, token: ops}], may: [subscribe], on: [/cloudinit/<instance-id>/hotplug/*]}",
        ]
    );
    assert!(!settings.authority.is_default);
    assert_eq!(settings.authority.token_file, root.path().join("etc/tokens"));
    assert_eq!(settings.management_keys[0].name(), "ops");
    let warnings = settings.warnings().unwrap();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("config.yaml line") && warning.contains("no token `ops`")),
        "{warnings:?}"
    );
    put(root.path(), "etc/tokens", "ops:plain\n");
    let error = settings.warnings().unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains("plain"), "{error}");
}

#[test]
fn faults_in_groups_name_line_and_key() {
    let root = tempfile::tempdir().unwrap();
    let rule = |who: &str| format!("authority:\n- who: {who}\n  may: [get]\n  on: [/a]\n");
    for (text, parts) in [
        ("limits: {sesions: 1}".to_owned(), vec!["line 1", "sesions", "did you mean `sessions`"]),
        ("limits:\n  sessions: 0".to_owned(), vec!["line 2", "limits.sessions", "1 to 100000", "`0`"]),
        (
            "limits: {sessions: 5, sessions-per-peer: 6}".to_owned(),
            vec!["sessions-per-peer` is 6", "`limits.sessions` is 5"],
        ),
        ("limits: {message-bytes: 1GB}".to_owned(), vec!["limits.message-bytes", "64KiB", "`1GB`"]),
        ("limits: {message-bytes: 2MiB}".to_owned(), vec!["limits.message-bytes", "limits.batch-bytes"]),
        ("limits: {batch-bytes: 32MiB}".to_owned(), vec!["limits.batch-bytes", "limits.input-bytes"]),
        ("advice: {timeout: 30}".to_owned(), vec!["advice.timeout", "with its unit", "`30`"]),
        ("advice: {timeout: 2h}".to_owned(), vec!["advice.timeout", "100ms to 1h"]),
        ("limits: 5".to_owned(), vec!["line 1", "limits", "a map", "a number"]),
        ("tls: {certificate: a.pem}".to_owned(), vec!["tls.certificate", "absolute path"]),
        ("tls: {certificate: /a.pem}".to_owned(), vec!["tls.certificate", "config.yaml", "needs `tls.key`"]),
        ("tls: {client-ca: /a.pem}".to_owned(), vec!["tls.client-ca", "tls.key"]),
        ("listen: [\"wss://192.0.2.1\"]".to_owned(), vec!["wss://192.0.2.1:443", "tls.certificate"]),
        ("dial-tls: {key: /a}".to_owned(), vec!["dial-tls.key", "needs `dial-tls.certificate`"]),
        ("allowed-origins: [\"*\"]".to_owned(), vec!["allowed-origins", "https://console.example", "`*`"]),
        ("metrics: {listen: [\"vsock://:1\"]}".to_owned(), vec!["metrics.listen", "http://"]),
        ("extensions: [gzip]".to_owned(), vec!["extensions", "`timesync`", "`gzip`"]),
        ("socket-mode: 0777".to_owned(), vec!["socket-mode", "0660", "777"]),
        (rule("{unix: bob}"), vec!["line 2", "who.unix", "`self`", "`bob`"]),
        (rule("{vsock: 0}"), vec!["who.vsock", "`0`"]),
        (rule("{ports: any}"), vec!["who", "expected that beside it"]),
        (rule("{tcp: loopback}"), vec!["an address proves nothing"]),
        (rule("{}"), vec!["at least one of unix"]),
        (rule("{certificate: \"sha256:12\"}"), vec!["who.certificate", "64 hexadecimal"]),
        (rule("{tokn: ops}"), vec!["line 2", "did you mean `token`"]),
        ("authority: [{who: {unix: root}, may: [get]}]".to_owned(), vec!["line 1", "`on` has nothing"]),
        ("authority: [{who: {unix: root}, may: [write], on: [/a]}]".to_owned(), vec!["`publish`", "`write`"]),
        (
            "authority: [{who: {unix: root}, may: [get], on: [/**/a]}]".to_owned(),
            vec!["`/**/a`", "a last `**`"],
        ),
        ("management-keys: {ops: secret}".to_owned(), vec!["management-keys", "Ed25519 public key"]),
        ("management-keys: {\"a b\": x}".to_owned(), vec!["management-keys", "the key's name"]),
    ] {
        put(root.path(), CONFIG_FILE, &text);
        let error =
            cloud_channel_protocol::error_chain(&load(root.path(), Overrides::default()).unwrap_err());
        for part in parts {
            assert!(error.contains(part), "{text:?} gives {error:?}, which lacks {part:?}");
        }
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_token_that_was_put_in_the_place_of_its_name_is_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let rule = "authority: [{who: {token: \"s3cret/token+value\"}, may: [get], on: [/a]}]";
    put(root.path(), CONFIG_FILE, rule);
    let error = load(root.path(), Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("who.token") && !error.contains("s3cret"), "{error}");
}

#[test]
fn the_links_token_is_shown_where_nobody_listens_in() {
    let root = tempfile::tempdir().unwrap();
    let configure = |connect: &str| {
        let text = format!("connect: [{connect}]\nlink: {{token-file: /etc/cloud-channel/link-token}}\n");
        put(root.path(), CONFIG_FILE, &text);
        load(root.path(), Overrides::default())
    };
    let secret = "\"wss://a.example\", \"https://a.example/x\", \"vsock://events\", \"unix:///x\", \"hybrid-vsock:///x:1\"";
    let settings = configure(secret).unwrap();
    assert!(settings.origins.to_string().contains("link.token-file"), "{}", settings.origins);
    let warnings = settings.warnings().unwrap();
    assert!(warnings[0].contains("link-token") && warnings.len() == 1, "{warnings:?}");
    put(root.path(), "etc/cloud-channel/link-token", "se cret\n");
    let error = settings.warnings().unwrap_err().to_string();
    assert!(error.contains("one line") && !error.contains("cret"), "{error}");
    put(root.path(), "etc/cloud-channel/link-token", "secret\n");
    assert!(settings.warnings().unwrap().is_empty());
    for open in ["ws://127.0.0.1:1", "http://a.example"] {
        let error = configure(&format!("\"wss://a.example\", \"{open}\"")).unwrap_err().to_string();
        for part in ["link.token-file", "config.yaml", open, "wss://"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
    assert!(configure("").unwrap().warnings().unwrap()[0].contains("`connect`"));
}

#[test]
fn hardware_is_listened_to_on_a_real_machine_alone() {
    let root = tempfile::tempdir().unwrap();
    let settings = load(root.path(), Overrides::default()).unwrap();
    assert!(!settings.hotplug.listen && settings.hotplug.ignore.is_empty());
    let file = root.path().join("config.yaml");
    std::fs::write(&file, "hotplug: {ignore: [\"veth*\", docker0]}\n").unwrap();
    let sandboxed = load(root.path(), Overrides { config: Some(file.clone()), ..Overrides::default() });
    let shown = sandboxed.unwrap().origins.to_string();
    assert!(shown.contains("hotplug.listen") && shown.contains("veth* docker0"), "{shown}");
    for (text, part) in [
        ("hotplug: {listen: true}\n", "with `--root` there is no hardware"),
        ("hotplug: {listen: yes please}\n", "`hotplug.listen`: expected `true` or `false`, got"),
        ("hotplug: {listens: false}\n", "did you mean `listen`?"),
        ("hotplug: {ignore: [\"a b\"]}\n", "such as `veth*`, got `a b`"),
        ("hotplug: {ignore: veth0}\n", "expected a list of names"),
    ] {
        std::fs::write(&file, text).unwrap();
        let overrides = Overrides { config: Some(file.clone()), ..Overrides::default() };
        let error = cloud_channel_protocol::error_chain(&load(root.path(), overrides).unwrap_err());
        assert!(error.contains(part), "{text:?} gives {error:?}");
    }
    let many = format!("hotplug: {{ignore: [{}]}}\n", vec!["x"; 65].join(", "));
    std::fs::write(&file, many).unwrap();
    let overrides = Overrides { config: Some(file), ..Overrides::default() };
    assert!(load(root.path(), overrides).unwrap_err().to_string().contains("at most 64"));
}
