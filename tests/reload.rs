//! Full reloads of a store that runs: what is whole is applied, and what is not changes nothing.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod log;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use gondola::catalog::sku::Sku;
use gondola::catalog::wire::{self, Facet};
use gondola::config::{Config, ReloadConfig};
use gondola::controller::message::ReloadReason;
use gondola::run::clock::Clock;
use gondola::run::reload::{ORDERS_MAX, ReloadOrder, Reloads};
use gondola::run::telemetry::Telemetry;
use gondola::run::{System, tls};
use gondola::template::Templates;
use gondola_protocol::Moment;
use jiff::tz::TimeZone;
use log::Log;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the source answers next.
#[derive(Clone)]
enum Answer {
    Text(String),
    /// One text, and from then on another.
    Then(String, String),
    Status(StatusCode),
    /// The beginning, and the rest when it is told.
    Halves(String, Arc<Notify>, String),
    /// It goes on and never ends.
    Endless(String),
}

async fn answer(State(next): State<Arc<Mutex<Answer>>>) -> Response {
    let mut kept = next.lock().unwrap();
    let next = kept.clone();
    if let Answer::Then(_, later) = &next {
        *kept = Answer::Text(later.clone());
    }
    drop(kept);
    match next {
        Answer::Text(text) | Answer::Then(text, _) => text.into_response(),
        Answer::Status(status) => status.into_response(),
        Answer::Halves(first, told, second) => {
            let second = stream::once(async move {
                told.notified().await;
                Ok::<_, Infallible>(second)
            });
            Body::from_stream(stream::iter([Ok(first)]).chain(second)).into_response()
        }
        Answer::Endless(text) => {
            let text = stream::iter([Ok::<_, Infallible>(text)]);
            Body::from_stream(text.chain(stream::pending())).into_response()
        }
    }
}

/// A running store, its source, and what it logs. The test's thread runs everything.
struct Site {
    system: System,
    next: Arc<Mutex<Answer>>,
    orders: mpsc::Sender<ReloadOrder>,
    log: Log,
    stop: CancellationToken,
    tasks: TaskTracker,
    url: String,
    ends: usize,
    dir: TempDir,
    _logging: tracing::subscriber::DefaultGuard,
}

impl Site {
    /// Starts a store whose first reload gets this answer.
    async fn open(first: Answer) -> Self {
        Self::open_at(first, Clock::start(), "").await
    }

    /// A site at some time of its clock, whose reload has these further keys.
    async fn open_at(first: Answer, clock: Clock, keys: &str) -> Self {
        let (log, logging) = Log::listen(tracing::Level::DEBUG);
        let dir = tempfile::tempdir().unwrap();
        let (next, tasks) = (Arc::new(Mutex::new(first)), TaskTracker::new());
        let router = Router::new().route("/hz-001/base", get(answer)).with_state(Arc::clone(&next));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tasks.spawn(async move { axum::serve(listener, router).await });
        // Bound and not listening: a broker that is never there.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = format!(
            "data_dir = '{}'\n[web]\nlisten = '127.0.0.1:0'\n[feed]\nbroker = 'mqtt://{}'\n[[store]]\nid = 'hz-001'\n\
             name = '店'\nformat = 'community'\ntime_zone = 'Asia/Shanghai'\ncurrency = 'CNY'\nmarket = 'CN'\n",
            dir.path().join("data").display(),
            socket.local_addr().unwrap()
        );
        let config = Config::parse(&config, "gondola.toml").unwrap();
        let templates = Arc::new(Templates::embedded());
        let system = System::start(&config, templates, clock, &Telemetry::silent()).await.unwrap();
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let site = Self {
            system,
            next,
            orders,
            log,
            stop: CancellationToken::new(),
            tasks,
            url,
            ends: 0,
            dir,
            _logging: logging,
        };
        let reload: ReloadConfig =
            toml::from_str(&format!("url = '{}'\nfacets = ['base']\ntimeout = '500ms'\n{keys}", site.url)).unwrap();
        let reloads = Reloads::new(tls::client(None).unwrap(), clock);
        let spool = site.dir.path().to_owned();
        let reloads = reloads.of_store(site.system.stores[0].clone(), &reload, TimeZone::UTC, spool);
        site.tasks.spawn(reloads.run(ordered, site.stop.clone()));
        site
    }

    /// Has the store reload with this answer.
    async fn order(&self, answer: Answer) {
        *self.next.lock().unwrap() = answer;
        self.orders.send(ReloadOrder { facet: Facet::Base, why: ReloadReason::Asked }).await.unwrap();
    }

    /// Waits for the next reload that is applied.
    async fn applied(&mut self) -> String {
        self.ends += 1;
        self.log.line("INFO reloaded", self.ends).await
    }

    async fn price(&self, sku: &str) -> Option<String> {
        let sku: Sku = sku.parse().unwrap();
        let read = self.system.stores[0].read(move |controller, _| {
            controller.catalog().product(&sku).and_then(|product| product.price).map(|price| price.to_string())
        });
        read.await.unwrap()
    }

    async fn close(self) {
        self.stop.cancel();
        assert!(self.system.stop().await);
    }
}

