//! One store with its sources before a simulated shop, in virtual time, and how long prices take to its shelves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola_protocol::auth::StationKey;
use gondola_protocol::message::Encoding;
use gondola_protocol::{Edition, LabelId, Moment, Panel, Planes, StationId};
use gondola_simulator::checkers::{Claim, Fact};
use gondola_simulator::{
    Device, Dice, LabelMemory, LabelOptions, Observation, RadioOptions, StationOptions, WorldOptions,
};

use super::drawing::Drawing;
use super::harness::{Event, Harness, HarnessOptions};
use super::merchandise::{Merchandise, sku};
use crate::alert::rules::AlertRules;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Market, Settings};
use crate::catalog::sku::Sku;
use crate::catalog::wire::Facet;
use crate::confirmation::Confirmation;
use crate::controller::StoreSettings;
use crate::controller::message::{LabelRequest, Publication, UnknownSkus};
use crate::fleet::label::Label;
use crate::journal::entry::{Entry, Position};
use crate::render::RenderError;
use crate::template::view::StoreView;

/// 2025-11-25T00:00:00+08:00.
pub const START: Moment = Moment::from_secs(1_764_000_000);

/// The first label's address; the others follow.
const FIRST_LABEL: u64 = 0x0000_021B_6D40_0000;

/// The sizes that hang in the shop, in turn.
const PANELS: [&str; 2] = ["bwr-296x128", "bw-250x122"];

/// Pictures that a large shop's base station holds at once: a table of 128 KiB beside a megabyte for the pictures, in the
/// external RAM of the ESP32-S3 that open base stations are made with. With 256 of them the air of 1,500 labels
/// that sleep 20 s would be idle for most of the time.
pub const TRANSFERS_MAX: u16 = 2_048;

/// What a shop is built from.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopOptions {
    /// Decides every chance.
    pub seed: u64,
    /// Labels, each with a product of its own.
    pub labels: usize,
    /// Base stations; labels are dealt out to them in turn.
    pub base_stations: usize,
    /// How long labels sleep.
    pub wake: Duration,
    /// Share of radio messages, blocks and frames that are lost.
    pub loss: f64,
    /// What else becomes of radio messages.
    pub radio: RadioOptions,
    /// Pictures that a base station holds at once: see [`TRANSFERS_MAX`].
    pub transfers_max: u16,
    /// Whether labels have room for fewer pictures and encodings than they could, each for others.
    pub small_memories: bool,
    /// When it opens.
    pub start: Moment,
    /// The key of every base station, and of the controller; none for none.
    pub key: Option<StationKey>,
}

impl ShopOptions {
    fn station(&self, number: usize) -> StationOptions {
        let (transfers_max, key) = (self.transfers_max, self.key);
        StationOptions { id: station(number), transfers_max, key, ..StationOptions::default() }
    }
}

/// How the shop is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Every glass is white, and no label is registered.
    New,
    /// Every label shows its price.
    InOrder,
}

/// A shop.
#[derive(Debug)]
pub struct Shop {
    /// The controller before the simulated shop.
    pub harness: Harness,
    /// What must be on the glasses.
    pub merchandise: Merchandise,
    options: ShopOptions,
    /// The product that each label shows, by the label's number.
    bound: Vec<Option<usize>>,
    /// The labels that show a product, by the product's number.
    labels_of: Vec<BTreeSet<usize>>,
    /// Labels whose glass has to change, by the moment at which what they should show did.
    due: BTreeMap<LabelId, Moment>,
    /// When what a product's labels should show last changed, by its number.
    touched_at: Vec<Moment>,
    glass_at: BTreeMap<LabelId, Moment>,
    /// From a change to the glass that shows it, in milliseconds.
    to_shelf_ms: Vec<u64>,
    /// Facts about the shop, for those who check it; none where nobody does.
    facts: Option<Vec<(Moment, Fact)>>,
    /// What a group commit of the journal takes.
    sync_delay: Duration,
    /// Labels whose id another device has had, too.
    shared: BTreeSet<LabelId>,
}

