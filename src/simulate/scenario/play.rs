//! A scenario on the virtual clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola_protocol::auth::StationKey;
use gondola_protocol::{Digest, LabelId, Moment};
use gondola_simulator::Counters;

use super::super::harness::{Event, HarnessOptions};
use super::super::report::Distribution;
use super::super::shop::{self, Opening, Shop, ShopOptions, TRANSFERS_MAX, label, panel, station};
use super::format::station_group;
use super::record::{Record, Window};
use super::till::Tills;
use super::{Expectation, OpeningConfig, Played, Scenario, Span, State, What};
use crate::catalog::wire::Facet;
use crate::confirmation::Confirmation;
use crate::controller::message::Publication;
use crate::fleet::health::{Health, Problem};
use crate::fleet::label::Label;
use crate::render::RenderError;

/// What every true base station and the controller know in a shop with keys.
const KEY: StationKey = StationKey(*b"the key of this simulated shop..");

/// What an impostor made up.
const OTHER_KEY: StationKey = StationKey(*b"a key that a stranger made up ..");

/// So long before the scenario begins base stations and labels are found; a shop that is in order is known to be then.
const OPENING: Duration = Duration::from_secs(600);

/// States of labels are looked at this often in a scenario: as many points as a plot shows.
const SAMPLES: u32 = 240;

/// How a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayOptions {
    /// Decides every chance.
    pub seed: u64,
    /// Labels, with as many to a base station; the scenario's own number unless given.
    pub labels: Option<usize>,
}

/// Something that is to be done at a moment.
#[derive(Debug, Clone)]
enum Step {
    Happen(usize),
    Bind(usize),
    Boundary(Vec<usize>),
    Sample,
    Look(usize),
}

/// A scenario that is being played.
pub(super) struct Play {
    pub(super) scenario: Scenario,
    pub(super) shop: Shop,
    pub(super) start: Moment,
    pub(super) record: Record,
    pub(super) tills: Tills,
    pub(super) groups: BTreeMap<String, BTreeSet<usize>>,
    /// Shares of labels in a state, by the expectation that asks.
    pub(super) looks: BTreeMap<usize, f64>,
    /// Labels whose cell is bad.
    pub(super) bad: BTreeSet<usize>,
    /// What happened at base stations while an impostor stood in their place.
    pub(super) impostors: Counters,
    steps: BTreeMap<(Moment, u64), Step>,
    planned: u64,
    /// What base stations had counted when an impostor came.
    counted: BTreeMap<usize, Counters>,
    /// What waits at the broker while the network is out.
    held: Option<Vec<(Facet, String)>>,
    /// Prices in cents by product, as they were published last.
    prices: Vec<u64>,
}

/// Plays a scenario to its end.
///
/// # Errors
/// The fonts do not open.
pub fn play(scenario: Scenario, options: PlayOptions) -> Result<Played, RenderError> {
    let scenario = match options.labels {
        Some(labels) => scenario.scaled(labels),
        None => scenario,
    };
    let mut play = Play::new(scenario, options.seed)?;
    play.plan_all();
    let end = play.start + play.scenario.span;
    while play.now() < end {
        while let Some(step) = play.take() {
            play.act(step);
        }
        let next = play.steps.keys().next().map_or(end, |(at, _)| *at).min(end);
        play.run(next.since(play.now()));
    }
    while let Some(step) = play.take() {
        play.act(step);
    }
    play.record.end();
    let verdicts = play.verdicts();
    let to_shelf = play.record.changes.iter().filter_map(|change| Some(change.shown_at?.since(change.since)));
    let to_shelf_ms: Vec<u64> = to_shelf.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).collect();
    Ok(Played {
        plot: play.plot(),
        title: play.scenario.title.clone(),
        seed: options.seed,
        labels: play.scenario.shop.labels,
        base_stations: play.scenario.shop.base_stations,
        span_s: play.scenario.span.as_secs(),
        verdicts,
        time_to_shelf_s: Distribution::of_ms(&to_shelf_ms),
        events: play.shop.harness.world().events(),
    })
}