fn row(sku: u64, revision: u64, price: &str) -> String {
    format!("{{\"sku\":\"{sku}\",\"revision\":{revision},\"price\":\"{price}\"}}\n")
}

fn snapshot(generation: u64, rows: &[String]) -> String {
    format!(
        "{{\"snapshot\":{{\"facet\":\"base\",\"generation\":{generation}}}}}\n{}{{\"end\":{{\"count\":{}}}}}\n",
        rows.concat(),
        rows.len()
    )
}

#[tokio::test]
async fn a_doubtful_snapshot_changes_nothing_and_the_next_good_one_applies() {
    let mut site = Site::open(Answer::Text(snapshot(10, &[row(1, 1, "1.00"), row(2, 1, "2.00")]))).await;
    assert_eq!(site.applied().await, "INFO reloaded store=hz-001 facet=base rows=2 invalid=0");
    let newer = snapshot(11, &[row(1, 2, "9.00"), row(2, 2, "9.00")]);
    let halves = newer.len() / 2;
    let doubtful = [
        (Answer::Text(newer[..halves].to_owned()), "line 2 is not JSON ("),
        (Answer::Text(newer[..newer.len() - 2].to_owned()), "line 4 is not JSON ("),
        (Answer::Text(newer[..newer.find("{\"end").unwrap()].to_owned()), "the file stops after line 3 without "),
        (Answer::Text(newer.replace(":2}}", ":3}}")), "line 4: the end says 3 rows, but 2 were read"),
        (Answer::Text(newer.replace("base", "stock")), "line 1: the snapshot is of facet `stock`; expected `base`"),
        (Answer::Text("<html>".to_owned()), "line 1 is no snapshot header; expected "),
        (Answer::Text(snapshot(9, &[row(1, 2, "9.00")])), "its generation is 9, and 10 was applied already: "),
        (Answer::Status(StatusCode::NOT_FOUND), "the answer is 404 Not Found; expected 200"),
        (Answer::Endless(newer.clone()), "it was not there whole within 500ms"),
    ];
    for (answer, reason) in doubtful {
        let reasons = site.log.lines(reason).len();
        site.order(answer).await;
        let line = site.log.line(reason, reasons + 1).await;
        let address =
            format!("WARN cannot reload facet `base` of store `hz-001` from {}/hz-001/base: {reason}", site.url);
        assert!(line.starts_with(&address), "{line}");
        assert_eq!((site.price("1").await.as_deref(), site.price("2").await.as_deref()), (Some("1.00"), Some("2.00")));
    }
    site.order(Answer::Text(newer)).await;
    site.applied().await;
    assert_eq!(site.price("1").await.as_deref(), Some("9.00"));
    site.close().await;
}