impl Shop {
    /// A shop whose labels are registered and bound.
    ///
    /// # Errors
    /// The fonts do not open.
    pub fn open(options: ShopOptions, harness: HarnessOptions, opening: Opening) -> Result<Self, RenderError> {
        let (settings, sync_delay) = (settings(options.base_stations), harness.sync_delay);
        let harness = HarnessOptions { key: options.key, ..harness };
        let (start, mut merchandise) = (options.start, Merchandise::new(&settings, options.labels));
        let mut drawing = Drawing::new()?;
        let catalog = merchandise.publish_all(start);
        let mut label = |number| LabelOptions {
            label: label(number),
            panel: panel(number),
            wake: options.wake,
            station: None,
            shows: match opening {
                Opening::New => None,
                Opening::InOrder => merchandise.picture(&mut drawing, number, panel(number), start),
            },
            refresh: None,
            memory: if options.small_memories { memory(options.seed, number) } else { LabelMemory::default() },
        };
        let world = WorldOptions {
            seed: options.seed,
            loss: options.loss,
            radio: options.radio,
            stations: (0..options.base_stations).map(|number| options.station(number)).collect(),
            labels: (0..options.labels).map(&mut label).collect(),
        };
        let harness = Harness::with(harness, settings, world, start)?;
        let mut shop = Self {
            harness,
            merchandise,
            bound: vec![None; options.labels],
            labels_of: vec![BTreeSet::new(); options.labels],
            touched_at: vec![start; options.labels],
            options,
            due: BTreeMap::new(),
            glass_at: BTreeMap::new(),
            to_shelf_ms: Vec::new(),
            facts: None,
            sync_delay,
            shared: BTreeSet::new(),
        };
        for message in catalog {
            shop.harness.publish(Facet::Base, &message);
        }
        Ok(shop)
    }

    /// From now on what happens is told to [`Shop::take_facts`].
    pub fn tell_facts(&mut self) {
        let hung = self.harness.world().labels();
        let start = self.options.start;
        let hung = hung.map(|state| (start, Fact::Hung { label: state.label, digest: state.digest }));
        self.facts = Some(hung.collect());
    }

    /// What happened since the last call.
    pub fn take_facts(&mut self) -> Vec<(Moment, Fact)> {
        self.facts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What it was built from.
    #[must_use]
    pub const fn options(&self) -> &ShopOptions {
        &self.options
    }

    /// Registers every label and lets it show the product of its own number, as it does already in a shop in order.
    pub fn hang_all(&mut self, opening: Opening) {
        for number in 0..self.options.labels {
            self.register(number);
            self.bind(number, Some(number));
        }
        if opening == Opening::InOrder {
            self.due.clear();
        }
    }

    /// Registers a label.
    pub fn register(&mut self, number: usize) {
        let (label, panel) = (label(number), panel(number));
        let claim = Claim { key: format!("registration of {label}"), value: Some(panel.to_string()) };
        self.ask(claim, LabelRequest::Register { label, panel, position: Position::default() });
    }

    /// Lets a label show a product, or none.
    pub fn bind(&mut self, number: usize, product: Option<usize>) {
        let (label, now) = (label(number), self.harness.now());
        if let Some(before) = std::mem::replace(&mut self.bound[number], product) {
            self.labels_of[before].remove(&number);
            self.touched_at[before] = now;
        }
        let request = match product {
            Some(product) => {
                self.labels_of[product].insert(number);
                self.touched_at[product] = now;
                self.due.insert(label, now);
                let (skus, unknown) = (vec![sku(product)], UnknownSkus::Allow);
                LabelRequest::Bind { label, skus, template: None, unknown }
            }
            None => {
                self.due.remove(&label);
                LabelRequest::Unbind { label }
            }
        };
        let value = product.map(|product| sku(product).to_string());
        self.ask(Claim { key: format!("binding of {label}"), value }, request);
    }

    fn ask(&mut self, claim: Claim, request: LabelRequest) {
        let number = self.harness.request(request);
        let now = self.harness.now();
        self.state(now, || Fact::Asked { number, claim });
    }

    /// Another device with a label's id hangs in the shop. From now on nothing that is confirmed of this label is held
    /// against its glass: who hears it cannot know which of the two has proven what.
    ///
    /// # Panics
    /// No such label.
    pub fn hang_twin(&mut self, number: usize) {
        let (label, now) = (label(number), self.harness.now());
        self.harness.world_mut().hang_twin(now, label).expect("the label hangs in the shop");
        self.shared.insert(label);
    }

    /// The other device goes.
    ///
    /// # Panics
    /// No such label.
    pub fn take_twin_down(&mut self, number: usize) {
        let now = self.harness.now();
        self.harness.world_mut().take_twin_down(now, label(number)).expect("the label hangs in the shop");
    }

    /// Labels whose id another device has or had, too.
    #[must_use]
    pub const fn shared(&self) -> &BTreeSet<LabelId> {
        &self.shared
    }

    /// The product that a label shows.
    #[must_use]
    pub fn product_of(&self, number: usize) -> Option<usize> {
        self.bound[number]
    }

    /// Gives products prices in cents, and answers the messages for the base feed.
    pub fn change_prices(&mut self, prices: &[(usize, u64)]) -> Vec<String> {
        for (product, _) in prices {
            self.look_at(*product);
        }
        self.merchandise.change_prices(self.harness.now(), prices)
    }

    /// From now on a product's labels have to show something else.
    pub fn look_at(&mut self, product: usize) {
        let now = self.harness.now();
        self.touched_at[product] = now;
        self.due.extend(self.labels_of[product].iter().map(|number| (label(*number), now)));
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        self.harness.run(span);
        self.watch_all();
    }

    /// Takes in what happened.
    pub fn watch_all(&mut self) {
        for event in self.harness.take_events() {
            self.watch(&event);
        }
    }

    /// Lets time pass until every label's glass is proven to agree, `span` at most. Answers whether they do.
    pub fn settle(&mut self, span: Duration) -> bool {
        /// Looked at this often.
        const STEP: Duration = Duration::from_secs(1);
        let end = self.harness.now() + span;
        while !self.is_settled() {
            if self.harness.now() >= end {
                return false;
            }
            self.run(STEP);
        }
        true
    }

    /// Whether every label's glass is proven to agree.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let agrees = |label: &Label| label.binding.is_none() || label.is_in_sync();
        self.harness.controller().fleet().labels().all(agrees)
    }

