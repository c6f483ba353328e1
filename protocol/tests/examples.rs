//! The JSON files in `specs/examples` are what the protocol core reads and writes.

mod open;

use std::path::{Path, PathBuf};

use cloud_channel_protocol::server::{
    Carrier, Input, LocalId, LocalSession, Output, PeerAddress, Server, ServerConfig,
};
use cloud_channel_protocol::{
    ChannelPattern, ClientId, CloudinitExt, ConnectionId, EventType, IdSource, Now, Place, Publication,
    ReportingEvent, Topic, Verb,
};
use open::Open;
use serde_json::Value;

/// No session is begun here.
struct NoIds;

impl IdSource for NoIds {
    fn next_client_id(&mut self) -> ClientId {
        unreachable!("nobody shakes hands")
    }
}

/// Reads a frame as the server does, and gives back what was published in it.
fn read(frame: &str) -> Vec<Publication> {
    let mut server = Server::new(ServerConfig::default(), Box::new(Open), Box::new(NoIds));
    let everything = ChannelPattern::parse("/**").expect("a pattern");
    server.attach(LocalSession { id: LocalId(0), accepts: vec![everything], subscribes: Vec::new() });
    let now = Now { uptime: std::time::Duration::ZERO, wall: std::time::Duration::ZERO };
    let connection = ConnectionId(1);
    server.handle(
        now,
        Input::Opened { connection, peer: PeerAddress::Unix { uid: 0 }.into(), carrier: Carrier::Stream },
    );
    server.handle(now, Input::Received { connection, bytes: frame.as_bytes() });
    let mut published = Vec::new();
    while let Some(output) = server.poll_output() {
        match output {
            Output::Offer { publication, .. } => published.push(publication),
            Output::Transmit { batch, .. } => panic!("the server answers {batch:?}"),
            other => panic!("expected publishes alone, got {other:?}"),
        }
    }
    published
}

fn check_message(publication: &Publication, expected: &Value) {
    let written: Value = serde_json::from_str(&publication.encode()).expect("what we write is JSON");
    assert_eq!(written, *expected, "written again");
    let Place::Instance(instance, Some(topic)) = Place::of(&publication.channel) else {
        panic!("{} has no topic", publication.channel)
    };
    assert_eq!(topic.channel(&instance), publication.channel);
    let ext = CloudinitExt::from_ext(publication.ext.as_deref()).expect("our ext");
    if expected.get("ext").is_some() {
        let written: Value = serde_json::from_str(ext.to_ext().get()).expect("what we write is JSON");
        assert_eq!(written, expected["ext"], "ext written again");
    }
    let data = &expected["data"];
    match topic {
        Topic::Hotplug(subsystem) => {
            assert_eq!(data["subsystem"], subsystem.kernel_name());
            assert!(data["action"].is_string() && data["attrs"].is_object(), "{data}");
        }
        Topic::Config(verb, name) => {
            assert!(name.module().is_some(), "{name} is a module of ours");
            assert_eq!(
                publication.id.is_some(),
                ext.cause.is_none(),
                "a request has an id, an answer a cause"
            );
            assert!(verb == Verb::Get || ext.cause.is_none(), "a set is a request");
        }
        Topic::Stage(_) | Topic::StageStep(..) | Topic::Reporting(_) => check_events(publication, &ext),
    }
}

fn check_events(publication: &Publication, ext: &CloudinitExt) {
    assert!(ext.seq.is_some() && publication.id.is_none(), "an event has a number and no id");
    let events: Vec<ReportingEvent> = serde_json::from_str(publication.data.get()).expect("a list of events");
    let [event] = events.as_slice() else { panic!("expected one event, got {events:?}") };
    assert_eq!(event.result.is_some(), event.event_type == EventType::Finish, "a finish has a result");
    let compact: Value = serde_json::from_str(publication.data.get()).expect("JSON");
    assert_eq!(event.to_data().get(), compact.to_string(), "the fields in cloud-init's order, and no others");
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/examples");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of examples")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
}

#[test]
#[expect(clippy::print_stdout, reason = "shown with a failure: the file that it is in")]
fn every_example_is_read_and_written_again_unchanged() {
    let paths = examples();
    assert!(paths.len() >= 10, "only {paths:?}");
    for path in paths {
        println!("{}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<Value> = serde_json::from_str(&text).unwrap();
        let published = read(&text);
        assert!(!expected.is_empty());
        assert_eq!(published.len(), expected.len());
        for (publication, expected) in published.iter().zip(&expected) {
            check_message(publication, expected);
        }
    }
}

#[test]
fn the_index_names_every_example() {
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/examples/README.md");
    let index = std::fs::read_to_string(index).unwrap();
    for path in examples() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("`{name}`")), "{name} is not in specs/examples/README.md");
    }
}
