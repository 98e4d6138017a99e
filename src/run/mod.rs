//! The shells: they move bytes and time between the core and the outside, and decide nothing.

pub mod accounts;
#[cfg(feature = "broker")]
pub mod broker;
pub mod clock;
mod disk;
pub mod feed;
mod http;
pub mod metrics;
pub mod mqtt;
pub mod outbox;
pub mod pictures;
pub mod publications;
pub mod random;
pub(crate) mod recovery;
pub mod reload;
pub mod stations;
pub mod store;
pub mod telemetry;
pub mod templates;
pub mod tls;
mod unknown;
mod way;
pub mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::StationHandle;
use gondola_drivers::head::{Counters, HeadEvent};
use gondola_drivers::transport::TlsServer;
use gondola_protocol::{StationId, StoreId};
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::settings::Settings;
use crate::config::{Broker, Config, FeedConfig, StoreConfig, WebConfig};
use crate::controller::StoreSettings;
use crate::controller::message::Delivery;
use crate::journal::{JournalError, JournalOptions, Keeper, Opened};
use crate::render::RenderError;
use crate::storage::{DataDir, LockError, ViewError};
use crate::template::Templates;
use crate::template::view::StoreView;
use crate::web::{self, StoreInfo, Way, Web};
use accounts::{AccountsError, AccountsHandle, OneTime};
use clock::Clock;
use feed::{Feed, Subscriber};
use mqtt::BrokerOptions;
use outbox::Outbox;
use pictures::Studio;
use recovery::{Recovered, Recovery};
use reload::{ReloadOrder, Reloads};
use stations::{Entrance, StationError};
use store::{Inbox, News, Store, StoreHandle, StoreParts};
use telemetry::Telemetry;
use templates::TemplateLibrary;
use tls::TlsError;
use webhook::Webhook;

/// How long a shutdown may take to bring everything to disk; after it the process ends all the same.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Events of base stations that wait for their store's inbox.
const STATION_EVENTS_MAX: usize = 1_024;

/// Acknowledgements that wait for the feed: as many as a broker keeps in flight at most, and more.
const ACKNOWLEDGEMENTS_MAX: usize = 65_536;

