//! The daemon: settings become bound sockets, bound sockets become a running broker, and signals end it.

use std::sync::Arc;
use std::time::Duration;

use cloud_channel_handlers::System;
use cloud_channel_handlers::system::HostSystem;
use cloud_channel_protocol::server::ServerConfig;
use tokio::time::timeout;

use crate::clerk::{self, Desk};
use crate::clock::Clock;
use crate::driver::{Driver, Parts};
use crate::guest::instance::UnknownInstance;
use crate::happening::{DriverHandle, Happening};
use crate::journal::{JournalError, JournalLimits};
use crate::link::Link;
use crate::policy::PeerPolicy;
use crate::settings::Settings;
use crate::shutdown::{Watchdog, notify_stopping, signalled};
use crate::transport::http::{Web, serve};
use crate::transport::inherited::{self, InheritedSocket};
use crate::transport::listener::{ListenError, Listener};
use crate::transport::registry::ConnectionRegistry;

/// How long the end may take. What is not done by then is taken up from the journal after the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);

/// Why the daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The machine's id is not known.
    #[error(transparent)]
    Instance(#[from] UnknownInstance),
    /// A socket could not be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Development mode trusts everybody, so nobody from elsewhere may reach it.
    #[error(
        "`--dev` trusts every peer, so it listens on loopback and Unix sockets only: {endpoint} is neither"
    )]
    DevExposed {
        /// The endpoint in question.
        endpoint: String,
    },
    /// The journal is of no use.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something of the system that everything needs.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// If it cannot start, or its journal fails.
pub fn run(settings: Settings) -> Result<(), RunError> {
    let clock = Clock::start();
    let inherited =
        inherited::take().map_err(|source| RunError::System { action: "take inherited sockets", source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RunError::System { action: "start the runtime", source })?;
    runtime.block_on(run_in_runtime(settings, inherited, clock))
}

async fn run_in_runtime(
    settings: Settings,
    inherited: Vec<InheritedSocket>,
    clock: Clock,
) -> Result<(), RunError> {
    let instance = match settings.instance.clone() {
        Some(instance) => instance,
        None => crate::guest::instance::read(&settings.root_folder())?,
    };
    let listeners = bind(&settings, inherited).await?;
    let system: Arc<dyn System> = Arc::new(match &settings.root {
        Some(root) => HostSystem::sandbox(root.clone()),
        None => HostSystem::real(),
    });
    let (driver, happenings) = DriverHandle::new();
    let (clerk, clerk_thread) = clerk::start(Desk {
        folder: settings.root_folder(),
        limits: JournalLimits::default(),
        system: system.clone(),
        driver: driver.clone(),
        clock,
    })
    .map_err(|source| RunError::System { action: "start the clerk's thread", source })?;
    let server = ServerConfig::default();
    let registry = Arc::new(ConnectionRegistry::default());
    let listening = listeners.iter().map(|listener| listener.endpoint().to_owned()).collect();
    for listener in listeners {
        let web = Web { driver: driver.clone(), registry: registry.clone(), limits: server.limits.clone() };
        tokio::spawn(serve(listener, web));
    }
    let link = (!settings.connect.is_empty()).then(|| {
        let endpoints = settings.connect.clone();
        let (handle, link) = Link::new(&instance, endpoints, server.limits.clone(), driver.clone(), clock);
        tokio::spawn(link.run());
        handle
    });
    tokio::spawn(end_on_signal(driver.clone()));
    let driver = Driver::new(Parts {
        instance,
        server,
        policy: PeerPolicy::new(settings.dev, rustix::process::geteuid().as_raw(), settings.host_ports),
        registry,
        clerk: clerk.clone(),
        link,
        system,
        handle: driver,
        clock,
        listening,
        watchdog: Watchdog::from_environment(),
    });
    driver.run(happenings).await;
    clerk.close();
    clerk_thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    tracing::info!("stopped");
    Ok(())
}

/// Binds all there is to listen on, before anything else is started.
async fn bind(settings: &Settings, inherited: Vec<InheritedSocket>) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::new();
    for socket in inherited {
        listeners.push(socket.into_listener()?);
    }
    // Sockets of the service manager take the place of our defaults, not of what was asked for by name.
    if listeners.is_empty() || settings.listen_is_explicit {
        for endpoint in &settings.listen {
            match Listener::bind(endpoint).await {
                Ok(listener) => listeners.push(listener),
                Err(error) if !settings.listen_is_explicit && settings.is_optional(endpoint) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "going on without a default listener"
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if settings.dev {
        tracing::warn!(
            "DEVELOPMENT MODE: every peer that reaches a listener may do everything to this machine"
        );
        if let Some(exposed) = listeners.iter().find(|listener| !listener.is_local()) {
            return Err(RunError::DevExposed { endpoint: exposed.endpoint().to_owned() });
        }
    }
    Ok(listeners)
}

async fn end_on_signal(driver: DriverHandle) {
    match signalled().await {
        Ok(signal) => tracing::info!(signal, "ending"),
        Err(error) => tracing::error!(%error, "cannot wait for signals, ending"),
    }
    notify_stopping();
    let drained = async {
        // The driver's end is the end of this task too: the runtime goes with it.
        let _ended = driver.tell(Happening::Stop).await;
        std::future::pending::<()>().await;
    };
    if timeout(DRAIN_DEADLINE, drained).await.is_err() {
        tracing::error!(seconds = DRAIN_DEADLINE.as_secs(), "not done in time, ending all the same");
        std::process::exit(1);
    }
}