    /// What a label with this product must show at `now`; none where no template can be filled with it.
    pub fn picture(&mut self, product: usize, panel: Panel, now: Moment) -> Option<Planes> {
        self.merchandise.picture(self.harness.drawing_mut(), product, panel, now)
    }

    /// Labels whose glass shows something else than what it must.
    pub fn wrong(&mut self) -> Vec<LabelId> {
        let now = self.harness.now();
        let Self { bound, merchandise, harness, .. } = self;
        let is_wrong = |number: &usize| {
            let expected = bound[*number]
                .and_then(|product| merchandise.picture(harness.drawing_mut(), product, panel(*number), now));
            expected.is_some_and(|expected| harness.world().screen(label(*number)) != Some(expected))
        };
        (0..bound.len()).filter(is_wrong).map(label).collect()
    }

    /// From each change to the glass that shows it, in milliseconds, in the order in which the glasses did.
    #[must_use]
    pub fn to_shelf_ms(&self) -> &[u64] {
        &self.to_shelf_ms
    }

    /// Tells a fact to those who check.
    pub fn state(&mut self, at: Moment, fact: impl FnOnce() -> Fact) {
        if let Some(facts) = &mut self.facts {
            facts.push((at, fact()));
        }
    }

    fn watch(&mut self, event: &Event) {
        match event {
            Event::Glass(glass) => {
                let Observation { at, label, edition, digest, device } = *glass;
                if device == Device::Own {
                    self.glass_at.insert(label, at);
                }
                let device = device as usize;
                if edition == Edition(0) {
                    self.state(at, || Fact::Reset { label, device });
                }
                self.state(at, || Fact::Glass { label, edition, digest, device });
            }
            Event::Journal(at, Entry::Proof { label, edition, digest, shown, .. }) => {
                let (label, edition, digest) = (*label, *edition, *digest);
                self.state(*at, || Fact::Proven { label, edition, digest });
                self.watch_proof(*at, label, shown.first().and_then(|shown| shown.price.as_deref()));
            }
            Event::Sent(at, _, label, edition, digest) => {
                let (label, edition, digest) = (*label, *edition, *digest);
                self.state(*at, || Fact::Meant { label, edition, digest });
                self.state(*at, || Fact::Sent { label });
            }
            Event::Staged(at, label, edition, digest, _) => {
                let (label, edition, digest) = (*label, *edition, *digest);
                self.state(*at, || Fact::Meant { label, edition, digest });
            }
            Event::Taken(at, number) => self.state(*at, || Fact::Taken { number: number.0 }),
            Event::Settled(at, number) => self.state(*at, || Fact::Settled { number: number.0 }),
            // Requests are counted from 1.
            Event::Reply(at, ticket, reply) if *ticket > 0 => {
                self.state(*at, || Fact::Answered { number: *ticket, granted: reply.is_ok() });
            }
            Event::Published(at, Publication::Confirmation(confirmation)) => self.watch_confirmation(*at, confirmation),
            _ => {}
        }
    }

