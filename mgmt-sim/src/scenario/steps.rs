//! What each kind of step does.

use std::path::PathBuf;
use std::time::Duration;

use cloud_channel_protocol::{
    ChannelName, ChannelPattern, CloudinitExt, MessageId, Place, Publication, Topic, Verb,
};
use serde_json::{Value, json};

use super::action::{Action, Cut, Duplicate, Expect, Get, Publish, Push, Verdict};
use super::garbage;
use super::inbox::Wanted;
use super::link::Link;
use super::player::{Player, Stopped};
use super::span::Span;
use crate::fault::Fault;
use crate::matching::mismatch;
use crate::push::{read_messages, to_raw};
use crate::random::message_id;

/// How long no event may come where a step says `none` and no time.
const NONE_WITHIN: Span = Span(Duration::from_secs(1));

type Done = Result<(), Stopped>;

impl Player<'_> {
    pub(super) async fn act(&mut self, action: Action) -> Done {
        match action {
            Action::WaitFor(_) => self.wait_for().await,
            Action::Publish(publish) => self.publish(publish).await,
            Action::Push(push) => self.push(push).await,
            Action::Get(get) => self.get(get).await,
            Action::Expect(expect) => self.expect(expect).await,
            Action::Cut(Cut { away }) => {
                let away = away.map_or(Duration::ZERO, |away| away.0);
                // Connections that come from now on count; those that go are cut by us.
                self.lines.clear();
                self.not_ready();
                Ok(self.link.fault(Fault::Cut { away }).await?)
            }
            Action::Delay(time) => Ok(self.link.fault(Fault::Hold(time.0)).await?),
            Action::Duplicate(duplicate) => self.duplicate(duplicate).await,
            Action::Garbage(garbage) => garbage::send(self, garbage).await,
        }
    }

    async fn wait_for(&mut self) -> Done {
        let deadline = self.deadline(None);
        let there =
            self.until(deadline, |player| (player.ready && !player.lines.is_empty()).then_some(())).await?;
        let wanted = match &self.instance {
            Some(instance) => format!("instance {instance} to be there"),
            None => "a guest to be there".to_owned(),
        };
        there.ok_or_else(|| self.failed(format!("{wanted} within {}", self.scenario.patience), Vec::new()))
    }

    async fn publish(&mut self, publish: Publish) -> Done {
        let channel = self.channel(&publish.channel)?;
        let publication = Publication {
            channel,
            id: Some(publish.id.map_or_else(message_id, |id| MessageId::from_text(&id))),
            data: to_raw(&publish.data.0),
            ext: publish.ext.as_ref().map(to_raw),
        };
        self.send(publication, publish.reply, publish.within).await
    }

    async fn push(&mut self, push: Push) -> Done {
        let (data, module) = self.payload(&push)?;
        let module = push.module.or(module).ok_or_else(|| {
            Stopped::Scenario("the file names no module: expected `module` beside it".to_owned())
        })?;
        let ext = CloudinitExt {
            generation: push.generation,
            dry_run: push.dry_run,
            confirm_seconds: push.confirm_seconds,
            ..CloudinitExt::default()
        };
        let publication = Publication {
            channel: self.channel(&format!("config/set/{module}"))?,
            id: Some(push.id.map_or_else(message_id, |id| MessageId::from_text(&id))),
            data: to_raw(&data),
            ext: (ext != CloudinitExt::default()).then(|| ext.to_ext()),
        };
        self.last_push = Some(publication.clone());
        self.send(publication, push.reply, push.within).await
    }

    /// What is pushed, and the module if the file says so.
    fn payload(&self, push: &Push) -> Result<(Value, Option<String>), Stopped> {
        let Some(name) = &push.file else {
            return Ok((push.data.clone().map_or(Value::Null, |data| data.0), None));
        };
        let folder = self.scenario.file.parent().map_or_else(PathBuf::new, PathBuf::from);
        let path = folder.join(name);
        let wrong = |text: String| Stopped::Scenario(format!("cannot push `{}`: {text}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let document: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !document.is_array() && document.get("channel").is_none() {
            return Ok((document, None));
        }
        let messages = read_messages(&text).map_err(|error| wrong(error.to_string()))?;
        let [message] = messages.as_slice() else {
            return Err(wrong(format!("expected one message, found {}", messages.len())));
        };
        let module = match Place::of(&message.channel) {
            Place::Instance(_, Some(Topic::Config(Verb::Set, module))) => Some(module.to_string()),
            _ => None,
        };
        let data = serde_json::from_str(message.data.get()).map_err(|error| wrong(error.to_string()))?;
        Ok((data, module))
    }

    async fn duplicate(&mut self, duplicate: Duplicate) -> Done {
        let push = self.last_push.clone();
        let push = push.ok_or_else(|| Stopped::Scenario("there is no push to send again".to_owned()))?;
        self.send(push, duplicate.reply, duplicate.within).await
    }

    async fn get(&mut self, get: Get) -> Done {
        let channel = self.channel(&format!("config/get/{}", get.module))?;
        let id = message_id();
        let question = Publication {
            channel: channel.clone(),
            id: Some(id.clone()),
            data: to_raw(&json!({})),
            ext: None,
        };
        self.send(question, Some(Verdict::Any), get.within).await?;
        let wanted = Wanted {
            channel: ChannelPattern::parse(channel.as_str()).expect("a channel is a pattern"),
            data: None,
            ext: Some(json!({"cloudinit": {"cause": id.text()}})),
        };
        let deadline = self.deadline(get.within);
        let answer = self
            .until(deadline, |player| match player.replies.get(&id) {
                Some(Err(refusal)) => Some(Err(refusal.clone())),
                _ => player.inbox.take(&wanted, 1).map(Ok),
            })
            .await?;
        let expected = format!("an answer about {}", get.module);
        match (answer, &get.answer) {
            (None, _) => Err(self.failed(expected, self.inbox.explain(&wanted))),
            (Some(Err(refusal)), _) => Err(self.failed(expected, vec![format!("refused: {refusal}")])),
            (Some(Ok(_)), None) => Ok(()),
            (Some(Ok(answers)), Some(part)) => match mismatch(part, answers.first(), "answer") {
                None => Ok(()),
                Some(why) => Err(self.failed(format!("{expected} that has {part}"), vec![why])),
            },
        }
    }

    async fn expect(&mut self, expect: Expect) -> Done {
        let text = self.full_channel(&expect.channel)?;
        let wanted = Wanted {
            channel: ChannelPattern::parse(&text).map_err(|error| Stopped::Scenario(error.to_string()))?,
            data: expect.data,
            ext: expect.ext,
        };
        if expect.none {
            let within = expect.within.unwrap_or(NONE_WITHIN);
            let deadline = self.deadline(Some(within));
            let came = self.until(deadline, |player| (player.inbox.count(&wanted) > 0).then_some(())).await?;
            let expected = format!("no such event on {text} for {within}");
            return came.map_or(Ok(()), |()| Err(self.failed(expected, self.inbox.last(5))));
        }
        let count = expect.count.unwrap_or(1);
        let within = expect.within.unwrap_or(self.scenario.patience);
        let deadline = self.deadline(Some(within));
        if self.until(deadline, |player| player.inbox.take(&wanted, count)).await?.is_some() {
            return Ok(());
        }
        let found = self.inbox.count(&wanted);
        let mut expected = format!("{count} on {text} within {within}, {found} came");
        for (what, value) in [("data", &wanted.data), ("ext", &wanted.ext)] {
            if let Some(value) = value {
                expected.push_str(&format!("; {what} {value}"));
            }
        }
        Err(self.failed(expected, self.inbox.explain(&wanted)))
    }

    /// Publishes and waits for the verdict.
    async fn send(
        &mut self,
        publication: Publication,
        verdict: Option<Verdict>,
        within: Option<Span>,
    ) -> Done {
        let Some(id) = publication.id.clone() else { return Ok(()) };
        self.replies.remove(&id);
        self.last_id = Some(id.clone());
        let channel = publication.channel.clone();
        self.link.publish(publication).await?;
        let deadline = self.deadline(within);
        let reply = |player: &mut Self| player.replies.get(&id).cloned();
        match verdict.unwrap_or(Verdict::Ok) {
            Verdict::Any => Ok(()),
            Verdict::Ok => match self.until(deadline, reply).await? {
                Some(Ok(())) => Ok(()),
                Some(Err(error)) => Err(self.failed(format!("{channel} to be taken"), vec![error])),
                None => {
                    Err(self.failed(format!("{channel} to be taken"), vec!["no reply, no ack".to_owned()]))
                }
            },
            Verdict::Refused(part) => {
                let refusal = refusal_event(&channel, &id, &part);
                let serving = matches!(self.link, Link::Serving(_));
                let refused = |player: &mut Self| match reply(player) {
                    Some(Err(error)) => Some(Err(error)),
                    // A guest that has dialled us takes every message, and refuses by an event.
                    _ if serving => {
                        refusal.as_ref().and_then(|wanted| player.inbox.take(wanted, 1)).map(|_| Ok(()))
                    }
                    taken => taken.map(|_| Err("it was taken".to_owned())),
                };
                let expected = format!("{channel} to be refused with {part:?}");
                match self.until(deadline, refused).await? {
                    Some(Ok(())) => Ok(()),
                    Some(Err(error)) if error.contains(&part) => Ok(()),
                    Some(Err(error)) => Err(self.failed(expected, vec![error])),
                    None => Err(self.failed(expected, self.inbox.last(5))),
                }
            }
        }
    }

    pub(super) fn full_channel(&self, text: &str) -> Result<String, Stopped> {
        if text.starts_with('/') {
            return Ok(text.to_owned());
        }
        match &self.instance {
            Some(instance) => Ok(format!("/cloudinit/{instance}/{text}")),
            None => {
                let text =
                    "the guest's instance-id is not known yet: wait for the guest first, or give --instance";
                Err(Stopped::Scenario(text.to_owned()))
            }
        }
    }

    fn channel(&self, text: &str) -> Result<ChannelName, Stopped> {
        ChannelName::parse(&self.full_channel(text)?).map_err(|error| Stopped::Scenario(error.to_string()))
    }
}

/// The FAIL finish event by which a guest that dialled us refuses a push.
fn refusal_event(channel: &ChannelName, id: &MessageId, part: &str) -> Option<Wanted> {
    let Place::Instance(instance, Some(Topic::Config(_, module))) = Place::of(channel) else { return None };
    let results = format!("/cloudinit/{instance}/modules-config/{module}");
    Some(Wanted {
        channel: ChannelPattern::parse(&results).ok()?,
        data: Some(json!([{"event_type": "finish", "result": "FAIL", "description": {"$contains": part}}])),
        ext: Some(json!({"cloudinit": {"cause": id.text()}})),
    })
}
