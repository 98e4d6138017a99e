//! A store before a simulated shop in virtual time, and what must be true of the two from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola::alert::rules::AlertRules;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::sku::Sku;
use gondola::catalog::wire::{self, Facet};
use gondola::catalog::{Catalog, SnapshotPart};
use gondola::confirmation::Confirmation;
use gondola::controller::StoreSettings;
use gondola::controller::message::{LabelRequest, Publication, Ticket, UnknownSkus};
use gondola::fleet::health::Health;
use gondola::fleet::label::Label;
use gondola::journal::entry::{Entry, Position};
use gondola::render::Renderer;
use gondola::simulate::harness::{Event, Harness};
use gondola::template::Templates;
use gondola::template::view::{LabelView, StoreView};
use gondola_protocol::{Digest, Edition, LabelId, Moment, Panel, Planes, StationId};
use gondola_simulator::world::Observation;
use gondola_simulator::{Fault, LabelMemory, LabelOptions, RadioOptions, StationOptions, WorldOptions};

/// 2025-11-25T00:00:00+08:00.
pub(crate) const START: Moment = Moment::from_secs(1_764_000_000);

/// The sizes that hang in the shop, in turn.
const PANELS: [&str; 2] = ["bw-250x122", "bwr-296x128"];

/// What a shop is built from.
#[derive(Debug, Clone)]
pub(crate) struct ShopOptions {
    /// Labels, numbered from 0; each has a product of the same number.
    pub(crate) labels: u64,
    /// Base stations, numbered from 0.
    pub(crate) stations: u64,
    pub(crate) seed: u64,
    pub(crate) loss: f64,
    pub(crate) wake: Duration,
}

impl Default for ShopOptions {
    fn default() -> Self {
        Self { labels: 4, stations: 1, seed: 7, loss: 0.0, wake: Duration::from_secs(10) }
    }
}

pub(crate) fn label(number: u64) -> LabelId {
    LabelId(0x0000_021B_6D40_0000 + number)
}

pub(crate) fn panel(number: u64) -> Panel {
    let id = if number.is_multiple_of(2) { PANELS[0] } else { PANELS[1] };
    id.parse().unwrap()
}

pub(crate) fn sku(number: u64) -> Sku {
    format!("P{number}").parse().unwrap()
}

pub(crate) fn station(number: u64) -> StationId {
    format!("station-{number}").parse().unwrap()
}

pub(crate) fn settings(stations: u64) -> StoreSettings {
    StoreSettings {
        view: StoreView {
            id: "hz-001".to_owned(),
            name: "杭州解百店".to_owned(),
            format: "community".to_owned(),
            market: Market::China.to_string(),
        },
        catalog: Settings {
            currency: "CNY".parse().unwrap(),
            market: Market::China,
            time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
            guard: GuardRules::OFF,
        },
        stations: (0..stations).map(station).collect(),
        alerts: AlertRules::default(),
    }
}

/// A base event.
pub(crate) fn product(number: u64, revision: u64, price: &str) -> String {
    format!(
        r#"{{"sku":"{}","revision":{revision},"name":"加州开心果 {number}","spec":"500g/袋","unit":"袋","price":"{price}"}}"#,
        sku(number)
    )
}

/// A store, a shop, and a catalog of its own that knows what was published.
pub(crate) struct Shop {
    pub(crate) harness: Harness,
    pub(crate) options: ShopOptions,
    published: Catalog,
    store: StoreView,
    templates: Templates,
    renderer: Renderer,
    bound: BTreeMap<LabelId, u64>,
    revision: u64,
}

impl Shop {
    /// A shop whose labels nobody has registered.
    pub(crate) fn open(options: ShopOptions) -> Self {
        let labels = |number| LabelOptions {
            label: label(number),
            panel: panel(number),
            wake: options.wake,
            station: Some(station(number % options.stations)),
            shows: None,
            refresh: None,
            memory: LabelMemory::default(),
        };
        let world = WorldOptions {
            seed: options.seed,
            loss: options.loss,
            radio: RadioOptions::default(),
            stations: (0..options.stations)
                .map(|number| StationOptions { id: station(number), ..StationOptions::default() })
                .collect(),
            labels: (0..options.labels).map(labels).collect(),
        };
        let settings = settings(options.stations);
        Self {
            published: Catalog::new(settings.catalog.clone()),
            store: settings.view.clone(),
            harness: Harness::new(settings, world, START).unwrap(),
            options,
            templates: Templates::embedded(),
            renderer: Renderer::new().unwrap(),
            bound: BTreeMap::new(),
            revision: 0,
        }
    }

