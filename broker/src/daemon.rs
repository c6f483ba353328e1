//! The daemon: settings become bound sockets, bound sockets become a running broker, and signals end it.

use std::sync::Arc;
use std::time::Duration;

use cloud_channel_handlers::System;
use cloud_channel_handlers::system::HostSystem;
use cloud_channel_protocol::Endpoint;
use cloud_channel_protocol::server::extensions::{Activity, Extension, Timestamp, Timesync};
use tokio::time::timeout;

use crate::clerk::{self, Desk};
use crate::clock::Clock;
use crate::driver::{Driver, Parts};
use crate::guest::instance::UnknownInstance;
use crate::happening::{DriverHandle, Happening};
use crate::hotplug::Hotplug;
use crate::journal::{JournalError, JournalLimits};
use crate::link::Link;
use crate::policy::{PeerPolicy, TokenFileError};
use crate::settings::{ExtensionName, FragmentError, Settings, SocketMode};
use crate::shutdown::{Watchdog, notify_stopping, signalled};
use crate::transport::budget::Budgets;
use crate::transport::dial::Dialler;
use crate::transport::http::serve;
use crate::transport::inherited::{self, InheritedSocket};
use crate::transport::listener::{ListenError, Listener};
use crate::transport::registry::ConnectionRegistry;
use crate::transport::tls::{TlsError, TlsServer};
use crate::transport::web::{Offers, Web};

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
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of tokens is of no use.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// What the rules need is of no use.
    #[error(transparent)]
    Settings(FragmentError),
    /// A Unix socket cannot be opened for others.
    #[error("cannot set the mode of {endpoint}")]
    SocketMode {
        /// Which.
        endpoint: String,
        /// What the system said.
        source: std::io::Error,
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

impl RunError {
    /// True if a file or an option is wrong, and nothing was tried.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::DevExposed { .. } | Self::Tls(_) | Self::Tokens(_) | Self::Settings(_))
    }
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
    let system: Arc<dyn System> = Arc::new(match &settings.root {
        Some(root) => HostSystem::sandbox(root.clone()),
        None => HostSystem::real(),
    });
    runtime.block_on(serve_until(signalled_or_broken(), settings, system, inherited, clock))
}

/// Runs the daemon on another machine than the one it is on, a fake one in a test, until `end` says why it is to end. It
/// takes no sockets from a service manager.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    system: Arc<dyn System>,
    settings: Settings,
    end: impl Future<Output = &'static str> + Send + 'static,
) -> Result<(), RunError> {
    serve_until(end, settings, system, Vec::new(), Clock::start()).await
}

async fn serve_until(
    end: impl Future<Output = &'static str> + Send + 'static,
    settings: Settings,
    system: Arc<dyn System>,
    inherited: Vec<InheritedSocket>,
    clock: Clock,
) -> Result<(), RunError> {
    let instance = match settings.instance.clone() {
        Some(instance) => instance,
        None => crate::guest::instance::read(&settings.root_folder())?,
    };
    let own_uid = rustix::process::geteuid().as_raw();
    let policy = PeerPolicy::new(settings.dev, own_uid, &settings.authority, &instance)?;
    for warning in settings.warnings().map_err(RunError::Settings)? {
        tracing::warn!("{warning}");
    }
    let (listeners, for_metrics) = bind(&settings, inherited).await?;
    let dialler = dialler(&settings)?;
    let (driver, happenings) = DriverHandle::new();
    let (clerk, clerk_thread) = clerk::start(Desk {
        folder: settings.root_folder(),
        limits: journal_limits(&settings),
        system: system.clone(),
        driver: driver.clone(),
        clock,
    })
    .map_err(|source| RunError::System { action: "start the clerk's thread", source })?;
    let mut server = settings.server.clone();
    server.replay = settings.extensions.contains(&ExtensionName::Replay);
    let registry = Arc::new(ConnectionRegistry::default());
    let listening = listeners.iter().map(|listener| listener.endpoint().to_owned()).collect();
    let web = Web {
        driver: driver.clone(),
        registry: registry.clone(),
        limits: server.limits.clone(),
        budgets: Arc::new(Budgets::new(server.limits.input_bytes)),
        allowed_origins: settings.allowed_origins.clone(),
        offers: Offers::Events,
    };
    serve_all(listeners, for_metrics, &web);
    let link = (!settings.connect.is_empty()).then(|| {
        let (handle, link) = Link::new(&instance, settings.connect.clone(), dialler, driver.clone(), clock);
        tokio::spawn(link.run());
        handle
    });
    let hotplug = Hotplug::start(&settings.hotplug, &driver);
    tokio::spawn(end_when(end, driver.clone()));
    let driver = Driver::new(Parts {
        instance,
        server,
        policy,
        extensions: extensions(&settings),
        management_keys: settings.management_keys,
        registry,
        clerk: clerk.clone(),
        link,
        hotplug,
        system,
        handle: driver,
        clock,
        listening,
        watchdog: Watchdog::from_environment(),
    });
    // As a task among the others: the runtime asks the system for news before each turn of the future it was begun with,
    // which would be one more call for each message that comes alone.
    if let Err(fault) = tokio::spawn(driver.run(happenings)).await {
        // Nobody cancels it.
        std::panic::resume_unwind(fault.into_panic());
    }
    clerk.close();
    clerk_thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    tracing::info!("stopped");
    Ok(())
}

