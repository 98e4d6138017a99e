//! A running store without base stations: whatever a station would tell, the test tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::head::HeadEvent;
use gondola_protocol::message::{CheckIn, Reason, Welcome};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, SessionId, StationId, StoreId};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alert::rules::AlertRules;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Market, Settings};
use crate::catalog::wire::{self, Facet};
use crate::controller::{Controller, StoreSettings};
use crate::fleet::label::Label;
use crate::journal::memory::MemoryDirectory;
use crate::journal::{Journal, JournalOptions, Opened, Recalled};
use crate::run::clock::Clock;
use crate::run::pictures::Studio;
use crate::run::recovery::journal_news;
use crate::run::store::{Inbox, News, Store, StoreHandle, StoreParts};
use crate::run::templates::TemplateLibrary;
use crate::storage::pictures::Pictures;
use crate::storage::view::View;
use crate::storage::writer::ViewWriter;
use crate::template::view::StoreView;

/// Longest wait for something that a store does by itself.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// How often a waiting test looks at a label that announces nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The day of the tests, 2026-11-20 at noon in Shanghai: before the promotion of their product.
pub(crate) const DAY: Moment = Moment::from_secs(1_795_147_200);

/// One running store.
pub(crate) struct TestShop {
    pub(crate) handle: StoreHandle,
    /// Where its journal is.
    pub(crate) disk: MemoryDirectory,
    news: mpsc::Sender<News>,
    _dir: TempDir,
}

/// What a label says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Says {
    pub(crate) label: LabelId,
    pub(crate) panel: Panel,
    pub(crate) digest: Digest,
    pub(crate) edition: Edition,
    pub(crate) battery_mv: u16,
    pub(crate) reason: Reason,
}

impl TestShop {
    /// Opens a store in a directory of its own, with a base station `front` that never was there.
    pub(crate) fn open(
        id: &str,
        name: &str,
        templates: &TemplateLibrary,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        Self::open_on(MemoryDirectory::default(), (id, name), templates, tracker, shutdown)
    }

    /// Opens a store whose journal is on `disk`.
    pub(crate) fn open_on(
        disk: MemoryDirectory,
        (id, name): (&str, &str),
        templates: &TemplateLibrary,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let store: StoreId = id.parse().unwrap();
        let (dir, clock, inbox) = (TempDir::new().unwrap(), Clock::starting_at(DAY), Inbox::default());
        let view_news = inbox.news.clone();
        let options = JournalOptions { retry_wait: LOOK_AGAIN, ..JournalOptions::default() };
        let mut controller = Controller::new(settings(id, name), templates.current(), clock.now());
        let replay = &mut |it: Recalled| controller.replay(it.position.map(|it| it.sequence), it.at, &it.entry);
        let news = journal_news(inbox.news.clone());
        let opened = Journal::start(disk.shared(), &store, options, replay, news).unwrap();
        let Opened { journal, head, until, .. } = opened;
        if head.sequence > 0 {
            controller.resume(clock.now(), Some(head), until);
        }
        let (view, _) = View::open(dir.path()).unwrap();
        let pictures = Arc::new(Pictures::new(&view));
        let view = ViewWriter::spawn(view, move |number| {
            let _ = view_news.blocking_send(News::Stored(number));
        });
        let (acknowledgements, _) = mpsc::channel(1);
        let (reloads, _) = mpsc::channel(1);
        let parts = StoreParts {
            id: store,
            clock,
            journal,
            view: view.unwrap(),
            pictures,
            pictures_kept: Duration::ZERO,
            studio: Studio::start(1).unwrap(),
            stations: BTreeMap::new(),
            acknowledgements,
            reloads,
            outbox: Arc::default(),
            templates: templates.watch(),
        };
        let news = inbox.news.clone();
        let (store, handle) = Store::new(controller, parts, inbox);
        let shutdown = shutdown.clone();
        tracker.spawn(async move { store.run(shutdown).await.unwrap() });
        Self { handle, disk, news, _dir: dir }
    }

    /// A base station that is not configured wants to come in.
    pub(crate) async fn turn_away(&self, station: &str) {
        self.news.send(News::TurnedAway(station.parse().unwrap())).await.unwrap();
    }

    /// Feeds base events.
    pub(crate) async fn feed(&self, base: &str) {
        let parsed = wire::parse(Facet::Base, base.as_bytes());
        assert_eq!(parsed.errors, []);
        self.handle.feed(None, Facet::Base, parsed).await.unwrap();
    }

    async fn tell(&self, event: HeadEvent) {
        self.news.send(News::Station(front(), event)).await.unwrap();
    }

    /// The base station opens a session.
    pub(crate) async fn station_up(&self) {
        let welcome = Welcome {
            session: SessionId(1),
            version: 1,
            station: front(),
            epoch: 1,
            encodings: 3,
            window: 8,
            payload_max: 4_096,
            transfers_max: 64,
            bytes_max: 1 << 20,
        };
        self.tell(HeadEvent::Up { capacity: (&welcome).into(), epoch: Some(1) }).await;
    }

    /// A label checks in.
    pub(crate) async fn check_in(&self, says: Says) {
        let Says { label, panel, digest, edition, battery_mv, reason } = says;
        let check_in = CheckIn {
            label,
            panel,
            reason,
            edition,
            digest,
            battery_mv: Millivolts(battery_mv),
            rssi_dbm: -61,
            temperature_c: 21,
            firmware: 258,
        };
        self.tell(HeadEvent::CheckIn(check_in)).await;
    }

    /// Waits until `look` finds something in a label.
    pub(crate) async fn label<T: Send + 'static>(&self, id: LabelId, look: fn(&Label) -> Option<T>) -> T {
        let mut changes = self.handle.watch();
        let found = async {
            loop {
                let found = self.handle.read(move |controller, _| controller.fleet().label(id).and_then(look)).await;
                if let Some(found) = found.unwrap() {
                    return found;
                }
                // Not everything that a label proves is announced as a change.
                let _ = tokio::time::timeout(LOOK_AGAIN, changes.recv()).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, found).await.unwrap()
    }

    /// Lets a label prove what it should show, with a fresh battery.
    pub(crate) async fn prove(&self, label: LabelId, panel: Panel) -> Digest {
        let white = gondola_protocol::Planes::white(panel).digest();
        self.check_in(Says {
            label,
            panel,
            digest: white,
            edition: Edition(0),
            battery_mv: 2_950,
            reason: Reason::Displayed,
        })
        .await;
        let wanted = |label: &Label| {
            let desired = label.desired.as_ref()?;
            Some((desired.digest?, desired.edition))
        };
        let (digest, edition) = self.label(label, wanted).await;
        self.check_in(Says { label, panel, digest, edition, battery_mv: 2_950, reason: Reason::Displayed }).await;
        self.label(label, |label| label.is_in_sync().then_some(())).await;
        digest
    }
}

fn front() -> StationId {
    "front".parse().unwrap()
}

fn settings(id: &str, name: &str) -> StoreSettings {
    StoreSettings {
        view: StoreView { id: id.into(), name: name.into(), format: "community".into(), market: "CN".into() },
        catalog: Settings {
            currency: "CNY".parse().unwrap(),
            market: Market::China,
            time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
            guard: GuardRules::default(),
        },
        stations: vec![front()],
        alerts: AlertRules::default(),
    }
}
