//! The whole system in one process on embedded parts: broker, store, simulated shop, dashboard.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gondola_protocol::{LabelId, Moment, Panel, StationId, StoreId};
use gondola_simulator::config::{BaseStationConfig, Config as ShopConfig, LabelsConfig, RadioConfig};
use gondola_simulator::serve::Closed;
use gondola_simulator::{Fault, FaultError, Handle, LabelState, ServeError, Serving};
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::glass::{GlassCheck, GlassChecker};
use super::publisher::{PublishError, Publisher};
use crate::alert::rules::AlertRules;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Format, Market};
use crate::catalog::sku::Sku;
use crate::config::{
    Broker, Config, Driver, FeedConfig, JournalConfig, StationConfig, StoreConfig, Transport, WebConfig,
};
use crate::controller::message::{LabelRequest, UnknownSkus};
use crate::fleet::label::Label;
use crate::journal::entry::Position;
use crate::render::RenderError;
use crate::run::clock::Clock;
use crate::run::store::{RequestError, StoreGone, StoreHandle};
use crate::run::telemetry::Telemetry;
use crate::run::{StartError, System, store_settings};
use crate::template::Templates;

/// The first label's address; the others follow.
const FIRST_LABEL: u64 = 0x0000_021B_6D40_0000;

/// The sizes that hang in the shop, in turn.
const PANELS: [&str; 2] = ["bwr-296x128", "bw-250x122"];

/// Labels of a shelf, for the positions that the dashboard shows.
const SLOTS: u32 = 10;

/// Shelves of an aisle.
const SHELVES: u32 = 5;

/// Simulated labels sleep this long: short enough to watch.
const WAKE: Duration = Duration::from_secs(2);

/// How often it is looked whether every glass agrees.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Price waves with `until_settled`.
const WAVES: u32 = 3;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Labels, at least 1.
    pub labels: u32,
    /// Base stations, at least 1.
    pub base_stations: u32,
    /// Decides every chance in the simulated shop.
    pub seed: u64,
    /// Share of frames and blocks that are lost, 0 to 1.
    pub loss: f64,
    /// Where the dashboard listens.
    pub listen: SocketAddr,
    /// Where the controller keeps its state; none for a temporary directory.
    pub data_dir: Option<PathBuf>,
    /// Three waves and an end within this time, or a change each second until stopped.
    pub until_settled: Option<Duration>,
    /// Faults of labels by their number in the shop, set before the first picture.
    pub faults: Vec<(u32, Fault)>,
}

/// How a demonstration went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DemoReport {
    /// Labels in the shop.
    pub labels: usize,
    /// Labels whose glass is proven to agree, as the controller says.
    pub in_sync: usize,
    /// Glasses compared with a picture made from the merchandise system's last word.
    pub glass_checked: usize,
    /// Of those, with a wrong pixel.
    pub glass_wrong: usize,
    /// Transfers that base stations received.
    pub transfers: u64,
    /// Frames that either end of the links sent again.
    pub retransmissions: u64,
    /// Frames that the links lost.
    pub frames_lost: FramesLost,
    /// Bytes between base stations and labels, both ways.
    pub bytes_on_air: u64,
    /// Seconds from the start to this report.
    pub elapsed_s: f64,
    /// From a price's publication to its picture's handing over to a base station.
    pub event_to_station_ms: Percentiles,
    /// From a price's publication to the change of the glass.
    pub event_to_glass_s: Percentiles,
}

/// Frames lost on the way to base stations and from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FramesLost {
    /// To base stations.
    pub down: u64,
    /// From base stations.
    pub up: u64,
}

/// Median and 99th percentile; null without any value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

impl DemoReport {
    /// Whether every glass agrees and the controller knows it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.in_sync == self.labels && self.glass_checked == self.labels && self.glass_wrong == 0
    }
}

/// How far a demonstration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The dashboard can be opened.
    Serving {
        /// Where it listens.
        address: SocketAddr,
        /// What a browser on this machine opens: it logs in.
        link: String,
        /// The page that shows the simulated shop, and its control API.
        shop: String,
    },
    /// Something begins that every label takes part in.
    Phase(String),
    /// Labels that agree by now.
    Agree(usize),
}