/// How the link reaches management servers. Certificates are read here, so that what is wrong with them is said before
/// anything starts.
fn dialler(settings: &Settings) -> Result<Arc<Dialler>, TlsError> {
    let limits = settings.server.limits.clone();
    let dialler = Dialler::new(&settings.connect, &settings.dial_tls, settings.root.as_deref(), limits)?;
    Ok(Arc::new(dialler.showing(settings.link_token.clone())))
}

fn serve_all(listeners: Vec<Listener>, for_metrics: Vec<Listener>, web: &Web) {
    for listener in listeners {
        tokio::spawn(serve(listener, web.clone()));
    }
    for listener in for_metrics {
        tokio::spawn(serve(listener, Web { offers: Offers::Metrics, ..web.clone() }));
    }
}

fn journal_limits(settings: &Settings) -> JournalLimits {
    JournalLimits {
        retained_events: settings.retention.events,
        retained_bytes: settings.retention.bytes,
        retained_ms: u64::try_from(settings.retention.age.as_millis()).unwrap_or(u64::MAX),
        ..JournalLimits::default()
    }
}

/// The protocol extensions that are switched on, beside those of the core.
fn extensions(settings: &Settings) -> Vec<Box<dyn Extension>> {
    let mut extensions: Vec<Box<dyn Extension>> = Vec::new();
    // First, so that what it refuses is not looked at by the others.
    if let Some(longest) = settings.activity {
        extensions.push(Box::new(Activity::new(longest)));
    }
    for name in &settings.extensions {
        match name {
            ExtensionName::Timesync => extensions.push(Box::new(Timesync)),
            ExtensionName::Timestamp => extensions.push(Box::new(Timestamp)),
            // The core's own.
            ExtensionName::Replay => {}
        }
    }
    extensions
}

/// Binds all there is to listen on, before anything else is started: for events, and for metrics alone.
async fn bind(
    settings: &Settings,
    inherited: Vec<InheritedSocket>,
) -> Result<(Vec<Listener>, Vec<Listener>), RunError> {
    let tls = match &settings.tls {
        Some(tls) => Some(Arc::new(TlsServer::new(tls, settings.root.is_none())?)),
        None => None,
    };
    let listeners = bind_for_events(settings, inherited, tls.as_ref()).await?;
    let mut for_metrics = Vec::new();
    for endpoint in &settings.metrics_listen {
        let listener = Listener::bind(endpoint, tls.as_ref()).await?;
        open_for_others(settings, endpoint)?;
        tracing::info!(endpoint = listener.http_endpoint(), "metrics are told");
        for_metrics.push(listener);
    }
    Ok((listeners, for_metrics))
}

async fn bind_for_events(
    settings: &Settings,
    inherited: Vec<InheritedSocket>,
    tls: Option<&Arc<TlsServer>>,
) -> Result<Vec<Listener>, RunError> {
    let mut listeners = Vec::new();
    for socket in inherited {
        listeners.push(socket.into_listener(tls)?);
    }
    // Sockets of the service manager take the place of our defaults, not of what was asked for by name.
    if listeners.is_empty() || settings.listen_is_explicit {
        for endpoint in &settings.listen {
            match Listener::bind(endpoint, tls).await {
                Ok(listener) => {
                    open_for_others(settings, endpoint)?;
                    listeners.push(listener);
                }
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

/// Unix sockets are made for their owner alone; who else may open them is configured, and the rules judge them then.
fn open_for_others(settings: &Settings, endpoint: &Endpoint) -> Result<(), RunError> {
    use std::os::unix::fs::PermissionsExt;
    let Endpoint::Unix { socket } = endpoint else { return Ok(()) };
    if settings.socket_mode == SocketMode::PRIVATE {
        return Ok(());
    }
    let permissions = std::fs::Permissions::from_mode(settings.socket_mode.bits());
    std::fs::set_permissions(socket, permissions)
        .map_err(|source| RunError::SocketMode { endpoint: endpoint.to_string(), source })
}

/// The signal that ends the daemon.
async fn signalled_or_broken() -> &'static str {
    signalled().await.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot wait for signals");
        "no signals"
    })
}

async fn end_when(end: impl Future<Output = &'static str>, driver: DriverHandle) {
    let reason = end.await;
    tracing::info!(reason, "ending");
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
