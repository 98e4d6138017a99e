//! A controller with one store, whose reloads come from the source, and what can be seen of its catalog.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use futures_util::stream;
use gondola::catalog::item::Item;
use gondola::catalog::sku::Sku;
use gondola::config::Config;
use gondola::run::clock::Clock;
use gondola::run::reload::{ORDERS_MAX, Reloads};
use gondola::run::store::StoreHandle;
use gondola::run::telemetry::Telemetry;
use gondola::run::{System, tls};
use gondola::template::Templates;
use gondola_bench::{highest, resident_mib};
use gondola_protocol::Moment;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::source::{Products, Source, price, sku};

/// Between two looks at what is timed: latencies are exact to this.
const LOOK: Duration = Duration::from_millis(2);

/// Between two comparisons of the whole catalog, each of which keeps the store busy for some milliseconds.
const COMPARE: Duration = Duration::from_millis(100);

/// No step takes longer, unless something is broken.
const PATIENCE: Duration = Duration::from_mins(3);

async fn snapshot(State(products): State<Arc<Mutex<Products>>>) -> Body {
    let lines = products.lock().unwrap().snapshot();
    Body::from_stream(stream::iter(lines.map(Ok::<_, Infallible>)))
}

pub(crate) struct Site {
    pub(crate) clock: Clock,
    telemetry: Telemetry,
    config: Config,
    system: System,
    dir: TempDir,
}

impl Site {
    pub(crate) async fn start(broker: u16, source: &Source, clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/snapshots", listener.local_addr().unwrap());
        let router = Router::new().route("/snapshots/hz-001/base", get(snapshot));
        let router = router.with_state(Arc::clone(&source.products));
        // It ends with the process.
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        let config = format!(
            "data_dir = '{}'\n[web]\nlisten = '127.0.0.1:0'\n[feed]\nbroker = 'mqtt://127.0.0.1:{broker}'\n[[store]]\n\
             id = 'hz-001'\nname = '杭州解百店'\nformat = 'community'\ntime_zone = 'Asia/Shanghai'\ncurrency = 'CNY'\n\
             market = 'CN'\nreload = {{ url = '{url}', facets = ['base'] }}\n",
            dir.path().join("data").display()
        );
        let config = Config::parse(&config, "bench").unwrap();
        let telemetry = Telemetry::start("warn");
        let system = System::start(&config, Arc::new(Templates::embedded()), clock, &telemetry).await.unwrap();
        let site = Self { clock, telemetry, config, system, dir };
        site.wait("a subscription", |site| site.metric("gondola_feed_connected") > 0).await;
        site
    }

    fn store(&self) -> &StoreHandle {
        &self.system.stores[0]
    }