    /// A shop in which every label shows its product at 10.00.
    #[track_caller]
    pub(crate) fn settled(options: ShopOptions) -> Self {
        let mut shop = Self::open(options);
        shop.hang_all();
        let wake = shop.options.wake;
        shop.settle(Duration::from_secs(600) + 2 * wake);
        shop
    }

    /// Publishes every product at 10.00, registers and binds every label.
    pub(crate) fn hang_all(&mut self) {
        for number in 0..self.options.labels {
            self.price(number, "10.00");
            self.register(number);
            self.bind(number, number);
        }
    }

    pub(crate) fn publish(&mut self, facet: Facet, payload: &str) {
        let now = self.harness.now();
        for row in wire::parse(facet, payload.as_bytes()).rows {
            self.published.apply(now, row);
        }
        assert_eq!(self.harness.publish(facet, payload), []);
    }

    /// Hands over a whole snapshot that was asked for at this moment.
    pub(crate) fn reload(&mut self, facet: Facet, rows: &str) {
        let now = self.harness.now();
        let rows = wire::parse(facet, rows.as_bytes()).rows;
        let begin = SnapshotPart::Begin { facet, seq: None, reset: false, asked_at: now };
        for part in [begin, SnapshotPart::Rows { rows, kept: Vec::new() }, SnapshotPart::End] {
            self.published.take_snapshot(now, part.clone());
            self.harness.snapshot(part);
        }
    }

    /// The labels whose glasses changed since an event of the trace.
    pub(crate) fn changed_since(&self, event: usize) -> BTreeSet<LabelId> {
        let glasses = self.harness.events()[event..].iter().filter_map(|event| match event {
            Event::Glass(observation) => Some(observation.label),
            _ => None,
        });
        glasses.collect()
    }

