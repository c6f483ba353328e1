//! The daemon within this process, on a machine in memory: it has a network, commands and a kernel's view of both, and
//! nobody is hurt by what is done to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloud_channel::RunError;
use cloud_channel::settings::{Overrides, Settings};
use cloud_channel_handlers::system::MemorySystem;
use cloud_channel_protocol::{Endpoint, InstanceId};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::guest::SOCKET;
use crate::patience::{eventually, within};
use crate::peer::Peer;
use crate::sandbox::INSTANCE;
use crate::stream::Address;

/// Its network file.
pub const NETPLAN: &str = "/etc/netplan/50-cloud-init.yaml";
/// What stands there at first.
pub const OLD: &str = "network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n";

/// A daemon in this process.
#[derive(Debug)]
pub struct Inside {
    folder: Arc<TempDir>,
    system: Arc<MemorySystem>,
    connect: Vec<String>,
    end: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

/// A machine with netplan, networkd and one card that is up.
#[must_use]
pub fn machine() -> MemorySystem {
    let link = |name: &str| format!("/sys/class/net/eth0/{name}");
    MemorySystem::new()
        .with_program("/usr/sbin/netplan")
        .with_program("/usr/sbin/ip")
        .with_program("/usr/bin/networkctl")
        .with_file(NETPLAN, OLD)
        .with_file(&link("address"), "52:54:00:00:00:01\n")
        .with_file(&link("mtu"), "1500\n")
        .with_file(&link("flags"), "0x1003\n")
        .with_file(&link("uevent"), "INTERFACE=eth0\nIFINDEX=2\n")
}

fn settings(folder: &Path, connect: &[String]) -> Settings {
    let endpoint = |url: &str| Endpoint::parse(url).expect("the endpoint is right");
    let unix = format!("unix://{}", folder.join(SOCKET).display());
    let settings = Settings::load(Overrides {
        root: Some(folder.to_owned()),
        instance: Some(InstanceId::parse(INSTANCE).expect("the id is right")),
        listen: vec![endpoint(&unix), endpoint("ws://127.0.0.1:0/events")],
        connect: connect.iter().map(|url| endpoint(url)).collect(),
        dev: true,
        ..Overrides::default()
    });
    settings.expect("the settings are right")
}

/// Is the daemon of a folder, until this process is killed.
///
/// # Panics
/// If it ends by itself.
pub async fn serve(folder: &Path, system: MemorySystem) {
    let ended = cloud_channel::run_on(Arc::new(system), settings(folder, &[]), std::future::pending()).await;
    panic!("the daemon ended: {ended:?}");
}

impl Inside {
    /// Starts it on a machine, with a journal of its own.
    pub async fn start(system: MemorySystem) -> Self {
        Self::start_dialling(system, &[]).await
    }

    /// The same, with management servers to dial.
    pub async fn start_dialling(system: MemorySystem, connect: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Self::start_again(Arc::new(folder), Arc::new(system), connect.to_vec()).await
    }

    async fn start_again(folder: Arc<TempDir>, system: Arc<MemorySystem>, connect: Vec<String>) -> Self {
        let settings = settings(folder.path(), &connect);
        let (end, ended) = oneshot::channel();
        let until = async {
            // Dropped or told, it is over.
            let _told = ended.await;
            "the test"
        };
        let daemon = cloud_channel::run_on(system.clone(), settings, until);
        // In a runtime of its own, which ends with it, as its process would.
        let task = tokio::task::spawn_blocking(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be started").block_on(daemon)
        });
        let inside = Self { folder, system, connect, end, task };
        let socket = inside.socket();
        // One that is left of an earlier daemon takes nobody.
        eventually("the daemon's socket", || std::os::unix::net::UnixStream::connect(&socket).ok()).await;
        let mut asker = Peer::join(&Address::Unix(socket)).await;
        asker.status_when("the daemon to be ready", |status| status["ready"] == true).await;
        asker.leave().await;
        inside
    }

    /// Ends it well and starts it anew: the same machine, the same journal.
    pub async fn restart(self) -> Self {
        let (folder, system, connect) = (self.folder.clone(), self.system.clone(), self.connect.clone());
        self.stop().await;
        Self::start_again(folder, system, connect).await
    }

    /// Ends it well.
    ///
    /// # Panics
    /// If it ends with an error.
    pub async fn stop(self) {
        // It may have ended by itself, which the next line tells.
        let _ended = self.end.send(());
        let ended = within("the daemon to end", self.task).await.expect("the daemon does not panic");
        ended.expect("the daemon ends well");
    }

    /// The machine.
    #[must_use]
    pub fn system(&self) -> &MemorySystem {
        &self.system
    }

    /// A peer on this machine, who hears all results.
    pub async fn here(&self) -> Peer {
        let mut peer = Peer::join(&Address::Unix(self.socket())).await;
        peer.subscribe(&format!("/cloudinit/{INSTANCE}/modules-config/*")).await;
        peer
    }

    /// A peer who comes over the network.
    ///
    /// # Panics
    /// If the daemon does not listen there.
    pub async fn remote(&self) -> Peer {
        Peer::join(&self.tcp().await).await
    }

    /// Where it listens to the network.
    ///
    /// # Panics
    /// If it does not.
    pub async fn tcp(&self) -> Address {
        let mut asker = Peer::join(&Address::Unix(self.socket())).await;
        let status = asker.status().await;
        asker.leave().await;
        let listening = status["listening"].as_array().expect("a list");
        let url = listening.iter().filter_map(|url| url.as_str()).find(|url| url.starts_with("ws://"));
        let authority = url.expect("it listens on TCP").trim_start_matches("ws://");
        let address = authority.split('/').next().expect("an address");
        Address::Tcp(address.to_owned())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }
}