impl Play {
    fn new(scenario: Scenario, seed: u64) -> Result<Self, RenderError> {
        let config = &scenario.shop;
        let opening = match config.opening {
            OpeningConfig::InOrder => Opening::InOrder,
            OpeningConfig::New => Opening::New,
        };
        let options = ShopOptions {
            seed,
            labels: config.labels,
            base_stations: config.base_stations,
            wake: config.wake.0,
            loss: config.radio.loss,
            radio: config.radio.options(),
            transfers_max: TRANSFERS_MAX,
            small_memories: false,
            start: scenario.starts - OPENING,
            key: config.keys.then_some(KEY),
        };
        let mut shop = Shop::open(options, HarnessOptions::default(), opening)?;
        if opening == Opening::InOrder {
            shop.hang_all(opening);
        }
        shop.run(OPENING);
        let mut play = Self {
            start: shop.harness.now(),
            record: Record::default(),
            tills: Tills::default(),
            groups: groups(&scenario, &shop),
            looks: BTreeMap::new(),
            bad: BTreeSet::new(),
            impostors: Counters::default(),
            steps: BTreeMap::new(),
            planned: 0,
            counted: BTreeMap::new(),
            held: None,
            prices: (0..config.labels).map(|product| shop.merchandise.base_price(product)).collect(),
            shop,
            scenario,
        };
        if opening == Opening::InOrder {
            play.open_tills();
        }
        Ok(play)
    }

    /// Every glass shows its price already.
    fn open_tills(&mut self) {
        for number in 0..self.prices.len() {
            if let Some(picture) = self.picture(number) {
                self.record.see(self.start, number, picture);
                self.record.want(self.start, number, picture);
                self.tills.open(number, self.prices[number], picture);
            }
        }
    }

    /// What a label with the product of its number must show now.
    fn picture(&mut self, number: usize) -> Option<Digest> {
        let now = self.now();
        self.shop.picture(number, panel(number), now).map(|planes| planes.digest())
    }

