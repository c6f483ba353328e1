//! The task that hears uevents, and the one that hears of links.
//!
//! ```text
//! socket ──batch──▶ look (a thread that ends) ──▶ inventory ──facts──▶ driver ──▶ clerk
//!    ▲                                                                              │
//!    └──────────────────────── next batch, once it is recorded ◀────────────────────┘
//! ```
//!
//! One batch is under way at a time: what comes meanwhile waits in the kernel, and if that has to drop something, a scan
//! finds what differs.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::device::Device;
use super::figures::Figures;
use super::inventory::{Fact, Inventory};
use super::links::{self, Links};
use super::matching::Since;
use super::observed::Observed;
use super::socket::{KernelSocket, Received};
use super::sysfs::Sysfs;
use super::uevent::{self, Action, Uevent};
use crate::happening::{DriverEnded, DriverHandle, Happening};

/// From when on, after the machine's start, what is missing has gone. Until then drivers are still being loaded, and
/// disks and cards may be found late.
const SETTLED: Duration = Duration::from_secs(120);
/// Uevents that are looked at together, and facts that are recorded together: one commit of the journal.
const BATCH: usize = 32;
/// Datagrams that are read before anybody else has a turn.
const READS: usize = 256;
/// Largest message about a link; one of a card with all its attributes has about 2 KiB.
const LARGEST_LINK: usize = 16_384;

/// What the listeners share.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) sysfs: Arc<Sysfs>,
    pub(super) driver: DriverHandle,
    pub(super) figures: Arc<Figures>,
}

/// Hears uevents.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: KernelSocket,
    pub(super) around: Surroundings,
    pub(super) inventory: Inventory,
    /// Something was lost.
    pub(super) is_behind: bool,
    /// When the machine is taken to have found all its devices, as long as that matters.
    pub(super) settles: Option<Instant>,
}