    fn watch_proof(&mut self, at: Moment, label: LabelId, price: Option<&str>) {
        let Some(since) = self.due.get(&label).copied() else { return };
        let product = number(label).and_then(|number| self.bound[number]);
        if price.is_some() && price == product.and_then(|product| self.merchandise.price(product, at)).as_deref() {
            self.due.remove(&label);
            let glass_at = self.glass_at.get(&label).copied().unwrap_or(since);
            self.to_shelf_ms.push(u64::try_from(glass_at.since(since).as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// A confirmation that is the last word on its product is held against the glasses. It is told once the journal holds
    /// what it rests on, and what happened meanwhile it cannot know. A label that has forgotten everything has yet
    /// to say so.
    fn watch_confirmation(&mut self, at: Moment, confirmation: &Confirmation) {
        if self.facts.is_none() || confirmation.at.is_none() {
            return;
        }
        let Some(product) = product(&confirmation.sku) else { return };
        let is_news = confirmation.revision == self.merchandise.revision(product)
            && confirmation.price.as_deref() == self.merchandise.price(product, at).as_deref();
        if !is_news || self.touched_at[product] + self.sync_delay >= at {
            return;
        }
        let numbers = self.labels_of[product].clone();
        let shows_other = |number: &usize| {
            if self.shared.contains(&label(*number)) {
                return false;
            }
            let expected = self.picture(product, panel(*number), at);
            let state = self.harness.world().label(label(*number));
            state.is_some_and(|state| state.edition > Edition(0) && Some(state.planes) != expected)
        };
        let wrong = numbers.into_iter().find(shows_other).map(label);
        self.state(at, || Fact::Confirmed { product: confirmation.sku.to_string(), wrong });
    }
}

/// What a label has room for, drawn: any number of pictures, and beside plain and deflated ones any encodings.
fn memory(seed: u64, number: usize) -> LabelMemory {
    let mut dice = Dice::of(seed, *b"memory  ", label(number).0);
    let all = LabelMemory::default();
    let mut small = LabelMemory { pictures: u8::try_from(dice.below(8)).unwrap_or(0), ..all };
    for encoding in Encoding::ALL {
        let is_plain = matches!(encoding, Encoding::Raw | Encoding::Deflate);
        if !is_plain && dice.below(2) == 0 {
            small.encodings &= !encoding.bit();
        }
    }
    small
}

/// A label's address by its number.
#[must_use]
pub const fn label(number: usize) -> LabelId {
    LabelId(FIRST_LABEL + number as u64)
}

/// A label's number by its address.
#[must_use]
pub fn number(label: LabelId) -> Option<usize> {
    usize::try_from(label.0.checked_sub(FIRST_LABEL)?).ok()
}

/// A product's number by its name.
pub(super) fn product(sku: &Sku) -> Option<usize> {
    sku.as_str().strip_prefix('P')?.parse().ok()
}

/// A label's display by its number.
///
/// # Panics
/// Never: the panels are constants.
#[must_use]
pub fn panel(number: usize) -> Panel {
    PANELS[number % PANELS.len()].parse().expect("the panels are constants")
}

/// A base station's name by its number.
///
/// # Panics
/// Never: every number makes a name.
#[must_use]
pub fn station(number: usize) -> StationId {
    format!("station-{}", number + 1).parse().expect("a word and digits are a base station's name")
}

fn settings(base_stations: usize) -> StoreSettings {
    StoreSettings {
        view: StoreView {
            id: "hz-001".to_owned(),
            name: "杭州解百店".to_owned(),
            format: "community".to_owned(),
            market: Market::China.to_string(),
        },
        catalog: Settings {
            currency: "CNY".parse().expect("a currency"),
            market: Market::China,
            time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap_or(jiff::tz::TimeZone::UTC),
            guard: GuardRules::OFF,
        },
        stations: (0..base_stations).map(station).collect(),
        alerts: AlertRules::default(),
    }
}
