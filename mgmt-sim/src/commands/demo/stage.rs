//! The demo's stage: the management server and the guest at work, every event shown as it comes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use cloud_channel_protocol::{CloudinitExt, InstanceId, Place, Publication, Subsystem, Topic};
use mgmt_sim::clock::{time_of_day, wall};
use mgmt_sim::event_line;
use mgmt_sim::notice::Notice;
use mgmt_sim::screen::{Paint, say};
use mgmt_sim::server_shell::Management;
use serde_json::Value;
use tokio::time::timeout;

use super::guest::Guest;
use super::id_text;

/// How long anything may take. All of it together takes well under a second, unless the machine is busy.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    pub(super) management: Management,
    pub(super) guest: Guest,
    pub(super) paint: Paint,
}

impl Stage {
    pub(super) fn title(&self, text: &str) -> anyhow::Result<()> {
        Ok(say(&format!("\n{}", self.paint.bold(text)))?)
    }

    /// Runs the daemon's own command, and shows what a person would have typed.
    pub(super) async fn command(
        &self,
        program: &Path,
        arguments: &[&str],
        root: &Path,
    ) -> anyhow::Result<()> {
        let shown = format!("$ cloud-channel {} {}", arguments.join(" "), root.display());
        say(&self.paint.dim(&shown))?;
        let mut command = Command::new(program);
        command.args(arguments).arg(root).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        let output = output.with_context(|| format!("cannot run `{}`", program.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{shown}` failed ({}): {}", output.status, complaint.trim());
        Ok(())
    }

    pub(super) async fn guest_is_ready(&mut self, wanted: &InstanceId) -> anyhow::Result<()> {
        self.until(|notice| match notice {
            Notice::Ready { instance: Some(instance) } if instance == wanted => Some(Ok(())),
            _ => None,
        })
        .await?;
        Ok(say(&format!("{wanted} has dialled in and takes pushes"))?)
    }

    pub(super) async fn hotplug(&mut self, wanted: &InstanceId, mac: &str) -> anyhow::Result<()> {
        self.until(|notice| {
            let Notice::Event(publication) = notice else { return None };
            let topic = Topic::Hotplug(Subsystem::Network);
            let data: Value = serde_json::from_str(publication.data.get()).ok()?;
            let right = publication.channel == topic.channel(wanted)
                && data.pointer("/attrs/address").and_then(Value::as_str) == Some(mac);
            right.then_some(Ok(()))
        })
        .await
    }

    /// Publishes, and shows it; what is shown is chosen by the caller, since a push may hold secrets.
    pub(super) async fn push(&self, publication: &Publication, shown: &str) -> anyhow::Result<()> {
        let tail = publication.channel.segments().skip(2).collect::<Vec<_>>().join("/");
        let time = time_of_day(wall());
        say(&format!("{}  {} {tail}  {shown}", self.paint.dim(&time), self.paint.arrow()))?;
        Ok(self.management.publish(publication.clone()).await?)
    }

    /// Waits for the finish event of a push; anything but SUCCESS is an error.
    pub(super) async fn finish(&mut self, push: &Publication) -> anyhow::Result<()> {
        let id = id_text(push);
        self.until(|notice| match notice {
            Notice::Event(publication) => finished(publication, &id),
            Notice::Reply { id: given, result: Err(error) } if given.text() == id => {
                Some(Err(anyhow::anyhow!("the push did not reach the guest: {error}")))
            }
            _ => None,
        })
        .await
    }

    /// Shows events until one is what is waited for.
    async fn until(
        &mut self,
        mut found: impl FnMut(&Notice) -> Option<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let notice = tokio::select! {
                    // What the guest said before it ended is heard first.
                    biased;
                    notice = self.management.next() => notice.context("the management server has ended")?,
                    error = self.guest.ended() => return Err(error),
                };
                if let Notice::Event(publication) = &notice {
                    say(&event_line::for_people(publication, wall(), self.paint))?;
                }
                if let Some(result) = found(&notice) {
                    return result;
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(result) => result,
            Err(_elapsed) => bail!("nothing came for {} s", PATIENCE.as_secs()),
        }
    }
}

/// Whether this is the finish event of the push with this id, and how it ended.
fn finished(publication: &Publication, id: &str) -> Option<anyhow::Result<()>> {
    let Place::Instance(_, Some(Topic::StageStep(..))) = Place::of(&publication.channel) else { return None };
    let ext = CloudinitExt::from_ext(publication.ext.as_deref()).ok()?;
    if ext.cause?.text() != id {
        return None;
    }
    let data: Value = serde_json::from_str(publication.data.get()).ok()?;
    let text = |key: &str| data.pointer(&format!("/0/{key}")).and_then(Value::as_str);
    match (text("event_type"), text("result")) {
        (Some("finish"), Some("SUCCESS")) => Some(Ok(())),
        (Some("finish"), _) => {
            let text = event_line::plain(text("description").unwrap_or("no description"));
            Some(Err(anyhow::anyhow!("the guest says: {text}")))
        }
        _ => None,
    }
}