    /// What the labels of products must show is another now.
    fn look_at(&mut self, products: &[usize]) {
        for product in products {
            if let Some(picture) = self.picture(*product) {
                self.record.want(self.now(), *product, picture);
            }
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.shop.harness.now()
    }

    fn plan(&mut self, at: Moment, step: Step) {
        self.planned += 1;
        self.steps.insert((at, self.planned), step);
    }

    fn plan_all(&mut self) {
        for (number, happening) in self.scenario.happenings.clone().iter().enumerate() {
            self.plan(self.start + happening.at.0, Step::Happen(number));
        }
        for (number, expectation) in self.scenario.expectations.clone().iter().enumerate() {
            if let Expectation::Health { at, .. } = expectation {
                self.plan(self.start + at.0, Step::Look(number));
            }
        }
        for sample in 0..=SAMPLES {
            self.plan(self.start + self.scenario.span * sample / SAMPLES, Step::Sample);
        }
    }

    /// The next step that is due.
    fn take(&mut self) -> Option<Step> {
        let now = self.now();
        let entry = self.steps.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    fn run(&mut self, span: Duration) {
        self.shop.harness.run(span);
        self.watch();
    }

    /// Takes in what happened.
    fn watch(&mut self) {
        let mut confirmed = Vec::new();
        for event in self.shop.harness.events() {
            match event {
                Event::Glass(glass) => {
                    if let Some(number) = shop::number(glass.label) {
                        self.record.refreshes.push((glass.at, number));
                        self.record.see(glass.at, number, glass.digest);
                        self.tills.see(glass.at, number, glass.digest);
                    }
                }
                Event::Published(at, Publication::Confirmation(confirmation)) => {
                    confirmed.extend(price_of(confirmation).map(|(product, cents)| (*at, product, cents)));
                }
                _ => {}
            }
        }
        for (at, product, cents) in confirmed {
            self.tills.confirm(at, product, cents);
        }
        self.shop.watch_all();
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Happen(number) => self.happen(self.scenario.happenings[number].event.clone()),
            Step::Bind(number) => {
                self.shop.register(number);
                self.shop.bind(number, Some(number));
                self.record.bound_at.insert(number, self.now());
                self.look_at(&[number]);
            }
            Step::Boundary(products) => self.look_at(&products),
            Step::Sample => self.sample(),
            Step::Look(number) => self.look(number),
        }
        self.watch();
    }

    fn happen(&mut self, event: What) {
        let now = self.now();
        match event {
            What::Bind { over } => self.bind_all(now, over),
            What::Prices { share, percent } => self.change_prices(share, percent),
            What::Promotion { share, percent_off, starts, ends } => self.promote(share, percent_off, [starts, ends]),
            What::StationOff { station: number } => self.set_power(number, false),
            What::StationOn { station: number } => self.set_power(number, true),
            What::NetworkOff {} => self.cut_network(),
            What::NetworkOn {} => self.mend_network(),
            What::Temperature { group, celsius } => {
                self.each_of(&group, |shop, label| shop.harness.world_mut().set_temperature(now, label, celsius));
            }
            What::BadBatteries { group, left_percent, leak_microamperes } => {
                self.bad.extend(self.group(Some(&group)));
                let millionths = (100 - left_percent) * 10_000;
                self.each_of(&group, |shop, label| {
                    let world = shop.harness.world_mut();
                    world.drain_battery(now, label, millionths)?;
                    world.leak_battery(now, label, leak_microamperes)
                });
            }
            What::NewBatteries { group } => {
                for number in self.group(Some(&group)) {
                    self.bad.remove(&number);
                }
                self.each_of(&group, |shop, label| shop.harness.world_mut().replace_battery(now, label));
            }
            What::Impostor { station: number } => {
                let id = station(number - 1);
                self.shop.harness.world_mut().exchange_station(now, &id, Some(OTHER_KEY));
                self.counted.insert(number, self.shop.harness.world().counters_of(&id));
            }
            What::ImpostorGone { station: number } => {
                self.dismiss(number);
                self.shop.harness.world_mut().exchange_station(now, &station(number - 1), Some(KEY));
            }
        }
    }

    /// Counts what an impostor got.
    pub(super) fn dismiss(&mut self, number: usize) {
        if let Some(before) = self.counted.remove(&number) {
            self.impostors += self.shop.harness.world().counters_of(&station(number - 1)) - before;
        }
    }

    /// Base stations whose place an impostor has.
    pub(super) fn impostors_now(&self) -> Vec<usize> {
        self.counted.keys().copied().collect()
    }

    fn bind_all(&mut self, now: Moment, over: Span) {
        let labels = self.scenario.shop.labels;
        let count = u32::try_from(labels).unwrap_or(u32::MAX);
        for number in 0..labels {
            let at = u32::try_from(number).unwrap_or(u32::MAX);
            self.plan(now + over.0.mul_f64(f64::from(at) / f64::from(count)), Step::Bind(number));
        }
    }

    /// So many products, spread evenly; at least one.
    fn products(&self, share: f64) -> Vec<usize> {
        let is_chosen = |number: &usize| (*number as f64 * share).floor() < ((*number + 1) as f64 * share).floor();
        let chosen: Vec<usize> = (0..self.prices.len()).filter(is_chosen).collect();
        if chosen.is_empty() { vec![0] } else { chosen }
    }

    fn change_prices(&mut self, share: f64, percent: u64) {
        let products = self.products(share);
        let price = |product: &usize| {
            let cents = self.prices[*product] * percent / 100;
            // A price that does not change would be none.
            (*product, if cents == self.prices[*product] { cents + 1 } else { cents.max(1) })
        };
        let prices: Vec<(usize, u64)> = products.iter().map(price).collect();
        let messages = self.shop.change_prices(&prices);
        let now = self.now();
        for (product, cents) in prices {
            self.prices[product] = cents;
            if let Some(picture) = self.picture(product) {
                self.record.want(now, product, picture);
                self.tills.publish(now, product, cents, picture);
            }
        }
        messages.into_iter().for_each(|message| self.send(Facet::Base, message));
    }

    fn promote(&mut self, share: f64, percent_off: u64, bounds: [Span; 2]) {
        let products = self.products(share);
        let [start, end] = bounds.map(|bound| (self.start + bound.0).as_micros().div_ceil(1_000_000));
        let message = self.shop.merchandise.promote(self.now(), &products, percent_off, (start, end));
        for second in [start, end] {
            self.plan(Moment::from_secs(second), Step::Boundary(products.clone()));
        }
        self.send(Facet::Promotion, message);
    }

    fn send(&mut self, facet: Facet, message: String) {
        match &mut self.held {
            Some(held) => held.push((facet, message)),
            None => _ = self.shop.harness.publish(facet, &message),
        }
    }

    fn set_power(&mut self, number: usize, is_on: bool) {
        let now = self.now();
        self.shop.harness.world_mut().set_power(now, &station(number - 1), is_on);
    }

    fn cut_network(&mut self) {
        self.held.get_or_insert_with(Vec::new);
        for number in 0..self.scenario.shop.base_stations {
            self.shop.harness.disconnect(&station(number));
        }
    }

    fn mend_network(&mut self) {
        for number in 0..self.scenario.shop.base_stations {
            self.shop.harness.connect(&station(number));
        }
        for (facet, message) in self.held.take().unwrap_or_default() {
            self.send(facet, message);
        }
    }

    fn each_of<E>(&mut self, group: &str, mut act: impl FnMut(&mut Shop, LabelId) -> Result<(), E>) {
        for number in self.group(Some(group)) {
            // The group's labels hang in the shop.
            _ = act(&mut self.shop, label(number));
        }
    }

    /// A group's labels; all of them without a name.
    pub(super) fn group(&self, name: Option<&str>) -> BTreeSet<usize> {
        match name {
            Some(name) => self.groups.get(name).cloned().unwrap_or_default(),
            None => (0..self.scenario.shop.labels).collect(),
        }
    }

    pub(super) fn window<'a>(&self, labels: &'a BTreeSet<usize>, from: Span, until: Option<Span>) -> Window<'a> {
        let until = until.map_or(self.scenario.span, |until| until.0);
        Window { labels, from: self.start + from.0, until: self.start + until }
    }

    /// What the controller knows of its labels.
    fn sample(&mut self) {
        let (now, fleet) = (self.now(), self.shop.harness.controller().fleet());
        let count = |state| (state, fleet.labels().filter(|label| is_in(label, state, now)).count());
        let counts = [State::Offline, State::Stale, State::LowBattery, State::InSync].map(count);
        self.record.samples.push((now, counts.into_iter().collect()));
    }

    fn in_state(&self, labels: &BTreeSet<usize>, state: State) -> usize {
        let (now, fleet) = (self.now(), self.shop.harness.controller().fleet());
        let known = labels.iter().filter_map(|number| fleet.label(label(*number)));
        known.filter(|label| is_in(label, state, now)).count()
    }

    fn look(&mut self, number: usize) {
        if let Expectation::Health { group, state, .. } = self.scenario.expectations[number].clone() {
            let labels = self.group(group.as_deref());
            let share = self.in_state(&labels, state) as f64 / labels.len().max(1) as f64;
            self.looks.insert(number, share);
        }
    }
}