    /// A metric's value, summed over its labels.
    fn metric(&self, name: &str) -> u64 {
        let text = (self.telemetry.exposition())();
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
        values.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    async fn wait(&self, what: &str, mut is_there: impl FnMut(&Self) -> bool) {
        let deadline = self.clock.now() + PATIENCE;
        while !is_there(self) {
            assert!(self.clock.now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reloads the base facet, and answers the most memory that was in use meanwhile.
    pub(crate) async fn reload(&self) -> Option<f64> {
        let config = self.config.store[0].reload.as_ref().unwrap();
        let reloads = Reloads::new(tls::client(None).unwrap(), self.clock);
        let dir = self.dir.path().to_owned();
        let reloads = reloads.of_store(self.store().clone(), config, TimeZone::UTC, dir);
        let (before, stop) = (self.metric("gondola_reloads_total"), CancellationToken::new());
        let (_orders, ordered) = mpsc::channel(ORDERS_MAX);
        // A store's reloads begin with one.
        TaskTracker::new().spawn(reloads.run(ordered, stop.clone()));
        let mut peak = None;
        self.wait("a reload", |site| {
            peak = highest(peak, resident_mib());
            site.metric("gondola_reloads_total") > before
        })
        .await;
        stop.cancel();
        peak
    }

    /// Waits until the catalog is the source's, compares record by record, and answers the seconds that it took.
    pub(crate) async fn agrees(&self, source: &Source) -> f64 {
        let started = self.clock.now();
        loop {
            let expected = source.products.lock().unwrap().revisions.clone();
            let count = expected.len();
            let read = self.store().read(move |controller, _| {
                let catalog = controller.catalog();
                let differs = |(product, revision): (usize, &u64)| {
                    let item = catalog.item(&sku(product).parse::<Sku>().unwrap());
                    let found = item.and_then(|item| Some((item.revision()?, item.product()?)));
                    found.is_none_or(|(stored, found)| {
                        let name = format!("加州开心果 {product}");
                        let same_price = found.price == Some(price(*revision).parse().unwrap());
                        stored != *revision || !same_price || found.name.as_deref() != Some(&name)
                    })
                };
                (expected.iter().enumerate().filter(|record| differs(*record)).count(), catalog.products().count())
            });
            let (different, found) = read.await.unwrap();
            let took = self.clock.now().since(started);
            if different == 0 && found == count {
                return took.as_secs_f64();
            }
            assert!(took < PATIENCE, "{different} of {count} products differ, {found} are known");
            tokio::time::sleep(COMPARE).await;
        }
    }

    pub(crate) async fn stop(self) {
        assert!(self.system.stop().await, "the controller stops in time");
    }
}

/// A change that is on its way: product, revision, and when it was published.
type Pending = (usize, u64, Moment);

/// How long changes take from their publication to the catalog.
pub(crate) struct Latencies {
    clock: Clock,
    pending: Arc<Mutex<Vec<Pending>>>,
    arrived: Arc<Mutex<Vec<Duration>>>,
    stop: CancellationToken,
}

impl Latencies {
    /// Looks until [`Self::milliseconds`].
    pub(crate) fn watch(site: &Site) -> Self {
        let (pending, arrived) = (Arc::<Mutex<Vec<Pending>>>::default(), Arc::<Mutex<Vec<Duration>>>::default());
        let (clock, stop) = (site.clock, CancellationToken::new());
        let looking = look(site.store().clone(), clock, Arc::clone(&pending), Arc::clone(&arrived));
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move { stopped.run_until_cancelled(looking).await });
        Self { clock, pending, arrived, stop }
    }

    pub(crate) fn expect(&self, product: usize, revision: u64, published: Moment) {
        self.pending.lock().unwrap().push((product, revision, published));
    }

    /// Waits for the last of them.
    pub(crate) async fn milliseconds(self) -> Value {
        let deadline = self.clock.now() + PATIENCE;
        while !self.pending.lock().unwrap().is_empty() {
            assert!(self.clock.now() < deadline, "a change never arrived");
            tokio::time::sleep(LOOK).await;
        }
        self.stop.cancel();
        let mut arrived = self.arrived.lock().unwrap();
        arrived.sort();
        let at = |percent: usize| {
            let index = (arrived.len() * percent / 100).min(arrived.len().saturating_sub(1));
            arrived.get(index).map(|latency| latency.as_secs_f64() * 1_000.0)
        };
        json!({ "timed": arrived.len(), "p50": at(50), "p99": at(99), "max": at(100) })
    }
}

async fn look(store: StoreHandle, clock: Clock, pending: Arc<Mutex<Vec<Pending>>>, arrived: Arc<Mutex<Vec<Duration>>>) {
    loop {
        let asked = pending.lock().unwrap().clone();
        let read = store.read(move |controller, _| {
            let is_there = |(product, revision, _): &Pending| {
                let sku: Sku = sku(*product).parse().unwrap();
                controller.catalog().item(&sku).and_then(Item::revision) >= Some(*revision)
            };
            asked.into_iter().filter(is_there).collect::<Vec<_>>()
        });
        let Ok(there) = read.await else { return };
        let now = clock.now();
        arrived.lock().unwrap().extend(there.iter().map(|(_, _, published)| now.since(*published)));
        pending.lock().unwrap().retain(|change| !there.contains(change));
        tokio::time::sleep(LOOK).await;
    }
}