/// Why a demonstration ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is nothing to demonstrate.
    #[error("a shop has at least one label and one base station")]
    Empty,
    /// No temporary directory.
    #[error("cannot make a temporary data directory")]
    Directory(#[source] std::io::Error),
    /// The simulated shop.
    #[error("cannot start the simulated shop")]
    Shop(#[from] ServeError),
    /// The simulated shop has ended.
    #[error("the simulated shop has ended")]
    ShopGone(#[from] Closed),
    /// A fault that a label cannot have.
    #[error("cannot set a label's fault")]
    Fault(#[from] FaultError),
    /// The controller.
    #[error("cannot start the controller")]
    Start(#[from] StartError),
    /// The store has ended.
    #[error("the store has ended")]
    StoreGone(#[from] StoreGone),
    /// A registration or binding.
    #[error("cannot bind a label")]
    Request(#[from] RequestError),
    /// The feed.
    #[error("cannot publish")]
    Publish(#[from] PublishError),
    /// The fonts.
    #[error("cannot open the fonts")]
    Render(#[from] RenderError),
}

/// Runs a demonstration until it settles, times out, or is stopped.
///
/// # Errors
/// See [`DemoError`]; a shop that does not settle in time is a report, not an error.
pub async fn run(
    options: DemoOptions,
    telemetry: &Telemetry,
    stop: CancellationToken,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<DemoReport, DemoError> {
    if options.labels == 0 || options.base_stations == 0 {
        return Err(DemoError::Empty);
    }
    let clock = Clock::start();
    let started = clock.now();
    let tasks = TaskTracker::new();
    let shop = Serving::bind(shop_config(&options)).await?;
    let temporary = tempfile::tempdir().map_err(DemoError::Directory)?;
    let data_dir = options.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let config = controller_config(&options, &data_dir, &shop);
    let world = shop.handle();
    let page = shop.control_addr().map(|address| format!("http://{address}/")).unwrap_or_default();
    let end = CancellationToken::new();
    let _ended = end.clone().drop_guard();
    tasks.spawn({
        let end = end.clone();
        async move {
            if let Err(error) = shop.run(move || clock.now(), end).await {
                tracing::error!(%error, "the simulated shop ended");
            }
        }
    });
    let system = System::start(&config, Arc::new(Templates::embedded()), clock, telemetry).await?;
    let address = system.web;
    let link = format!("http://{address}/enter?key={}", system.accounts.open_link());
    progress(Progress::Serving { address, link, shop: page });
    let mut demo = Demo::new(&options, &config, world, &system, (clock, started), &tasks, &end)?;
    let result = demo.play(&stop, &mut progress).await;
    let report = match result {
        Ok(()) => Ok(demo.report(&system).await?),
        Err(error) => Err(error),
    };
    if !system.stop().await {
        tracing::warn!("the controller did not stop in time");
    }
    end.cancel();
    tasks.close();
    tasks.wait().await;
    report
}

struct Demo {
    options: DemoOptions,
    clock: Clock,
    started: Moment,
    store: StoreHandle,
    world: Handle,
    publisher: Publisher,
    checker: GlassChecker,
    bindings: BTreeMap<LabelId, Sku>,
    to_station_ms: Vec<f64>,
    to_glass_s: Vec<f64>,
}

impl Demo {
    fn new(
        options: &DemoOptions,
        config: &Config,
        world: Handle,
        system: &System,
        (clock, started): (Clock, Moment),
        tasks: &TaskTracker,
        end: &CancellationToken,
    ) -> Result<Self, DemoError> {
        let store = system.stores.first().ok_or(DemoError::Empty)?.clone();
        let broker = (system.broker.0.as_str(), system.broker.1);
        let publisher = Publisher::start(broker, &config.feed.prefix, store.id(), tasks, end.clone())?;
        let skus: Vec<Sku> = publisher.skus().cloned().collect();
        let bindings: BTreeMap<LabelId, Sku> = labels(options).zip(skus.into_iter().cycle()).collect();
        let checker = GlassChecker::new(&store_settings(&config.store[0])?, bindings.clone())?;
        Ok(Self {
            options: options.clone(),
            clock,
            started,
            store,
            world,
            publisher,
            checker,
            bindings,
            to_station_ms: Vec::new(),
            to_glass_s: Vec::new(),
        })
    }

    async fn play(
        &mut self,
        stop: &CancellationToken,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(), DemoError> {
        for (number, fault) in self.options.faults.clone() {
            let label = LabelId(FIRST_LABEL + u64::from(number));
            self.world.set_fault(label, Some(fault)).await??;
        }
        let patience = self.options.until_settled;
        let deadline = patience.map(|patience| self.started + patience);
        progress(Progress::Phase("publishing the catalog, binding labels".to_owned()));
        self.publisher.publish_all(self.clock.now()).await?;
        self.bind().await?;
        if !self.settle(deadline, stop, progress).await? {
            return Ok(());
        }
        if deadline.is_none() {
            return self.change_until_stopped(stop, progress).await;
        }
        let skus: Vec<Sku> = self.publisher.skus().cloned().collect();
        for wave in 1..=WAVES {
            progress(Progress::Phase(format!("price wave {wave} of {WAVES}")));
            let step = Decimal::new(i64::from(wave) * 10 + 1, 2);
            self.publisher.change_prices(&skus, self.clock.now(), |_, price| price + step).await?;
            if !self.settle(deadline, stop, progress).await? {
                break;
            }
            self.measure().await?;
        }
        Ok(())
    }

    /// A price each second.
    async fn change_until_stopped(
        &mut self,
        stop: &CancellationToken,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(), DemoError> {
        progress(Progress::Phase("a price changes every second".to_owned()));
        let mut skus: Vec<Sku> = self.bindings.values().cloned().collect();
        skus.dedup();
        let mut second: u32 = 0;
        let mut next = self.clock.now();
        loop {
            next += Duration::from_secs(1);
            tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = stop.cancelled() => return self.measure().await,
                // Cancel-safe: it is slept anew.
                () = self.clock.sleep_until(Some(next)) => {}
            }
            // A stride that has no divisor in common with the number of products visits them all.
            let sku = skus[usize::try_from(second).unwrap_or(0) * 37 % skus.len()].clone();
            let up = second.is_multiple_of(2);
            let change = |_: &Sku, price: Decimal| price * Decimal::new(if up { 104 } else { 97 }, 2);
            self.publisher.change_prices(&[sku], self.clock.now(), change).await?;
            second = second.wrapping_add(1);
            progress(Progress::Agree(self.in_sync().await?));
        }
    }

    /// Registers and binds every label.
    async fn bind(&self) -> Result<(), DemoError> {
        let known = self.publisher.skus().count();
        while self.store.read(|controller, _| controller.catalog().products().count()).await? < known {
            self.clock.sleep_until(Some(self.clock.now() + LOOK_PERIOD)).await;
        }
        let register = labels(&self.options).zip(0..).map(|(label, number)| {
            let position = position(number);
            self.store.request(LabelRequest::Register { label, panel: panel(number), position })
        });
        join_all(register).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let bind = self.bindings.iter().map(|(label, sku)| {
            let (label, skus) = (*label, vec![sku.clone()]);
            self.store.request(LabelRequest::Bind { label, skus, template: None, unknown: UnknownSkus::Refuse })
        });
        join_all(bind).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }

    async fn in_sync(&self) -> Result<usize, StoreGone> {
        self.store.read(|controller, _| controller.fleet().labels().filter(|label| label.is_in_sync()).count()).await
    }

    /// Waits until every glass agrees. Answers false when time is up or the demonstration is stopped.
    async fn settle(
        &mut self,
        deadline: Option<Moment>,
        stop: &CancellationToken,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<bool, DemoError> {
        loop {
            let in_sync = self.in_sync().await?;
            progress(Progress::Agree(in_sync));
            if in_sync == self.bindings.len() && self.look().await?.wrong == 0 {
                return Ok(true);
            }
            let now = self.clock.now();
            if stop.is_cancelled() || deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(false);
            }
            self.clock.sleep_until(Some(now + LOOK_PERIOD)).await;
        }
    }

    async fn look(&mut self) -> Result<GlassCheck, DemoError> {
        let labels = self.world.labels().await?;
        Ok(self.checker.check(&self.publisher, &labels, self.clock.now()))
    }

    /// Notes how long the last change of each label's product took.
    async fn measure(&mut self) -> Result<(), DemoError> {
        let sent = |label: &Label| (label.id, label.sent_at);
        let sent: BTreeMap<LabelId, Option<Moment>> =
            self.store.read(move |controller, _| controller.fleet().labels().map(sent).collect()).await?;
        let glasses: Vec<LabelState> = self.world.labels().await?;
        for glass in glasses {
            let published = self.bindings.get(&glass.label).and_then(|sku| self.publisher.published(sku));
            let Some(published) = published else { continue };
            let after = |at: Option<Moment>| at.filter(|at| *at >= published.at).map(|at| at.since(published.at));
            let to_station = after(sent.get(&glass.label).copied().flatten());
            self.to_station_ms.extend(to_station.map(|span| span.as_secs_f64() * 1_000.0));
            self.to_glass_s.extend(after(glass.displayed_at).map(|span| span.as_secs_f64()));
        }
        Ok(())
    }

    async fn report(&mut self, system: &System) -> Result<DemoReport, DemoError> {
        let shop = self.world.counters().await?;
        let GlassCheck { checked, wrong } = self.look().await?;
        let retransmissions: u64 = system.link_counters().map(|(_, link)| link.retransmissions).sum();
        Ok(DemoReport {
            labels: self.bindings.len(),
            in_sync: self.in_sync().await?,
            glass_checked: checked,
            glass_wrong: wrong,
            transfers: shop.transfers,
            retransmissions: retransmissions + shop.retransmissions,
            frames_lost: FramesLost { down: shop.frames_lost_down, up: shop.frames_lost_up },
            bytes_on_air: shop.bytes_on_air,
            elapsed_s: rounded(self.clock.now().since(self.started).as_secs_f64()),
            event_to_station_ms: percentiles(&mut self.to_station_ms),
            event_to_glass_s: percentiles(&mut self.to_glass_s),
        })
    }
}

fn percentiles(values: &mut [f64]) -> Percentiles {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values.get((values.len() * percent / 100).min(values.len().saturating_sub(1)));
    Percentiles { p50: at(50).copied().map(rounded), p99: at(99).copied().map(rounded) }
}

/// To three decimals: more would pretend.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn labels(options: &DemoOptions) -> impl Iterator<Item = LabelId> + use<> {
    (0..u64::from(options.labels)).map(|number| LabelId(FIRST_LABEL + number))
}

fn panel(number: u32) -> Panel {
    let id = PANELS[number as usize % PANELS.len()];
    id.parse().expect("the panels of the demonstration are well-formed")
}

fn position(number: u32) -> Position {
    let (shelf, slot) = (number / SLOTS, number % SLOTS);
    Position {
        aisle: (shelf / SHELVES + 1).to_string().into(),
        shelf: (shelf % SHELVES + 1).to_string().into(),
        slot: (slot + 1).to_string().into(),
    }
}

fn station(number: u32) -> StationId {
    format!("station-{number}").parse().expect("a short lower-case name")
}

fn shop_config(options: &DemoOptions) -> ShopConfig {
    let loopback: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let group = |number: u32| LabelsConfig {
        first: LabelId(FIRST_LABEL + u64::from(number)),
        count: 1,
        panel: panel(number),
        wake: WAKE,
        station: Some(station(number % options.base_stations + 1)),
    };
    ShopConfig {
        seed: options.seed,
        control: Some(loopback),
        radio: RadioConfig { loss: options.loss, ..RadioConfig::default() },
        base_stations: (1..=options.base_stations)
            .map(|number| BaseStationConfig::listening(station(number), loopback))
            .collect(),
        labels: (0..options.labels).map(group).collect(),
    }
}

fn controller_config(options: &DemoOptions, data_dir: &Path, shop: &Serving) -> Config {
    let stations = shop.station_addrs().map(|(id, address)| StationConfig {
        id: id.clone(),
        driver: Driver::Shelflink,
        transport: Transport { tcp: Some(address.to_string()), ..Transport::default() },
        key_file: None,
        channel: None,
        label_types: Vec::new(),
    });
    let id: StoreId = "demo".parse().expect("a short lower-case name");
    Config {
        data_dir: data_dir.to_owned(),
        templates: None,
        web: WebConfig { listen: options.listen, ..WebConfig::default() },
        journal: JournalConfig::default(),
        feed: FeedConfig {
            broker: Broker::Embedded,
            prefix: "gondola/v1".to_owned(),
            username: None,
            password_file: None,
            ca_file: None,
        },
        webhook: Vec::new(),
        store: vec![StoreConfig {
            id,
            name: "杭州解百店".to_owned(),
            format: Format::Community,
            time_zone: "Asia/Shanghai".to_owned(),
            currency: "CNY".parse().expect("an ISO 4217 code"),
            market: Market::China,
            reload: None,
            guard: GuardRules::default(),
            alerts: AlertRules::default(),
            base_station: stations.collect(),
        }],
    }
}
