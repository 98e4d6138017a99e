//! A store through hours of virtual time: a phase in which things go wrong, then one without, and checkers that look on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola_protocol::message::Credits;
use gondola_protocol::{LabelId, Moment, StationId};
use gondola_simulator::checkers::{Checkers, Fact, Violation};
use gondola_simulator::{Counters, Dice, Fault};

use super::draw::{Action, Agenda, Drawn, FaultLevel, PROMOTION_MIN};
use super::harness::{Event, HarnessOptions, Planted};
use super::shop::{Opening, START, Shop, ShopOptions, label, number, station};
use crate::alert::Rule;
use crate::catalog::SnapshotPart;
use crate::catalog::wire::Facet;
use crate::controller::message::ReloadReport;
use crate::render::RenderError;

/// How long a shop may take to agree once nothing goes wrong any more: the longest time that a label which refused its
/// pictures is left alone, and a few wakes.
const RECOVERY_MAX: Duration = Duration::from_secs(35 * 60);

/// How long it must be quiet after that.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// Within this time a missing message is missed, and its source asked.
const GAP_WAIT: Duration = Duration::from_secs(20);

/// Levels are looked at this often.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// Check-ins that a label may cause in an hour in which nothing changes; the rule is every 15 minutes.
const CHECK_INS_PER_HOUR: u64 = 6;

/// Check-ins that a picture may cause: one at each of the tries, one when it is shown.
const CHECK_INS_PER_TRANSFER: u64 = 6;

/// Prices that are corrected at once, by hand.
const CORRECTED: usize = 4;

/// A promotion is of one product in so many: in a day every other product is in one of its forty.
const PROMOTED_ONE_IN: u64 = 80;

/// In a small shop it is of some so many.
const PROMOTED_MIN: usize = 10;

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulationOptions {
    /// Decides everything.
    pub seed: u64,
    /// Labels in the store.
    pub labels: usize,
    /// Base stations in the store.
    pub base_stations: usize,
    /// Virtual time: at least an hour.
    pub span: Duration,
    /// How much goes wrong.
    pub faults: FaultLevel,
    /// A bug that a test plants, to see that it is found.
    pub planted: Option<Planted>,
}

/// How a store's run went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The drawn options.
    pub drawn: Drawn,
    /// Labels that agree, by the controller's word.
    pub in_sync: usize,
    /// Glasses that do not show what they must.
    pub wrong: usize,
    /// From each change to the glass that shows it, in milliseconds.
    pub to_shelf_ms: Vec<u64>,
    /// What happened in the shop.
    pub counters: Counters,
    /// Data frames that either end sent again.
    pub retransmissions: u64,
    /// Virtual time that it took.
    pub elapsed: Duration,
    /// Labels by their panel, and what they took from their batteries together, in nanocoulombs.
    pub batteries: BTreeMap<String, (u64, u64)>,
    /// Things that happened.
    pub events: u64,
    /// Times that the controller died.
    pub crashes: u64,
    /// Times that every price changed.
    pub waves: u64,
    /// Promotions that were announced.
    pub promotions: u64,
    /// Ids that two devices had.
    pub twins: Twins,
    /// What cannot be.
    pub violations: Vec<Violation>,
}

/// Ids that two devices had at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Twins {
    /// Labels that shared theirs for a while.
    pub shared: usize,
    /// Those of them of which the controller has said so in the end.
    pub found: usize,
    /// Others of which it has.
    pub mistaken: usize,
}

/// A run.
struct Simulation {
    options: SimulationOptions,
    drawn: Drawn,
    shop: Shop,
    dice: Dice,
    agenda: Agenda,
    checkers: Checkers,
    /// Labels with a fault.
    failed: Vec<usize>,
    /// Wakes of devices with another label's id, at most.
    twin_wakes: u64,
    broker_back: Moment,
    /// When nothing goes wrong any more.
    safety_end: Moment,
    crashes: u64,
    waves: u64,
    promotions: u64,
    looked_at: Moment,
    credits_max: u64,
    /// Labels at the base station that has most.
    per_station: u64,
}

