//! `serve`: a management server that shows what guests publish, and answers hotplugs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use cloud_channel_protocol::signing::SigningKey;
use cloud_channel_protocol::{Endpoint, InstanceId, Place, Publication, Subsystem, Topic};
use mgmt_sim::bearer::BearerFile;
use mgmt_sim::clock::{time_of_day, wall};
use mgmt_sim::event_line;
use mgmt_sim::notice::Notice;
use mgmt_sim::push::{read_messages, readdressed, signed, with_mac};
use mgmt_sim::screen::{Paint, say};
use mgmt_sim::server_shell::{Management, ManagementConfig};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{Ending, failed, usage};

const DEFAULT_LISTEN: &str = "ws://127.0.0.1:8080/events";

/// Wait for guests and show what they publish.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mgmt-sim serve
      on ws://127.0.0.1:8080/events; a guest dials with: cloud-channel run --connect ws://127.0.0.1:8080/events
  mgmt-sim serve --listen unix:///tmp/mgmt.sock --on-hotplug specs/examples/config-set-network-hotplug.json
      push that config to each guest that reports a plugged NIC, with the NIC's MAC address in it
  mgmt-sim serve --listen hybrid-vsock:///tmp/vm.vsock:169 --format json
      for a Firecracker or Cloud Hypervisor guest that dials vsock://events: listens on /tmp/vm.vsock_169")]