/// Why a listener ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// With everything.
    #[error(transparent)]
    Driver(#[from] DriverEnded),
    /// By a fault.
    #[error("cannot receive from the kernel")]
    Socket(#[from] io::Error),
}

impl Listener {
    /// Listens until the end; and to links, once it has begun, one look at the machine after the other.
    pub(super) async fn run(mut self, is_first: bool, links: KernelSocket) {
        let ended = self.begin(is_first).await;
        tokio::spawn(follow_links(links, self.around.clone()));
        let ended = match ended {
            Ok(()) => {
                // From now on everything is told.
                self.around.figures.listening.store(true, Ordering::Relaxed);
                self.listen().await
            }
            Err(ended) => Err(ended),
        };
        self.around.figures.listening.store(false, Ordering::Relaxed);
        tell_of_end(ended, "hotplugged devices are told of no more");
    }

    /// What was plugged while nobody listened.
    async fn begin(&mut self, is_first: bool) -> Result<(), Ended> {
        let Some(there) = self.scan().await else {
            // Then nothing is known to be gone, either.
            tracing::warn!(
                "cannot read `/sys/class/net`: devices that came or went meanwhile are not told of"
            );
            return Ok(());
        };
        let facts = if is_first {
            tracing::debug!(devices = there.len(), "devices learned");
            vec![self.inventory.learn(there)]
        } else {
            let left = SETTLED.saturating_sub(uptime());
            let since = if left.is_zero() { Since::Start } else { Since::Boot };
            let facts = self.inventory.compare(there, since);
            self.settles = self.inventory.is_waiting().then(|| Instant::now() + left);
            facts
        };
        self.tell(facts).await
    }

    async fn listen(&mut self) -> Result<(), Ended> {
        loop {
            let settles = self.settles;
            let settled = async {
                match settles {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let (uevents, is_drained) = tokio::select! {
                biased;
                next = self.next() => next?,
                () = settled => {
                    self.settles = None;
                    let gone = self.inventory.wait_no_more();
                    self.tell(gone).await?;
                    continue;
                }
            };
            let looked = self.look(uevents).await;
            let facts = looked.into_iter().filter_map(|(uevent, seen)| self.inventory.hear(&uevent, seen));
            let facts = facts.collect();
            self.tell(facts).await?;
            // After all that was heard, in its order.
            if is_drained && self.is_behind {
                self.catch_up().await?;
            }
        }
    }

    /// Waits for uevents; a batch of them, and whether there are no more.
    async fn next(&mut self) -> Result<(Vec<Uevent>, bool), Ended> {
        let mut guard = self.socket.readable().await?;
        let mut uevents = Vec::new();
        let mut buffer = [0; uevent::LARGEST];
        for _ in 0..READS {
            match self.socket.receive(&mut buffer)? {
                Received::Nothing => {
                    guard.clear_ready();
                    return Ok((uevents, true));
                }
                Received::Overrun => {
                    self.around.figures.overrun();
                    self.is_behind = true;
                }
                Received::Foreign => self.around.figures.refuse(),
                Received::Datagram(datagram) => match uevent::parse(datagram) {
                    Ok(uevent) => uevents.extend(uevent.filter(|it| self.around.sysfs.can_be_told(it))),
                    Err(error) => {
                        self.around.figures.refuse();
                        tracing::warn!(%error, "a uevent is not understood");
                    }
                },
            }
            if uevents.len() >= BATCH {
                break;
            }
        }
        Ok((uevents, false))
    }

    /// Looks at the devices that are still there.
    async fn look(&self, uevents: Vec<Uevent>) -> Vec<(Uevent, Option<Device>)> {
        if uevents.iter().all(|uevent| uevent.action == Action::Remove) {
            return uevents.into_iter().map(|uevent| (uevent, None)).collect();
        }
        let sysfs = self.around.sysfs.clone();
        aside(move || {
            let look = |uevent: Uevent| {
                tracing::debug!(
                    seqnum = uevent.seqnum,
                    devpath = uevent.devpath,
                    action = uevent.action.word(),
                    "uevent"
                );
                let seen = if uevent.action == Action::Remove { None } else { sysfs.look(&uevent) };
                (uevent, seen)
            };
            uevents.into_iter().map(look).collect()
        })
        .await
    }

    async fn scan(&self) -> Option<Vec<Device>> {
        let sysfs = self.around.sysfs.clone();
        aside(move || sysfs.scan()).await
    }

    /// Finds out what was lost.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        self.around.figures.rescan();
        self.is_behind = false;
        let Some(there) = self.scan().await else {
            tracing::warn!(
                "the kernel has dropped uevents, and `/sys/class/net` cannot be read to make up for them"
            );
            return Ok(());
        };
        let facts = self.inventory.compare(there, Since::Overrun);
        tracing::warn!(
            found = facts.len(),
            "the kernel has dropped uevents, so all devices were looked at anew"
        );
        self.tell(facts).await
    }

    /// Has facts recorded and published, a batch after the other.
    async fn tell(&self, facts: Vec<Fact>) -> Result<(), Ended> {
        let mut facts = facts.into_iter().peekable();
        while facts.peek().is_some() {
            let batch: Vec<Fact> = facts.by_ref().take(BATCH).collect();
            let events = batch.iter().filter_map(|fact| fact.event.as_ref());
            let told: Vec<_> = events.map(|event| (event.subsystem, event.action)).collect();
            let (recorded, is_recorded) = oneshot::channel();
            let observed = Box::new(Observed { facts: batch, recorded });
            self.around.driver.tell(Happening::Hardware(observed)).await?;
            is_recorded.await.map_err(|_| DriverEnded)?;
            for (subsystem, action) in told {
                self.around.figures.told(subsystem, action);
            }
        }
        Ok(())
    }
}

/// Hears of links until the end.
async fn follow_links(socket: KernelSocket, around: Surroundings) {
    let ended = listen_to_links(&socket, &around).await;
    tell_of_end(ended, "links that change are noticed no more");
}

async fn listen_to_links(socket: &KernelSocket, around: &Surroundings) -> Result<(), Ended> {
    let sysfs = around.sysfs.clone();
    let mut links = Links::default();
    links.replace(aside(move || sysfs.links()).await);
    // The last step of the start, most of which is not run again soon.
    if let Err(error) = crate::footprint::release_code() {
        tracing::debug!(%error, "the code stays in memory");
    }
    let mut is_behind = false;
    loop {
        let mut guard = socket.readable().await?;
        let (differs, is_drained) = read_links(socket, around, &mut links, &mut is_behind)?;
        if is_drained {
            guard.clear_ready();
        }
        if is_drained && std::mem::take(&mut is_behind) {
            around.figures.rescan();
            let sysfs = around.sysfs.clone();
            links.replace(aside(move || sysfs.links()).await);
            around.driver.tell(Happening::KernelLinksChanged).await?;
        } else if differs {
            around.driver.tell(Happening::KernelLinksChanged).await?;
        }
    }
}

/// Reads what is there: whether something differs, and whether there is no more.
fn read_links(
    socket: &KernelSocket,
    around: &Surroundings,
    links: &mut Links,
    is_behind: &mut bool,
) -> io::Result<(bool, bool)> {
    let mut buffer = [0; LARGEST_LINK];
    let mut differs = false;
    for _ in 0..READS {
        match socket.receive(&mut buffer)? {
            Received::Nothing => return Ok((differs, true)),
            Received::Overrun => {
                around.figures.overrun();
                *is_behind = true;
            }
            Received::Foreign => around.figures.refuse(),
            Received::Datagram(datagram) => match links::parse(datagram) {
                Ok(news) => {
                    for news in news {
                        differs |= links.hear(news);
                    }
                }
                Err(error) => {
                    around.figures.refuse();
                    tracing::warn!(%error, "a message about links is not understood");
                }
            },
        }
    }
    Ok((differs, false))
}

/// How long the machine runs.
fn uptime() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    // The kernel's own clock, which is never before its start.
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn tell_of_end(ended: Result<(), Ended>, loss: &str) {
    if let Err(error @ Ended::Socket(_)) = ended {
        tracing::warn!(error = &error as &dyn std::error::Error, "{loss}");
    }
}

/// Does on a thread that ends with it what may have to wait for a device.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = Arc::new(Mutex::new(Some(work)));
    let (done, result) = oneshot::channel();
    let theirs = work.clone();
    let spawned = std::thread::Builder::new().name("hotplug".to_owned()).spawn(move || {
        if let Some(work) = take(&theirs) {
            // Whoever waited may have ended.
            let _unheard = done.send(work());
        }
    });
    if spawned.is_err()
        && let Some(work) = take(&work)
    {
        // There is no thread to be had: it is done here, and the others wait.
        return work();
    }
    result.await.expect("the thread ends with its result")
}

fn take<W>(work: &Mutex<Option<W>>) -> Option<W> {
    work.lock().unwrap_or_else(PoisonError::into_inner).take()
}
