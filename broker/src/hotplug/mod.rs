//! Hardware events of the kernel: cards and disks that come, go and change, told as `hotplug/*`, and links that change,
//! which may make possible what was deferred.
//!
//! Two netlink sockets, a task each. `uevent` and `links` parse, `sysfs` and `kind` add what the kernel does not say, `inventory`
//! decides what is news, `matching` knows devices again after a restart, `burst` makes one of many changes.

mod burst;
mod device;
mod devpath;
mod figures;
mod ignore;
mod inventory;
mod kind;
mod links;
mod listener;
mod matching;
mod observed;
mod socket;
mod sysfs;
#[cfg(test)]
mod tests;
mod uevent;

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

pub(crate) use burst::Burst;
pub use device::Device;
use figures::Figures;
pub(crate) use figures::HotplugFigures;
pub use ignore::NameGlob;
pub(crate) use inventory::Fact;
use inventory::Inventory;
use listener::{Listener, Surroundings};
pub(crate) use observed::Observed;
use socket::KernelSocket;
use sysfs::Sysfs;

use crate::happening::DriverHandle;
use crate::journal::KnownDevices;
use crate::settings::HotplugSettings;

/// What the driver has of the listeners.
#[derive(Debug, Default)]
pub(crate) struct Hotplug {
    figures: Arc<Figures>,
    /// Where the devices go that the journal knows, once it is open.
    known: Option<oneshot::Sender<KnownDevices>>,
}

impl Hotplug {
    /// Opens the sockets, so that nothing is missed from now on, and starts listening if that is wanted.
    pub(crate) fn start(settings: &HotplugSettings, driver: &DriverHandle) -> Self {
        let mut hotplug = Self::default();
        if !settings.listen {
            return hotplug;
        }
        let figures = hotplug.figures.clone();
        let around = Surroundings { sysfs: Arc::new(Sysfs::real()), driver: driver.clone(), figures };
        match open(settings.buffer) {
            Ok((uevents, links)) => {
                let (sender, known) = oneshot::channel();
                hotplug.known = Some(sender);
                tokio::spawn(listen([uevents, links], around, settings.ignore.clone(), known));
            }
            Err(error) => tracing::warn!(
                %error,
                "cannot open netlink sockets: hotplugged devices are told of only by `cloud-channel hotplug`, and a \
                 changed link is not noticed (a service needs `RestrictAddressFamilies=AF_NETLINK`)"
            ),
        }
        hotplug
    }

    /// The journal is open: listening begins with what it knows.
    pub(crate) fn begin(&mut self, known: KnownDevices) {
        if let Some(sender) = self.known.take() {
            // It has ended already, and said why.
            let _ended = sender.send(known);
        }
    }

    /// What was counted so far.
    pub(crate) fn figures(&self) -> HotplugFigures {
        self.figures.now()
    }
}

fn open(buffer: usize) -> io::Result<(KernelSocket, KernelSocket)> {
    Ok((KernelSocket::of_uevents(buffer)?, KernelSocket::of_links(buffer)?))
}

/// Waits for what the journal knows, then listens.
async fn listen(
    [socket, links]: [KernelSocket; 2],
    around: Surroundings,
    ignore: Vec<NameGlob>,
    known: oneshot::Receiver<KnownDevices>,
) {
    // Without a journal the daemon ends.
    let Ok(known) = known.await else { return };
    let is_first = known.is_none();
    let inventory = Inventory::new(known.unwrap_or_default(), ignore);
    Listener { socket, around, inventory, is_behind: false, settles: None }.run(is_first, links).await;
}