/// Whether a label is known to be in a state.
fn is_in(label: &Label, state: State, now: Moment) -> bool {
    match state {
        State::Offline => Health::of(label, now) == Health::Offline,
        State::Stale => Health::of(label, now) == Health::Stale,
        State::InSync => Health::of(label, now) == Health::InSync,
        State::LowBattery => Problem::of(label).any(|problem| problem == Problem::LowBattery),
    }
}

/// Labels by the scenario's names, and by the base station that they poll at the beginning.
fn groups(scenario: &Scenario, shop: &Shop) -> BTreeMap<String, BTreeSet<usize>> {
    let labels = scenario.shop.labels;
    let mut groups = BTreeMap::new();
    for (name, [from, to]) in &scenario.groups {
        let is_within = |number: &usize| (*from..*to).contains(&(*number as f64 / labels as f64));
        groups.insert(name.clone(), (0..labels).filter(is_within).collect());
    }
    for state in shop.harness.world().labels() {
        let name = state.station.as_str().to_owned();
        if station_group(&name).is_some() {
            groups.entry(name).or_insert_with(BTreeSet::new).extend(shop::number(state.label));
        }
    }
    groups
}

/// The product's number and its price in cents that a confirmation says to be on every label.
fn price_of(confirmation: &Confirmation) -> Option<(usize, u64)> {
    confirmation.at?;
    let cents = confirmation.price.as_ref()?.replace('.', "").parse().ok()?;
    Some((shop::product(&confirmation.sku)?, cents))
}
