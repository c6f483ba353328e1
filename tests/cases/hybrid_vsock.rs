//! Dialling through a machine monitor's Unix socket, which stands for a vsock: the daemon asks for a port by a line, and
//! what answers may be anything.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cloud_channel_tests::guest::Launch;
use cloud_channel_tests::management::Management;
use cloud_channel_tests::message::result;
use cloud_channel_tests::patience::eventually;
use cloud_channel_tests::sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::payloads::card;

/// Longest line that a monitor is let say.
const LONGEST: usize = 32;

/// What a monitor does when it is asked for a port.
#[derive(Clone)]
enum Behaviour {
    /// Closes, as it does when its guest does not listen.
    HangsUp,
    /// Says something, and waits to be left.
    Says(String),
    /// Says nothing, and waits to be left.
    IsSilent,
    /// Says that it is done, and is a management server from then on.
    Connects(String),
}

/// A machine monitor's socket.
struct Monitor {
    url: String,
    /// What it was asked, a line each.
    asked: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Monitor {
    fn start(socket: &Path, behaviour: Behaviour) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let lines = asked.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, behaviour.clone(), lines.clone()));
            }
        });
        Self { url: format!("hybrid-vsock://{}:169", socket.display()), asked, accepting }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: UnixStream, behaviour: Behaviour, asked: Arc<Mutex<Vec<String>>>) {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        // Whoever goes before the line's end has asked for nothing.
        let Ok(byte) = stream.read_u8().await else { return };
        line.push(byte);
    }
    asked.lock().unwrap().push(String::from_utf8(line).unwrap());
    let answer = match &behaviour {
        Behaviour::HangsUp => return,
        Behaviour::IsSilent => String::new(),
        Behaviour::Says(answer) => answer.clone(),
        Behaviour::Connects(_) => "OK 1073741824\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).await.unwrap();
    if let Behaviour::Connects(address) = behaviour {
        let mut server = TcpStream::connect(address).await.unwrap();
        // Either side may end it at any time.
        let _ended = copy_bidirectional(&mut stream, &mut server).await;
        return;
    }
    // Nothing is sent to a monitor that has not said yes.
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0, "after {answer:?}");
    asked.lock().unwrap().push("left".to_owned());
}

#[tokio::test]
async fn a_management_server_behind_a_monitor_is_reached() {
    let sandbox = Sandbox::machine();
    let management = Management::start().await;
    let behaviour = Behaviour::Connects(management.address().to_owned());
    let monitor = Monitor::start(&sandbox.beside("vsock.sock"), behaviour);
    let guest = Launch::on(&sandbox).connect(&monitor.url).start().await;
    management.guest_subscribed(1).await;
    management.push("network", "pushed", &card(0, 1400));
    assert_eq!(result(&management.finish("pushed").await), "SUCCESS");
    let mut peer = guest.join().await;
    let status = peer.status().await;
    assert_eq!(
        (&status["link"]["up"], &status["link"]["detail"]),
        (&true.into(), &monitor.url.clone().into())
    );
    assert_eq!(monitor.asked(), ["CONNECT 169\n"]);

    // A monitor that goes away is one more lost stream: the session is resumed through it when it is back.
    management.cut();
    management.push("network", "after", &card(1, 1400));
    assert_eq!(result(&management.finish("after").await), "SUCCESS");
    assert_eq!(management.sessions_begun(), 1);
    guest.stop().await;
}

#[tokio::test]
async fn whatever_else_a_monitor_answers_is_told_and_the_next_endpoint_tried() {
    let sandbox = Sandbox::machine();
    let management = Management::start().await;
    let says = |text: &str| Behaviour::Says(text.to_owned());
    let cases = [
        (Behaviour::HangsUp, "nobody listens on vsock port 169 of the guest"),
        (says("HTTP/1.1 400 Bad Request\r\n"), "answered `HTTP/1.1 400 Bad Request"),
        (says("OK 4294967296\n"), "answered `OK 4294967296`, expected `OK <number>`"),
        // Whatever follows: without an end of line it would go on without end.
        (says(&"1".repeat(4 * LONGEST)), "answered `11111111111111111111111111111111`, expected"),
        (Behaviour::IsSilent, "did not answer within 10 s"),
    ];
    let start = |(number, (behaviour, _)): (usize, &(Behaviour, &str))| {
        Monitor::start(&sandbox.beside(&format!("{number}.sock")), behaviour.clone())
    };
    let monitors: Vec<Monitor> = cases.iter().enumerate().map(start).collect();
    let last =
        Monitor::start(&sandbox.beside("last.sock"), Behaviour::Connects(management.address().to_owned()));
    let absent = format!("hybrid-vsock://{}:169", sandbox.beside("absent.sock").display());
    let mut launch = Launch::on(&sandbox).connect(&absent);
    for monitor in &monitors {
        launch = launch.connect(&monitor.url);
    }
    let guest = launch.connect(&last.url).start().await;
    for (monitor, (_, expected)) in monitors.iter().zip(&cases) {
        let told = || {
            let log = sandbox.log();
            log.lines().find(|line| line.contains(&monitor.url) && line.contains(expected)).map(drop)
        };
        eventually(&format!("the log to say that {} {expected}", monitor.url), told).await;
    }
    management.guest_subscribed(1).await;
    assert!(sandbox.log().lines().any(|line| line.contains(&absent) && line.contains("cannot connect")));
    for (monitor, (behaviour, _)) in monitors.iter().zip(&cases) {
        // It was asked once, and its stream given up.
        let lines: &[&str] = if matches!(behaviour, Behaviour::HangsUp) {
            &["CONNECT 169\n"]
        } else {
            &["CONNECT 169\n", "left"]
        };
        eventually(&format!("{} to be left", monitor.url), || (monitor.asked() == lines).then_some(())).await;
    }
    guest.stop().await;
}