/// Why the controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is not ours.
    #[error("cannot use the data directory")]
    DataDir(#[from] LockError),
    /// A store's journal does not open.
    #[error("cannot open the journal of store `{store}`")]
    Journal {
        /// The store.
        store: StoreId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// A store's view does not open.
    #[error("cannot open the view of store `{store}`")]
    View {
        /// The store.
        store: StoreId,
        /// Why.
        #[source]
        source: ViewError,
    },
    /// A base station cannot be driven.
    #[error("cannot drive base station `{station}`")]
    Station {
        /// The base station.
        station: StationId,
        /// Why.
        #[source]
        source: StationError,
    },
    /// The fonts do not open.
    #[error("cannot start the render threads")]
    Render(#[from] RenderError),
    /// The dashboard's port.
    #[error(
        "cannot listen on {address} for the dashboard: is another program using the port? choose another with web.listen"
    )]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The embedded broker.
    #[cfg(feature = "broker")]
    #[error("cannot start the embedded broker")]
    Broker(#[from] broker::BrokerError),
    /// This build has no broker.
    #[error(
        "this build has no embedded broker; use feed.broker = \"mqtt://host:port\", or build with the feature `broker`"
    )]
    NoBroker,
    /// The system gives no thread.
    #[error("cannot start the thread of {what}")]
    Thread {
        /// Whose thread.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The broker's password.
    #[error("cannot read the broker's password in {}", file.display())]
    Password {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Certificates.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The journal of users and tokens does not open.
    #[error("cannot open the journal of accounts")]
    AccountsJournal(#[source] JournalError),
    /// The first admin cannot be made.
    #[error("cannot make the first admin")]
    FirstAdmin(#[source] AccountsError),
    /// The dashboard's certificate or key.
    #[error("cannot read {}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The dashboard's certificate and key are not a pair.
    #[error("cannot speak TLS with the certificate in {}", file.display())]
    WebTls {
        /// The certificate's file.
        file: PathBuf,
        /// Why.
        #[source]
        source: gondola_drivers::transport::tls::TlsError,
    },
    /// A time zone that the configuration should have refused.
    #[error("store `{0}` has an unknown time zone")]
    TimeZone(StoreId),
}

impl StartError {
    /// What a person can do, where the sentence itself does not say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DataDir(error) => Some(error.hint().to_owned()),
            Self::Journal { source, .. } => Some(source.hint()),
            Self::AccountsJournal(source) => Some(source.hint()),
            Self::View { source, .. } => Some(source.hint().to_owned()),
            Self::Station { source, .. } => Some(source.hint().to_owned()),
            _ => None,
        }
    }
}

/// A broker that takes longer to acknowledge publications is given up. Brokers take milliseconds; this is a disk
/// that stalls.
const PUBLICATION_ACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// What a store tells the shells of the feed.
struct FeedEnds {
    acknowledgements: mpsc::Sender<Delivery>,
    reloads: mpsc::Sender<ReloadOrder>,
    outbox: Arc<Outbox>,
}

/// A running controller.
#[derive(Debug)]
pub struct System {
    /// Its stores.
    pub stores: Vec<StoreHandle>,
    /// Where the dashboard listens.
    pub web: SocketAddr,
    /// Where the feed's broker is.
    pub broker: (String, u16),
    /// Who may use it.
    pub accounts: AccountsHandle,
    /// The templates, with what was edited on the web.
    pub templates: TemplateLibrary,
    /// The first admin's password, at the first start: whoever started the process is told.
    pub first_admin: Option<OneTime>,
    /// The base stations' tasks, to read their counters.
    pub stations: BTreeMap<(StoreId, StationId), StationHandle>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    failed: CancellationToken,
    data_dir: DataDir,
    /// How long pictures are kept that no label needs any more.
    pictures_kept: Duration,
    entrance: Entrance,
}

impl System {
    /// Opens everything and starts every task.
    ///
    /// # Errors
    /// See [`StartError`]. What was started has been stopped.
    pub async fn start(
        config: &Config,
        templates: Arc<Templates>,
        clock: Clock,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let data_dir = DataDir::lock(&config.data_dir)?;
        let address = config.web.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let tls = web_tls(&config.web)?;
        let web = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let broker = broker_address(&config.feed.broker).await?;
        let studio = Studio::start(std::thread::available_parallelism().map_or(1, usize::from))?;
        let failed = CancellationToken::new();
        let accounts = AccountsHandle::open(data_dir.path(), clock, failed.clone());
        let accounts = accounts.map_err(StartError::AccountsJournal)?;
        let first_admin = accounts.first_admin().await.map_err(StartError::FirstAdmin)?;
        let templates = TemplateLibrary::open(data_dir.path(), clock, templates);
        let mut system = Self {
            stores: Vec::new(),
            web,
            broker: broker.clone(),
            accounts,
            templates,
            first_admin,
            stations: BTreeMap::new(),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            failed,
            data_dir,
            pictures_kept: config.journal.pictures_kept(),
            entrance: Entrance::default(),
        };
        let options = broker_options(config, broker, clock)?;
        let reloads = Reloads::new(tls::client(None)?, clock);
        let outbox = Arc::new(Outbox::default());
        let (safe, acknowledgements) = mpsc::channel(ACKNOWLEDGEMENTS_MAX);
        let mut subscribers = Vec::new();
        let recovery = Recovery { templates: system.templates.current(), clock, journal: journal_options(config)? };
        let recovered = recovery.of_all(&config.store, &system.data_dir).await?;
        for (store, recovered) in config.store.iter().zip(recovered) {
            let (orders, ordered) = mpsc::channel(reload::ORDERS_MAX);
            let feed =
                FeedEnds { acknowledgements: safe.clone(), reloads: orders.clone(), outbox: Arc::clone(&outbox) };
            let handle = system.start_store(store, recovered, clock, studio.clone(), feed).await?;
            subscribers.push(Subscriber { store: handle.clone(), reloads: orders });
            let shutdown = system.shutdown.clone();
            if let Some(reload) = &store.reload {
                let (zone, dir) = (time_zone(store)?, system.data_dir.store_dir(&store.id));
                system.tracker.spawn(reloads.of_store(handle, reload, zone, dir).run(ordered, shutdown));
            } else {
                system.tracker.spawn(reload::without_source(handle, ordered, shutdown));
            }
        }
        system.start_webhooks(config, clock)?;
        let dir = system.data_dir.path().to_owned();
        system.tracker.spawn(disk::watch(dir, system.stores.clone(), system.shutdown.clone()));
        let feed = Feed::new(options, subscribers, outbox);
        system.tracker.spawn(feed.acknowledge(acknowledgements));
        system.tracker.spawn(feed.run(system.shutdown.clone()));
        system.start_web(config, telemetry, listener, tls);
        Ok(system)
    }

    fn start_webhooks(&self, config: &Config, clock: Clock) -> Result<(), StartError> {
        for webhook in &config.webhook {
            let stores = self.stores.iter().cloned().zip(config.store.iter().map(|store| store.name.clone()));
            let webhook =
                Webhook::new(webhook.clone(), webhook::Patience::default(), stores, clock, self.data_dir.path())?;
            self.tracker.spawn(webhook.run(self.shutdown.clone()));
        }
        Ok(())
    }

    fn start_web(&self, config: &Config, telemetry: &Telemetry, listener: TcpListener, tls: Option<TlsServer>) {
        let stores = self.stores.iter().zip(&config.store);
        let stores = stores.map(|(handle, store)| StoreInfo { handle: handle.clone(), name: store.name.clone() });
        let way = if tls.is_some() { Way::Tls } else { Way::Plain };
        let (accounts, templates) = (self.accounts.clone(), self.templates.clone());
        let web = Web::new(stores.collect(), telemetry.exposition(), accounts, templates, way);
        self.tracker.spawn(web::serve(listener, tls, web::router(web), self.shutdown.clone()));
    }

    async fn start_store(
        &mut self,
        config: &StoreConfig,
        recovered: Recovered,
        clock: Clock,
        studio: Studio,
        feed: FeedEnds,
    ) -> Result<StoreHandle, StartError> {
        let id = &config.id;
        let Recovered { mut controller, view, pictures, journal, inbox } = recovered;
        let Opened { journal, torn, unusable, head, until } = journal;
        if let Some(torn) = torn {
            tracing::warn!(store = %id, "the journal ended inside a line, as after a power cut: {torn}");
        }
        for checkpoint in unusable {
            tracing::warn!(store = %id, "{checkpoint}; more of the journal was read instead");
        }
        controller.resume(clock.now(), Some(head), until);
        tracing::info!(store = %id, journal = head.sequence, labels = controller.fleet().labels().count(), "store opened");
        let stations = self.start_stations(config, clock, &inbox).await?;
        let FeedEnds { acknowledgements, reloads, outbox } = feed;
        let parts = StoreParts {
            id: id.clone(),
            clock,
            journal,
            view,
            pictures,
            pictures_kept: self.pictures_kept,
            studio,
            stations,
            acknowledgements,
            reloads,
            outbox,
            templates: self.templates.watch(),
        };
        let (store, handle) = Store::new(controller, parts, inbox);
        self.stores.push(handle.clone());
        let (shutdown, failed, name) = (self.shutdown.clone(), self.failed.clone(), id.clone());
        self.tracker.spawn(async move {
            if let Err(error) = store.run(shutdown).await {
                tracing::error!(store = %name, %error, hint = error.hint(), "the store stops");
                failed.cancel();
            }
        });
        Ok(handle)
    }

    async fn start_stations(
        &mut self,
        config: &StoreConfig,
        clock: Clock,
        inbox: &Inbox,
    ) -> Result<BTreeMap<StationId, StationHandle>, StartError> {
        let (events, mut incoming) = mpsc::channel::<(StationId, HeadEvent)>(STATION_EVENTS_MAX);
        let news = inbox.news.clone();
        self.tracker.spawn(async move {
            while let Some((station, event)) = incoming.recv().await {
                if news.send(News::Station(station, event)).await.is_err() {
                    return;
                }
            }
        });
        let mut stations = BTreeMap::new();
        for station in &config.base_station {
            let options = self.entrance.admit(station, &self.tracker, &self.shutdown).await?;
            let now = move || clock.now();
            let handle = gondola_drivers::spawn(options, &self.tracker, self.shutdown.clone(), now, events.clone());
            self.stations.insert((config.id.clone(), station.id.clone()), handle.clone());
            stations.insert(station.id.clone(), handle);
        }
        self.entrance.watch(&config.base_station, &inbox.news, &self.tracker);
        Ok(stations)
    }

    /// What the base stations' links have counted, by station.
    pub fn link_counters(&self) -> impl Iterator<Item = (&StationId, Counters)> {
        self.stations.iter().map(|((_, station), handle)| (station, handle.counters()))
    }

    /// Completes when a store can no longer do its work.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Ends every task and waits until what was decided is on disk. Answers whether that succeeded in time.
    pub async fn stop(self) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(SHUTDOWN_MAX, self.tracker.wait()).await.is_ok()
    }
}