/// Runs a store.
///
/// # Errors
/// The fonts do not open.
pub fn run(options: SimulationOptions) -> Result<Outcome, RenderError> {
    let mut simulation = Simulation::new(options)?;
    let start = simulation.shop.harness.now();
    simulation.play(simulation.safety_end);
    simulation.recover();
    simulation.rest(start + options.span);
    Ok(simulation.outcome())
}

impl Simulation {
    fn new(options: SimulationOptions) -> Result<Self, RenderError> {
        let SimulationOptions { seed, labels, base_stations, span, faults, planted } = options;
        let drawn = Drawn::of(seed, faults);
        let shop = ShopOptions {
            seed,
            labels,
            base_stations,
            wake: Duration::from_secs(drawn.wake_s),
            loss: drawn.loss(),
            radio: drawn.radio(),
            transfers_max: drawn.transfers_max,
            small_memories: drawn.small_memories,
            start: START,
            key: None,
        };
        let harness = HarnessOptions { sync_delay: Duration::from_millis(drawn.sync_ms), planted, key: None };
        let mut shop = Shop::open(shop, harness, Opening::InOrder)?;
        if planted == Some(Planted::SendsOldPictures) {
            shop.harness.world_mut().ignore_editions();
        }
        shop.tell_facts();
        shop.hang_all(Opening::InOrder);
        let mut dice = Dice::of(seed, *b"scenario", 0);
        let start = shop.harness.now();
        let safety = span.saturating_sub(RECOVERY_MAX + QUIET).max(span / 4);
        let agenda = Agenda::draw(&mut dice, &drawn, start, safety, (labels, base_stations));
        let mut at_stations: BTreeMap<StationId, u64> = BTreeMap::new();
        for state in shop.harness.world().labels() {
            *at_stations.entry(state.station).or_default() += 1;
        }
        let per_station = at_stations.into_values().max().unwrap_or(0);
        let credits_max = u64::from(drawn.transfers_max) * base_stations as u64;
        Ok(Self {
            options,
            drawn,
            shop,
            dice,
            agenda,
            checkers: Checkers::default(),
            failed: Vec::new(),
            twin_wakes: 0,
            broker_back: start,
            safety_end: start + safety,
            crashes: 0,
            waves: 0,
            promotions: 0,
            looked_at: start,
            credits_max,
            per_station,
        })
    }

    /// Whether a planted bug was found: there is nothing more to see.
    fn is_found(&self) -> bool {
        self.options.planted.is_some() && !self.checkers.violations().is_empty()
    }

    /// Plays the agenda until `end`.
    fn play(&mut self, end: Moment) {
        while self.shop.harness.now() < end && !self.is_found() {
            let now = self.shop.harness.now();
            while let Some(action) = self.agenda.take(now) {
                self.act(action);
            }
            let next = self.agenda.next().unwrap_or(end).min(self.looked_at + LOOK_PERIOD).min(end);
            self.run(next.since(now));
            if next >= self.looked_at + LOOK_PERIOD {
                self.look();
            }
        }
    }

    fn run(&mut self, span: Duration) {
        self.shop.harness.run(span);
        self.watch();
    }

    /// Takes in what happened. Whoever is asked for a reload makes one after a while.
    fn watch(&mut self) {
        let now = self.shop.harness.now();
        for event in self.shop.harness.events() {
            if let Event::Reload(at, facet) = event {
                let wait = Duration::from_millis(500 + self.dice.below(10_000));
                self.agenda.plan((*at + wait).max(now), Action::Reload(*facet));
            }
        }
        self.shop.watch_all();
        for (at, fact) in self.shop.take_facts() {
            self.checkers.see(at, fact);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Wave => {
                self.waves += 1;
                self.change_prices(1);
            }
            Action::Correct => self.change_prices(self.one_in(CORRECTED)),
            Action::Promote => self.promote(),
            Action::Boundary(products) => products.into_iter().for_each(|product| self.shop.look_at(product)),
            Action::Rebind => self.rebind(),
            Action::FailLabel => self.fail_label(),
            Action::HealLabel(number) => self.set_fault(number, None),
            Action::HangTwin => self.hang_twin(),
            Action::TakeTwinDown(number) => self.shop.take_twin_down(number),
            Action::FailStation => self.fail_station(),
            Action::Reconnect(number) => self.shop.harness.connect(&station(number)),
            Action::FailBroker => {
                self.broker_back = self.now() + Duration::from_secs(10 + self.dice.below(300));
            }
            Action::Crash => self.crash(),
            Action::Deliver(facet, message) => _ = self.shop.harness.publish(facet, &message),
            Action::Reload(facet) => self.reload(facet),
        }
        self.watch();
    }