    /// What other systems were told, oldest first.
    pub(crate) fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.harness.events().iter().filter_map(|event| match event {
            Event::Published(_, publication) => Some(publication),
            _ => None,
        })
    }

    /// The newest word on how far the shelf is with a product.
    #[track_caller]
    pub(crate) fn confirmation(&self, number: u64) -> &Confirmation {
        let of_product = self.publications().filter_map(|publication| match publication {
            Publication::Confirmation(confirmation) if confirmation.sku == sku(number) => Some(confirmation),
            _ => None,
        });
        of_product.last().unwrap()
    }

    /// Publishes a product's new price.
    pub(crate) fn price(&mut self, number: u64, price: &str) {
        self.revision += 1;
        let payload = product(number, self.revision, price);
        self.publish(Facet::Base, &payload);
    }

    pub(crate) fn register(&mut self, number: u64) -> Ticket {
        let (label, panel) = (label(number), panel(number));
        self.harness.request(LabelRequest::Register { label, panel, position: Position::default() })
    }

    pub(crate) fn remove(&mut self, number: u64) -> Ticket {
        self.bound.remove(&label(number));
        self.harness.request(LabelRequest::Remove { label: label(number) })
    }

    pub(crate) fn bind(&mut self, number: u64, to: u64) -> Ticket {
        self.bound.insert(label(number), to);
        let (label, skus) = (label(number), vec![sku(to)]);
        self.harness.request(LabelRequest::Bind { label, skus, template: None, unknown: UnknownSkus::Refuse })
    }

    pub(crate) fn unbind(&mut self, number: u64) -> Ticket {
        self.bound.remove(&label(number));
        self.harness.request(LabelRequest::Unbind { label: label(number) })
    }

    #[track_caller]
    pub(crate) fn fault(&mut self, number: u64, fault: Option<Fault>) {
        let now = self.harness.now();
        self.harness.world_mut().set_fault(now, label(number), fault).unwrap();
    }

    pub(crate) fn run(&mut self, seconds: u64) {
        self.harness.run(Duration::from_secs(seconds));
    }

    /// Lets time pass until every bound label agrees, in the controller's eyes and on the glass.
    #[track_caller]
    pub(crate) fn settle(&mut self, within: Duration) {
        let settled = self.harness.run_until(within, all_in_sync);
        let late: Vec<String> = self
            .harness
            .controller()
            .fleet()
            .labels()
            .filter(|label| label.binding.is_some() && !label.is_in_sync())
            .map(|label| format!("{label:#?}"))
            .collect();
        assert!(settled, "after {within:?} {} labels do not agree: {}", late.len(), late.join("\n"));
        for number in 0..self.options.labels {
            assert!(self.glass_agrees(number), "label {number} is said to agree, and its glass does not");
        }
    }

    /// Whether a bound label's glass shows what was last published, drawn afresh. An unbound one always agrees.
    pub(crate) fn glass_agrees(&mut self, number: u64) -> bool {
        let expected = self.expected(number);
        expected.is_none_or(|expected| self.harness.world().screen(label(number)) == Some(expected))
    }

    /// What a label must show now; none when it is unbound.
    pub(crate) fn expected(&mut self, number: u64) -> Option<Planes> {
        let product = sku(*self.bound.get(&label(number))?);
        let view =
            LabelView { store: self.store.clone(), products: vec![self.published.view(&product, self.harness.now())] };
        let template = self.templates.select(&view, panel(number)).to_owned();
        let scene = self.templates.scene(&template, &view, panel(number)).unwrap();
        Some(self.renderer.render(&scene).planes)
    }

    #[track_caller]
    pub(crate) fn label(&self, number: u64) -> &Label {
        self.harness.controller().fleet().label(label(number)).unwrap()
    }

    #[track_caller]
    pub(crate) fn health(&self, number: u64) -> Health {
        Health::of(self.label(number), self.harness.now())
    }

    /// How many transfers went to base stations.
    pub(crate) fn sent(&self) -> usize {
        self.harness.events().iter().filter(|event| matches!(event, Event::Sent(..))).count()
    }

    /// Every change of a glass.
    pub(crate) fn glasses(&self) -> impl Iterator<Item = &Observation> {
        self.harness.events().iter().filter_map(|event| match event {
            Event::Glass(observation) => Some(observation),
            _ => None,
        })
    }

    /// The changes of one label's glass.
    pub(crate) fn glasses_of(&self, number: u64) -> Vec<Observation> {
        self.glasses().filter(|observation| observation.label == label(number)).copied().collect()
    }

    /// What the journal took, apart from the store's accuracy each hour.
    pub(crate) fn journal(&self) -> Vec<&Entry> {
        let entries = self.harness.events().iter().filter_map(|event| match event {
            Event::Journal(_, entry) => Some(entry).filter(|entry| !matches!(entry, Entry::Accuracy { .. })),
            _ => None,
        });
        entries.collect()
    }

    /// What must hold of every trace: no glass goes back, no proof without its picture, every request is answered
    /// exactly once, and at the end no base station's room is held for a transfer that is over.
    #[track_caller]
    pub(crate) fn check_trace(&self) {
        let white = |number| (label(number), Edition(0), Planes::white(panel(number)).digest());
        let mut shown: BTreeSet<(LabelId, Edition, Digest)> = (0..self.options.labels).map(white).collect();
        let mut highest: BTreeMap<LabelId, Edition> = BTreeMap::new();
        let mut answered: BTreeMap<Ticket, u32> = BTreeMap::new();
        let mut asked = 0;
        for event in self.harness.events() {
            match event {
                Event::Glass(glass) => {
                    let before = highest.insert(glass.label, glass.edition).unwrap_or_default();
                    // Edition 0 is a label that forgot everything.
                    assert!(glass.edition >= before || glass.edition == Edition(0), "after {before}: {glass:?}");
                    shown.insert((glass.label, glass.edition, glass.digest));
                }
                Event::Journal(at, Entry::Proof { label, edition, digest, .. }) => {
                    assert!(shown.contains(&(*label, *edition, *digest)), "at {at} {label} never showed {edition}");
                }
                Event::Reply(_, ticket, _) => {
                    *answered.entry(*ticket).or_default() += 1;
                    asked = asked.max(*ticket);
                }
                Event::Journal(..)
                | Event::Sent(..)
                | Event::Staged(..)
                | Event::Commanded(..)
                | Event::Taken(..)
                | Event::Settled(..)
                | Event::Notice(..)
                | Event::Published(..)
                | Event::Reload(..) => {}
            }
        }
        let once: BTreeMap<Ticket, u32> = (1..=asked).map(|ticket| (ticket, 1)).collect();
        assert_eq!(answered, once);
        if self.harness.controller().in_flight() == 0 {
            for station in self.harness.controller().fleet().stations() {
                assert_eq!((station.transfers, station.bytes), (0, 0), "base station {} holds room", station.id);
            }
        }
    }
}

fn all_in_sync(harness: &Harness) -> bool {
    harness.controller().fleet().labels().all(|label| label.binding.is_none() || label.is_in_sync())
}

/// `12.34` from 1,234.
pub(crate) fn amount(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