#[tokio::test]
async fn timed_full_reload() {
    // Half a second before the time of the day.
    let clock = Clock::starting_at(Moment::from_secs(1_795_145_400) - Duration::from_millis(500));
    let [first, daily] = [snapshot(1, &[row(1, 1, "1.00"), row(2, 1, "2.00")]), snapshot(2, &[row(1, 2, "1.50")])];
    let mut site = Site::open_at(Answer::Then(first, daily), clock, "at = '03:30'\njitter = '0s'").await;
    assert_eq!(site.applied().await, "INFO reloaded store=hz-001 facet=base rows=2 invalid=0");
    site.log.line("INFO reloaded store=hz-001 facet=base rows=1 invalid=0", 1).await;
    assert_eq!(site.price("1").await.as_deref(), Some("1.50"));
    assert_eq!(site.price("2").await, None, "what it does not name is no more");
    site.close().await;
}

#[tokio::test]
async fn a_failure_that_repeats_itself_is_logged_once() {
    let mut site = Site::open(Answer::Status(StatusCode::BAD_GATEWAY)).await;
    let reason = "the answer is 502 Bad Gateway; expected 200";
    for count in 1..=3 {
        site.log.line(reason, count).await;
        site.order(Answer::Status(StatusCode::BAD_GATEWAY)).await;
    }
    site.log.line(reason, 4).await;
    let told = |log: &Log| log.lines(reason).iter().filter(|line| line.starts_with("WARN")).count();
    assert_eq!(told(&site.log), 1);
    site.order(Answer::Text(snapshot(1, &[]))).await;
    site.applied().await;
    site.order(Answer::Status(StatusCode::BAD_GATEWAY)).await;
    site.log.line(reason, 5).await;
    assert_eq!(told(&site.log), 2, "it had gone well meanwhile");
    site.close().await;
}

#[tokio::test]
async fn an_invalid_row_among_ten_thousand_costs_its_sku_alone() {
    let rows = |revision, price: &str| (1..=10_000).map(|sku| row(sku, revision, price)).collect::<Vec<_>>();
    let mut site = Site::open(Answer::Text(snapshot(1, &rows(1, "1.00")))).await;
    assert_eq!(site.applied().await, "INFO reloaded store=hz-001 facet=base rows=10000 invalid=0");
    let mut newer = rows(2, "2.00");
    newer[4_711] = "{\"sku\":\"4712\",\"revision\":2,\"price\":2.5}\n".to_owned();
    site.order(Answer::Text(snapshot(2, &newer))).await;
    assert_eq!(site.applied().await, "INFO reloaded store=hz-001 facet=base rows=10000 invalid=1");
    site.log.line("reload: base line 4713, sku `4712`: `price` is the number 2.5; expected an amount", 1).await;
    for (sku, price) in [("4711", "2.00"), ("4712", "1.00"), ("4713", "2.00"), ("10000", "2.00")] {
        assert_eq!(site.price(sku).await.as_deref(), Some(price), "sku {sku}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_change_that_arrives_during_a_reload_survives_it() {
    let mut site = Site::open(Answer::Text(snapshot(1, &[row(1, 1, "1.00")]))).await;
    site.applied().await;
    let text = snapshot(2, &[row(1, 2, "2.00")]);
    let (first, second) = text.split_at(60);
    let told = Arc::new(Notify::new());
    site.order(Answer::Halves(first.to_owned(), Arc::clone(&told), second.to_owned())).await;
    let message = wire::parse(Facet::Base, format!("[{},{}]", row(1, 3, "3.00"), row(2, 1, "4.00")).as_bytes());
    site.system.stores[0].feed(None, Facet::Base, message).await.unwrap();
    told.notify_one();
    site.applied().await;
    assert_eq!(site.price("1").await.as_deref(), Some("3.00"));
    assert_eq!(site.price("2").await.as_deref(), Some("4.00"));
    site.close().await;
}