fn journal_options(config: &Config) -> Result<JournalOptions, StartError> {
    let keeper = Keeper::start().map_err(|source| StartError::Thread { what: "the journals' keeper", source })?;
    Ok(JournalOptions { kept: config.journal.kept(), keeper: Some(keeper), ..JournalOptions::default() })
}

/// What the core needs to know of a store.
///
/// # Errors
/// A time zone that does not exist.
pub fn store_settings(config: &StoreConfig) -> Result<StoreSettings, StartError> {
    let time_zone = time_zone(config)?;
    Ok(StoreSettings {
        view: StoreView {
            id: config.id.to_string(),
            name: config.name.clone(),
            format: config.format.to_string(),
            market: config.market.to_string(),
        },
        catalog: Settings { currency: config.currency, market: config.market, time_zone, guard: config.guard },
        stations: config.base_station.iter().map(|station| station.id.clone()).collect(),
        alerts: config.alerts,
    })
}

fn time_zone(config: &StoreConfig) -> Result<TimeZone, StartError> {
    TimeZone::get(&config.time_zone).map_err(|_| StartError::TimeZone(config.id.clone()))
}

/// What the dashboard shows to browsers, if it speaks TLS.
fn web_tls(config: &WebConfig) -> Result<Option<TlsServer>, StartError> {
    let Some((certificate, key)) = config.certificate_file.as_ref().zip(config.private_key_file.as_ref()) else {
        return Ok(None);
    };
    let read =
        |file: &PathBuf| std::fs::read(file).map_err(|source| StartError::Certificate { file: file.clone(), source });
    let shown = TlsServer::showing(&read(certificate)?, &read(key)?);
    shown.map(Some).map_err(|source| StartError::WebTls { file: certificate.clone(), source })
}