    fn now(&self) -> Moment {
        self.shop.harness.now()
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.dice.below(count as u64)).unwrap_or(0)
    }

    /// One product in `every` gets another price.
    fn change_prices(&mut self, every: u64) {
        let mut prices = Vec::new();
        for product in 0..self.shop.merchandise.len() {
            if self.dice.below(every) == 0 {
                let cents = self.shop.merchandise.base_price(product);
                prices.push((product, cents * (80 + self.dice.below(41)) / 100 + 1));
            }
        }
        for message in self.shop.change_prices(&prices) {
            self.send(Facet::Base, message);
        }
    }

    /// One product in how many is some `count` of them.
    fn one_in(&self, count: usize) -> u64 {
        (self.shop.merchandise.len() / count).max(1) as u64
    }

    /// A promotion, from some minutes ahead on, which is over before nothing goes wrong any more.
    fn promote(&mut self) {
        let every = self.one_in(PROMOTED_MIN).min(PROMOTED_ONE_IN);
        let products: Vec<usize> = (0..self.shop.merchandise.len()).filter(|_| self.dice.below(every) == 0).collect();
        let now = self.now();
        let left = self.safety_end.since(now).as_secs();
        if products.is_empty() || left < PROMOTION_MIN.as_secs() {
            return;
        }
        let start = now.as_micros() / 1_000_000 + 60 + self.dice.below(left / 2);
        let end = start + 60 + self.dice.below(left / 2 - 120);
        let percent = 5 + self.dice.below(40);
        self.promotions += 1;
        let message = self.shop.merchandise.promote(now, &products, percent, (start, end));
        for second in [start, end] {
            self.agenda.plan(Moment::from_secs(second), Action::Boundary(products.clone()));
        }
        self.send(Facet::Promotion, message);
    }

    /// Puts a message on its way: it may come twice, late, or never, and waits while the broker is away.
    fn send(&mut self, facet: Facet, message: String) {
        let Drawn { repeated_per_mille, late_per_mille, missing_per_mille, .. } = self.drawn;
        let at = self.now().max(self.broker_back);
        if self.dice.happens(repeated_per_mille) {
            let later = at + Duration::from_millis(self.dice.below(60_000));
            self.agenda.plan(later, Action::Deliver(facet, message.clone()));
        }
        if self.dice.happens(missing_per_mille) {
            return;
        }
        let late = if self.dice.happens(late_per_mille) { self.dice.below(60_000) } else { 0 };
        self.agenda.plan(at + Duration::from_millis(late), Action::Deliver(facet, message));
    }

    fn rebind(&mut self) {
        let number = self.pick(self.options.labels);
        let product = self.pick(self.shop.merchandise.len());
        let product = (!self.dice.happens(100)).then_some(product);
        self.shop.bind(number, product);
    }

    fn fail_label(&mut self) {
        let number = self.pick(self.options.labels);
        let fault = match self.dice.below(3) {
            0 => Fault::Deaf,
            1 => Fault::Stuck,
            _ => Fault::Reset,
        };
        self.set_fault(number, Some(fault));
        if fault != Fault::Reset {
            self.failed.push(number);
            let span = Duration::from_secs(10 + self.dice.below(1_800));
            self.agenda.plan(self.now() + span, Action::HealLabel(number));
        }
    }

    fn set_fault(&mut self, number: usize, fault: Option<Fault>) {
        let now = self.now();
        self.shop.harness.world_mut().set_fault(now, label(number), fault).expect("the label hangs in the shop");
    }

    /// Another device with a label's id comes into the shop for a while.
    fn hang_twin(&mut self) {
        let number = self.pick(self.options.labels);
        let seconds = 60 + self.dice.below(3_600);
        self.twin_wakes += seconds / self.drawn.wake_s + 1;
        self.shop.hang_twin(number);
        self.agenda.plan(self.now() + Duration::from_secs(seconds), Action::TakeTwinDown(number));
    }

    /// A base station restarts, loses its line for a while, or has less memory.
    fn fail_station(&mut self) {
        let (number, now) = (self.pick(self.options.base_stations), self.now());
        match self.dice.below(3) {
            0 => self.shop.harness.world_mut().reboot(now, &station(number)),
            1 => {
                self.shop.harness.disconnect(&station(number));
                let span = Duration::from_secs(1 + self.dice.below(240));
                self.agenda.plan(now + span, Action::Reconnect(number));
            }
            _ => {
                let transfers_max = 1 + self.dice.below(u64::from(self.drawn.transfers_max));
                self.set_credits(number, u16::try_from(transfers_max).unwrap_or(1));
            }
        }
    }

    fn set_credits(&mut self, number: usize, transfers_max: u16) {
        let now = self.now();
        let credits = Credits { transfers_max, bytes_max: 1 << 20 };
        self.shop.harness.world_mut().set_credits(now, &station(number), credits);
    }

    /// The controller dies within a group commit of what somebody has just asked for.
    fn crash(&mut self) {
        self.rebind();
        let window = 2 * self.drawn.sync_ms + 1;
        let wait = self.dice.below(window);
        self.run(Duration::from_millis(wait));
        self.shop.harness.crash();
        self.crashes += 1;
        self.watch();
        let fleet = self.shop.harness.controller().fleet();
        let registered = fleet.labels().map(|label| (format!("registration of {}", label.id), label.panel.to_string()));
        let bound = fleet.labels().filter_map(|label| {
            let sku = label.binding.as_ref()?.skus.first()?;
            Some((format!("binding of {}", label.id), sku.to_string()))
        });
        let holds = registered.chain(bound).collect();
        self.checkers.see(self.now(), Fact::Restarted { holds });
        self.ask_again();
        for facet in [Facet::Base, Facet::Promotion] {
            let wait = Duration::from_millis(200 + self.dice.below(3_000));
            self.agenda.plan(self.now() + wait, Action::Reload(facet));
        }
    }

    /// Whoever got no answer asks again.
    fn ask_again(&mut self) {
        for number in 0..self.options.labels {
            let label = self.shop.harness.controller().fleet().label(label(number));
            let held = label.and_then(|label| label.binding.as_ref()).and_then(|binding| binding.skus.first().cloned());
            let wanted = self.shop.product_of(number);
            if label.is_none() {
                self.shop.register(number);
            }
            if held != wanted.map(super::merchandise::sku) {
                self.shop.bind(number, wanted);
            }
        }
    }

    fn reload(&mut self, facet: Facet) {
        let now = self.now();
        let (rows, seq) = self.shop.merchandise.snapshot(facet);
        let report = ReloadReport { rows: rows.len(), ..ReloadReport::default() };
        let begin = SnapshotPart::Begin { facet, seq: Some(seq), reset: false, asked_at: now };
        for part in [begin, SnapshotPart::Rows { rows, kept: Vec::new() }, SnapshotPart::End] {
            self.shop.harness.snapshot(part);
        }
        self.shop.harness.reload_ended(facet, Ok(report));
    }

    /// Looks at how full everything is.
    fn look(&mut self) {
        self.looked_at = self.now();
        let (now, world, core) = (self.now(), self.shop.harness.world(), self.shop.harness.controller());
        let counters = world.active_counters();
        let (labels, sessions) = (self.options.labels as u64, counters.sessions);
        let hours = now.since(START).as_secs() / 3_600 + 1;
        let check_ins_max = labels * CHECK_INS_PER_HOUR * hours
            + self.per_station * sessions
            + CHECK_INS_PER_TRANSFER * counters.transfers
            // Two devices with one id say something else at each of their wakes.
            + 2 * self.twin_wakes
            + labels;
        let mut levels = vec![
            ("transfers in flight".to_owned(), core.in_flight() as u64, self.credits_max),
            ("labels in line".to_owned(), core.waiting() as u64, labels),
            ("wake-ups of the core".to_owned(), core.wakes() as u64, labels + 1),
            ("check-ins forwarded".to_owned(), counters.check_ins, check_ins_max),
        ];
        for id in world.stations() {
            let (transfers, bytes) = world.holds(id);
            levels.push((format!("transfers at {id}"), transfers as u64, u64::from(self.drawn.transfers_max)));
            levels.push((format!("bytes at {id}"), bytes as u64, 1 << 20));
        }
        for (of, value, max) in levels {
            self.checkers.see(now, Fact::Level { of, value, max });
        }
    }

    /// Nothing goes wrong any more: every glass must come to agree.
    fn recover(&mut self) {
        self.agenda.calm();
        for number in std::mem::take(&mut self.failed) {
            self.set_fault(number, None);
        }
        let shared: Vec<usize> = self.shop.shared().iter().filter_map(|label| number(*label)).collect();
        for number in shared {
            self.shop.take_twin_down(number);
        }
        let now = self.now();
        self.shop.harness.world_mut().set_loss(now, 0.0);
        self.shop.harness.world_mut().set_bursts(now, None);
        (self.drawn.missing_per_mille, self.drawn.late_per_mille, self.drawn.repeated_per_mille) = (0, 0, 0);
        self.broker_back = self.now();
        let stations = if self.options.faults == FaultLevel::None { 0 } else { self.options.base_stations };
        for number in 0..stations {
            self.set_credits(number, self.drawn.transfers_max);
            self.shop.harness.connect(&station(number));
        }
        for facet in [Facet::Base, Facet::Promotion] {
            if let Some(message) = self.shop.merchandise.repeat_last(self.now(), facet) {
                self.send(facet, message);
            }
        }
        let (end, wakes) = (self.now() + RECOVERY_MAX, self.wakes());
        self.play(self.now() + GAP_WAIT);
        while self.now() < end && !self.is_found() && !self.is_at_rest() {
            self.play((self.now() + Duration::from_secs(5)).min(end));
        }
        let wrong = self.shop.wrong();
        let check_ins = |label: &LabelId| {
            let number = super::shop::number(*label).unwrap_or(0);
            (*label, self.wakes().get(number).copied().unwrap_or(0) - wakes[number])
        };
        let wrong = wrong.iter().map(check_ins).collect();
        let check_ins_max = RECOVERY_MAX.as_secs() / self.drawn.wake_s * 9 / 10;
        self.checkers.see(self.now(), Fact::Recovered { wrong, check_ins_max });
    }

    /// Whether nothing is to come, and controller and glasses agree.
    fn is_at_rest(&mut self) -> bool {
        self.agenda.next().is_none() && self.shop.is_settled() && self.shop.wrong().is_empty()
    }

    fn wakes(&self) -> Vec<u64> {
        self.shop.harness.world().labels().map(|label| label.wakes).collect()
    }

    /// Everything agrees, and nothing may be sent until `end`.
    fn rest(&mut self, end: Moment) {
        if self.is_at_rest() {
            self.checkers.see(self.now(), Fact::Quiet);
        }
        self.play(end.max(self.now() + QUIET));
        self.look();
        self.checkers.finish(self.now());
    }

    fn twins(&self) -> Twins {
        let suspects = self.shop.harness.controller().alerts().subjects(Rule::DuplicateId);
        let shared: BTreeSet<String> = self.shop.shared().iter().map(ToString::to_string).collect();
        let found = suspects.iter().filter(|subject| shared.contains(*subject)).count();
        Twins { shared: shared.len(), found, mistaken: suspects.len() - found }
    }

    fn outcome(mut self) -> Outcome {
        let wrong = self.shop.wrong().len();
        let harness = &self.shop.harness;
        let agrees =
            harness.controller().fleet().labels().filter(|label| label.binding.is_none() || label.is_in_sync());
        let counters = harness.world().counters();
        let mut batteries: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for label in harness.world().labels() {
            let (labels, spent_nc) = batteries.entry(label.panel.to_string()).or_default();
            *labels += 1;
            *spent_nc += label.spent_nc;
        }
        Outcome {
            drawn: Drawn::of(self.options.seed, self.options.faults),
            in_sync: agrees.count(),
            wrong,
            to_shelf_ms: self.shop.to_shelf_ms().to_vec(),
            counters,
            elapsed: self.shop.harness.now().since(START),
            batteries,
            retransmissions: counters.retransmissions + harness.retransmissions(),
            events: harness.world().events(),
            crashes: self.crashes,
            waves: self.waves,
            promotions: self.promotions,
            twins: self.twins(),
            violations: self.checkers.violations().to_vec(),
        }
    }
}