pub(super) struct ServeArguments {
    /// Where to listen: ws://HOST:PORT/events, unix:///PATH, vsock://:PORT, hybrid-vsock:///PATH:PORT. Repeatable.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text), default_value = DEFAULT_LISTEN)]
    listen: Vec<Endpoint>,
    /// Push the messages of this file when a guest reports a NIC as added. Their ids are made anew, their channels
    /// lead to that guest, and if they name one MAC address, it becomes the NIC's. Repeatable, in order.
    #[arg(long, value_name = "FILE")]
    on_hotplug: Vec<PathBuf>,
    /// Sign what is pushed with this Ed25519 key (PEM), as guests with management keys ask for.
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// What guests call that key; without it, the file's name without its ending.
    #[arg(long, value_name = "NAME", requires = "sign")]
    key_name: Option<String>,
    /// Let in only who shows the bearer token in this file, in `Authorization`. It is read anew for each.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let clients in that name no instance: they may read all events but no config, and publish nothing.
    #[arg(long)]
    anyone: bool,
    /// How events are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

pub(super) async fn run(arguments: ServeArguments) -> Ending {
    let mut answers = Vec::new();
    for file in &arguments.on_hotplug {
        answers.extend(read_answers(file).map_err(usage)?);
    }
    let key = arguments.sign.as_deref().map(|file| read_key(file, arguments.key_name.as_deref()));
    let key = key.transpose().map_err(usage)?;
    let token = arguments.token_file.map(BearerFile::at);
    let config = ManagementConfig { anyone: arguments.anyone, token, ..ManagementConfig::default() };
    let management = Management::start(&arguments.listen, config).await.map_err(failed)?;
    let desk = Desk { management, answers, key, format: arguments.format, paint: Paint::detect() };
    desk.work().await.map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn read_answers(file: &Path) -> anyhow::Result<Vec<Publication>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    read_messages(&text).with_context(|| format!("`{}` holds no messages", file.display()))
}

fn read_key(file: &Path, name: Option<&str>) -> anyhow::Result<SigningKey> {
    let pem =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the key `{}`", file.display()))?;
    let of_file = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    SigningKey::from_pem(name.unwrap_or(of_file), &pem)
        .with_context(|| format!("cannot use the key `{}`", file.display()))
}

struct Desk {
    management: Management,
    answers: Vec<Publication>,
    /// What pushes are signed with.
    key: Option<SigningKey>,
    format: Format,
    paint: Paint,
}

impl Desk {
    async fn work(mut self) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        for endpoint in self.management.endpoints().to_vec() {
            self.tell("listening", &endpoint, &json!({ "endpoint": endpoint }))?;
        }
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                notice = self.management.next() => match notice {
                    Some(notice) => self.noticed(notice).await?,
                    None => anyhow::bail!("the management server has ended by itself"),
                },
            }
        }
        self.tell("stopping", "", &json!({}))?;
        self.management.stop().await?;
        Ok(())
    }

    async fn noticed(&mut self, notice: Notice) -> anyhow::Result<()> {
        let name = |instance: Option<InstanceId>| {
            instance.map_or_else(|| "an observer".to_owned(), |id| id.to_string())
        };
        match notice {
            Notice::Event(publication) => return self.event(publication).await,
            Notice::LineUp { line, other } => {
                let text = format!("{line} from {other}");
                self.tell("connection up", &text, &json!({ "line": line, "from": other }))
            }
            Notice::LineDown { line, reason } => {
                let text = format!("{line}: {}", event_line::plain(&reason));
                self.tell("connection down", &text, &json!({ "line": line, "reason": reason }))
            }
            Notice::Up { instance, .. } => {
                let guest = name(instance);
                self.tell("session", &format!("{guest} is here"), &json!({ "instance": guest }))
            }
            Notice::Ready { instance } => {
                let guest = name(instance);
                self.tell("ready", &format!("{guest} takes pushes"), &json!({ "instance": guest }))
            }
            Notice::Down { instance, reason } => {
                let guest = name(instance);
                let text = format!("{guest} is gone ({reason})");
                self.tell("session end", &text, &json!({ "instance": guest, "reason": reason }))
            }
            Notice::Reply { id, result } => {
                let (kind, text, error) = match result {
                    Ok(()) => ("push taken", format!("{} is with the guest", id.text()), None),
                    Err(error) => ("push lost", format!("{}: {error}", id.text()), Some(error)),
                };
                self.tell(kind, &text, &json!({ "id": id.text(), "error": error }))
            }
            Notice::Remark(text) => self.tell("remark", &event_line::plain(&text), &json!({ "text": text })),
            Notice::Missed(count) => {
                self.tell("missed", &format!("{count} notices"), &json!({ "count": count }))
            }
        }
    }

    async fn event(&mut self, publication: Publication) -> anyhow::Result<()> {
        match self.format {
            Format::Text => say(&event_line::for_people(&publication, wall(), self.paint))?,
            Format::Json => say(&event_line::for_programs(&publication, wall()))?,
        }
        let Some((instance, address)) = added_nic(&publication) else { return Ok(()) };
        for answer in &self.answers {
            let push = readdressed(&with_mac(answer, &address), &instance);
            let push = match &self.key {
                Some(key) => signed(&push, key, wall())?,
                None => push,
            };
            let id = push.id.as_ref().map(cloud_channel_protocol::MessageId::text).unwrap_or_default();
            let text = format!("{} {} {id}", self.paint.arrow(), push.channel);
            self.tell("push sent", &text, &json!({ "id": id, "channel": push.channel.as_str() }))?;
            self.management.publish(push).await?;
        }
        Ok(())
    }

    /// One line of our own, about the server and not from a guest.
    fn tell(&self, kind: &str, text: &str, fields: &Value) -> anyhow::Result<()> {
        match self.format {
            Format::Text => {
                let time = time_of_day(wall());
                say(&self.paint.dim(&format!("{time}  {kind:<15} {text}")))?;
            }
            Format::Json => {
                let mut line = json!({ "kind": kind.replace(' ', "_"), "time": wall().as_secs_f64() });
                if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
                    line.extend(fields.clone());
                }
                say(&line.to_string())?;
            }
        }
        Ok(())
    }
}

/// The guest and the MAC address, if the event says that a NIC was added.
fn added_nic(publication: &Publication) -> Option<(InstanceId, String)> {
    let Place::Instance(instance, Some(Topic::Hotplug(Subsystem::Network))) = Place::of(&publication.channel)
    else {
        return None;
    };
    let data: Value = serde_json::from_str(publication.data.get()).ok()?;
    let added = data.get("action").and_then(Value::as_str) == Some("add");
    let address = data.pointer("/attrs/address").and_then(Value::as_str)?;
    added.then(|| (instance, address.to_owned()))
}