/// Who we are at the broker, and how it is reached.
fn broker_options(config: &Config, (host, port): (String, u16), clock: Clock) -> Result<BrokerOptions, StartError> {
    let FeedConfig { broker, prefix, username, password_file, ca_file } = &config.feed;
    let tls = match broker {
        Broker::Mqtts { .. } => Some(Arc::new(tls::client(ca_file.as_deref())?)),
        Broker::Mqtt { .. } | Broker::Embedded => None,
    };
    let password = |file: &PathBuf| {
        let password = std::fs::read_to_string(file);
        password.map_err(|source| StartError::Password { file: file.clone(), source })
    };
    let password = password_file.as_ref().map(password).transpose()?.unwrap_or_default();
    let login = username.clone().map(|username| (username, password.trim_end_matches(['\r', '\n']).to_owned()));
    let started = i64::try_from(clock.now().as_micros()).unwrap_or_default();
    let since = jiff::Timestamp::from_microsecond(started).unwrap_or_default().to_string();
    Ok(BrokerOptions {
        host,
        port,
        tls,
        login,
        prefix: prefix.clone(),
        controller: client_id(&config.data_dir),
        since,
        acknowledged_max: PUBLICATION_ACKNOWLEDGED_MAX,
    })
}

async fn broker_address(broker: &Broker) -> Result<(String, u16), StartError> {
    match broker {
        Broker::Mqtt { host, port } | Broker::Mqtts { host, port } => Ok((host.clone(), *port)),
        #[cfg(feature = "broker")]
        Broker::Embedded => {
            let address = broker::start().await?;
            Ok((address.ip().to_string(), address.port()))
        }
        #[cfg(not(feature = "broker"))]
        Broker::Embedded => Err(StartError::NoBroker),
    }
}

/// The name of this controller's session at the broker: the same at every start on the same data directory,
/// so that the broker keeps what came meanwhile, and another for another directory.
fn client_id(data_dir: &Path) -> String {
    let path = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    format!("gondola-{}", &hash[..12])
}
