//! `subscribe`.

use std::time::Duration;

use cloud_channel_protocol::client::Backoff;
use cloud_channel_protocol::{Publication, error_chain};
use tokio::time::{Instant, sleep};

use super::arguments::{Format, SubscribeArguments};
use super::client::{Refusal, Session, new_client, with_session};
use super::{OK, complain, print_line};
use crate::clock::Clock;

/// How long a daemon may be gone before it is given up.
const ABSENCE: Duration = Duration::from_secs(60);
/// Between two attempts to come back, at least and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

pub(super) async fn run(arguments: SubscribeArguments) -> anyhow::Result<u8> {
    let mut printer = Printer { format: arguments.format, left: arguments.count };
    if arguments.since.is_some() {
        follow(&arguments, &mut printer).await.map_err(|error| match error.downcast_ref::<Refusal>() {
            Some(_) => error.context("nothing to go on from: `--since all` brings what the daemon has"),
            None => error,
        })?;
    } else {
        with_session(&arguments.target, async |session| {
            subscribe(session, &arguments).await?;
            printer.listen(session).await
        })
        .await?;
    }
    Ok(OK)
}

/// Goes on after the last event when the daemon has been gone: the client remembers which that was.
async fn follow(arguments: &SubscribeArguments, printer: &mut Printer) -> anyhow::Result<()> {
    let mut client = new_client(&arguments.target)?;
    let clock = Clock::start();
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    let mut is_subscribed = false;
    let mut lost_at = Instant::now();
    loop {
        let error = match Session::open(&arguments.target, &mut client, clock).await {
            Err(error) if !is_subscribed || lost_at.elapsed() > ABSENCE => return Err(error),
            Err(error) => error,
            Ok(mut session) => {
                if !is_subscribed {
                    subscribe(&mut session, arguments).await?;
                    is_subscribed = true;
                }
                let Err(error) = printer.listen(&mut session).await else {
                    session.leave().await;
                    return Ok(());
                };
                for event in session.give_up().await {
                    printer.print(&event)?;
                }
                if error.is::<Refusal>() {
                    return Err(error);
                }
                complain(&format!("{}; waiting for the daemon", error_chain(error.as_ref())));
                lost_at = Instant::now();
                backoff.reset();
                error
            }
        };
        if printer.is_done() {
            return Ok(());
        }
        tracing::debug!(error = error_chain(error.as_ref()), "not there yet");
        sleep(backoff.next(crate::ids::random_u64())).await;
    }
}

async fn subscribe(session: &mut Session<'_>, arguments: &SubscribeArguments) -> anyhow::Result<()> {
    for pattern in &arguments.patterns {
        session.subscribe(pattern, arguments.since).await?;
    }
    Ok(())
}

/// Prints events, as many as were asked for.
struct Printer {
    format: Format,
    /// None for no end.
    left: Option<u64>,
}

impl Printer {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    async fn listen(&mut self, session: &mut Session<'_>) -> anyhow::Result<()> {
        while !self.is_done() {
            self.print(&session.next_event().await?)?;
        }
        Ok(())
    }

    fn print(&mut self, event: &Publication) -> anyhow::Result<()> {
        if self.is_done() {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        print_event(event, self.format)
    }
}

/// One line an event.
pub(super) fn print_event(event: &Publication, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => print_line(&event.encode()),
        Format::Text => print_line(&format!("{} {}", event.channel, event.data.get())),
    }
}
