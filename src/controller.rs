//! THE CORE: one store's whole state and every decision about it.
//!
//! Pure: it reads no clock, socket, file, thread or random source. [`Controller::handle`] takes what
//! happened and the moment at which it did; [`Controller::poll_output`] gives what is to be done; and
//! [`Controller::poll_timeout`] says when it wants to be woken. The shells in `run` and the virtual-time
//! harness in `simulate` are loops around these.

mod commands;
mod desire;
mod dispatch;
mod durability;
mod evidence;
pub mod jobs;
mod measures;
pub mod message;
mod requests;
pub mod sources;
mod strangers;
mod telling;
pub mod trials;
pub mod watching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::Outcome;
use gondola_protocol::message::{Lane, Status as WireStatus};
use gondola_protocol::{LabelId, Moment, StationId, TransferNumber};

use crate::alert::rules::AlertRules;
use crate::alert::{Alert, Alerts};
use crate::catalog::Catalog;
use crate::catalog::settings::Settings;
use crate::catalog::sku::Sku;
use crate::fleet::Fleet;
use crate::fleet::accuracy::Accuracy;
use crate::fleet::ahead::Switch;
use crate::fleet::label::Label;
use crate::journal::Position;
use crate::journal::entry::Entry;
use crate::planner::Planner;
use crate::template::view::{LabelView, StoreView};
use crate::template::{Scene, SceneError, Templates};
use durability::Durability;
use jobs::Jobs;
use message::{Input, Notice, Output, Publication};
use sources::Sources;
use strangers::Strangers;
use telling::Told;
use trials::{Trial, Trials};
use watching::Watching;

/// Every label is looked at again this often, so that nothing stays wrong because a hint was missed.
const SWEEP_PERIOD: Duration = Duration::from_mins(10);

/// Labels that are looked at in one turn, and of which others are told in one: some 25 ms of work where each scene is
/// drawn up anew, and 1 ms where nothing has changed. What base stations and people say is heard in between.
const TURN_MAX: usize = 1_000;

/// Outputs that a store at rest has room for: those of a few check-ins.
const OUTPUTS_KEPT: usize = 32;

/// Prices in one record of the journal: a promotion of a whole store makes some dozens of records.
const POINTS_MAX: usize = 1_000;

/// Pictures that are being made for a store at once: some 50 ms of work for two threads, so that they never wait for the
/// store. More would only stand in line, hold room at base stations meanwhile, and be overtaken by newer ones.
const RENDERS_MAX: usize = 64;

/// What a store is, as far as decisions depend on it.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// What templates see of it.
    pub view: StoreView,
    /// Currency, market and time zone.
    pub catalog: Settings,
    /// Its base stations.
    pub stations: Vec<StationId>,
    /// From where on what is measured of it is told.
    pub alerts: AlertRules,
}

/// Why the core wants to be woken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// A label's wait ends.
    Label(LabelId),
    /// Everything is looked at.
    Sweep,
}

/// Room that a transfer or a command holds at a base station until its outcome, even if its label is gone by then.
#[derive(Debug)]
struct Booking {
    label: LabelId,
    station: StationId,
    bytes: usize,
    /// What the label is told to do; none for a picture.
    action: Option<Action>,
}

/// Switches of the store that are remembered: those of a day with one every half hour.
const SWITCHES_MAX: usize = 48;

/// One store.
#[derive(Debug)]
pub struct Controller {
    store: StoreView,
    templates: Arc<Templates>,
    catalog: Catalog,
    fleet: Fleet,
    planner: Planner,
    /// Labels to look at, by how urgent a new picture would be.
    dirty: BTreeSet<(Lane, LabelId)>,
    /// Labels to look at because everything is looked at: once nothing else is left to look at.
    round: BTreeSet<LabelId>,
    wakes: BTreeSet<(Moment, Wake)>,
    /// Labels by the wake that waits for them: at most one each.
    label_wakes: BTreeMap<LabelId, Moment>,
    /// Transfers and commands that have no outcome yet.
    transfers: BTreeMap<TransferNumber, Booking>,
    transfer_last: TransferNumber,
    /// Of those, the ones whose pictures are being made: at most [`RENDERS_MAX`].
    rendering: BTreeSet<TransferNumber>,
    /// Which base station is planned for first; another one each time.
    turn: usize,
    /// The latest moment that was told.
    now: Moment,
    /// How the newest switches of the store went: at most [`SWITCHES_MAX`].
    switches: VecDeque<Switch>,
    sources: Sources,
    jobs: Jobs,
    alerts: Alerts,
    /// What the journal is still to be told of them.
    alert_news: Vec<Alert>,
    watching: Watching,
    strangers: Strangers,
    trials: Trials,
    /// Until then a label that reports is registered unasked.
    enrols_until: Moment,
    accuracy: Accuracy,
    /// Labels whose state changed since they were last told of.
    changed: BTreeSet<LabelId>,
    told: Told,
    /// The journal's newest record, with what was put out for it.
    journal_sequence: u64,
    /// Batches put out for the journal, and how many of them it holds.
    appended: u64,
    synced: u64,
    durability: Durability,
    /// Outputs that wait until the journal holds so many batches.
    after_sync: VecDeque<(u64, Output)>,
    /// Batches put out for the view, and how many of them it holds.
    stored: u64,
    flushed: u64,
    /// Outputs that wait until the view holds what is being done now, and those that wait for so many batches.
    owed: Vec<Output>,
    after_flush: VecDeque<(u64, Output)>,
    outputs: VecDeque<Output>,
}

impl Controller {
    /// A store without products or labels.
    #[must_use]
    pub fn new(settings: StoreSettings, templates: Arc<Templates>, now: Moment) -> Self {
        let mut fleet = Fleet::default();
        for station in settings.stations {
            fleet.add_station(station);
        }
        Self {
            store: settings.view,
            templates,
            catalog: Catalog::new(settings.catalog),
            fleet,
            planner: Planner::default(),
            dirty: BTreeSet::new(),
            round: BTreeSet::new(),
            wakes: BTreeSet::from([(now + SWEEP_PERIOD, Wake::Sweep)]),
            label_wakes: BTreeMap::new(),
            transfers: BTreeMap::new(),
            transfer_last: TransferNumber(0),
            rendering: BTreeSet::new(),
            turn: 0,
            now,
            switches: VecDeque::new(),
            sources: Sources::default(),
            jobs: Jobs::default(),
            alerts: Alerts::default(),
            alert_news: Vec::new(),
            watching: Watching::new(settings.alerts, now),
            strangers: Strangers::default(),
            trials: Trials::default(),
            enrols_until: Moment::ZERO,
            accuracy: Accuracy::default(),
            changed: BTreeSet::new(),
            told: Told::default(),
            journal_sequence: 0,
            appended: 0,
            synced: 0,
            durability: Durability::default(),
            after_sync: VecDeque::new(),
            stored: 0,
            flushed: 0,
            owed: Vec::new(),
            after_flush: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The catalog, to fill it from the view at start.
    pub fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// Takes up an entry that the journal holds from an earlier run, in the record `sequence`, or in several of which
    /// it says what they came to. Nothing is put out for it.
    pub fn replay(&mut self, sequence: Option<u64>, at: Moment, entry: &Entry) {
        self.journal_sequence = sequence.unwrap_or(self.journal_sequence);
        let _ = self.carry_out(at, entry);
        self.outputs.clear();
    }

    /// Goes on where an earlier run ended, after view and journal were read: behind the journal's record `head`, which
    /// was decided at `journaled_until`. Boundaries that passed meanwhile count from their own instants. What labels should
    /// show is found in the turns that follow.
    pub fn resume(&mut self, now: Moment, head: Option<Position>, journaled_until: Option<Moment>) {
        self.journal_sequence = head.map_or(0, |head| head.sequence);
        self.durability.head = head;
        self.catalog.close_ranks();
        self.fleet.close_ranks();
        self.catalog.resume(journaled_until.unwrap_or(now));
        self.catalog.handle_timeout(now);
        self.catalog.note_all(now);
        self.recall_alerts(now);
        // The round comes to everything that was replayed.
        self.dirty.clear();
        self.changed.clear();
        self.told.unconfirmed.clear();
        self.look_at_all();
        self.now = now;
        self.tell_journal_head(now);
        self.settle_catalog();
        self.tell_alerts();
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.advance(now);
        match input {
            Input::Feed { delivery, facet, rows, seqs } => {
                self.handle_feed(now, facet, rows, &seqs);
                self.owed.extend(delivery.map(Output::Acknowledge));
            }
            Input::Snapshot(part) => self.handle_snapshot(now, part),
            Input::ReloadEnded { facet, outcome } => self.handle_reload_ended(now, facet, outcome),
            Input::Request { ticket, request } => self.handle_request(now, ticket, request),
            Input::Station(station, event) => self.handle_station(now, station, event),
            Input::TurnedAway(station) => self.turned_away(now, station),
            Input::Rendered { number, planes, packed } => self.handle_rendered(now, number, planes, packed),
            Input::Unsent(number) => {
                self.rendering.remove(&number);
                self.handle_outcome(now, number, Outcome::Status(WireStatus::NoRoom));
            }
            Input::Synced { batches, head } => self.handle_synced(now, batches, head),
            Input::JournalFailed(why) => self.handle_journal_failed(now, why),
            Input::Stored(batches) => self.handle_stored(batches),
            Input::Templates(templates) => self.use_templates(templates),
            Input::Disk { free, total } => self.handle_disk(now, free, total),
        }
        self.settle(now);
    }

    /// Does what was to be done by `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.advance(now);
        while let Some((at, _)) = self.wakes.first()
            && *at <= now
        {
            match self.wakes.pop_first() {
                Some((_, Wake::Label(label))) => {
                    self.label_wakes.remove(&label);
                    self.give_up_proof(now, label);
                    self.look_again(label, Lane::Routine);
                }
                Some((_, Wake::Sweep)) => self.sweep(now),
                None => break,
            }
        }
        self.settle(now);
    }

    /// Brings everything that depends on the clock alone up to `now`.
    fn advance(&mut self, now: Moment) {
        if now < self.now {
            self.go_back(now);
        }
        self.now = now;
        self.catalog.handle_timeout(now);
        self.look_for_gaps(now);
        self.end_trials(now);
        self.take_sample(now);
        self.look_for_slowness(now);
        self.look_for_trouble(now);
    }

    /// The clock was set back: waits that were measured by it are over, and everything is looked at.
    fn go_back(&mut self, now: Moment) {
        self.wakes = BTreeSet::from([(now + SWEEP_PERIOD, Wake::Sweep)]);
        self.label_wakes.clear();
        self.watching.begin_anew(now);
        for label in self.fleet.labels_mut() {
            label.relieve(|trouble| trouble.cool_down = None);
            if let Some(unproven) = &mut label.unproven {
                unproven.until = unproven.until.min(now + evidence::PROOF_WAIT);
            }
        }
        self.look_at_all();
    }

    /// What is done on a period: every label is looked at, and what nobody needs any more is dropped.
    fn sweep(&mut self, now: Moment) {
        self.wakes.insert((now + SWEEP_PERIOD, Wake::Sweep));
        self.catalog.forget_deletions(now);
        self.record_confirmations();
        self.tell_journal_head(now);
        // What a label wants is not known before the first round has come to it.
        if self.round.is_empty() {
            let wanted = self.fleet.labels().flat_map(Label::digests).collect();
            self.outputs.push_back(Output::KeepPictures(wanted));
        }
        self.look_at_all();
        self.look_at_states(now);
        self.forgive_sources(now);
        self.forget_strangers(now);
    }

    /// Begins to look at every label anew: at start, after the templates changed, and on a period.
    fn look_at_all(&mut self) {
        self.round = self.fleet.labels().map(|label| label.id).collect();
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.is_at_it() {
            return Some(self.now);
        }
        let wake = self.wakes.first().map(|(at, _)| *at);
        let own = [
            self.catalog.poll_timeout(),
            self.sources.poll_timeout(),
            self.next_sample(),
            self.slow_at(),
            self.trials.poll_timeout(),
        ];
        own.into_iter().chain([wake, Some(self.watching.poll_timeout())]).flatten().min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && !self.is_at_it() {
            // Room for a wave, which would be kept for the next one by every store of a chain.
            self.outputs.shrink_to(OUTPUTS_KEPT);
        }
        output
    }

    /// The products and promotions.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The labels and base stations.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What templates see of the store.
    #[must_use]
    pub fn store(&self) -> &StoreView {
        &self.store
    }

    /// Labels that wait for room at a base station.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.planner.waiting()
    }

    /// How the newest switches of the store went, oldest first.
    pub fn switches(&self) -> impl Iterator<Item = &Switch> {
        self.switches.iter()
    }

    /// Transfers and commands that have no outcome yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.transfers.len()
    }

    /// Moments for which the core has asked to be woken.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.len()
    }

    /// The alerts that hold.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// Until when labels that report are registered unasked; none while they are not.
    #[must_use]
    pub fn enrols_until(&self, now: Moment) -> Option<Moment> {
        (self.enrols_until > now).then_some(self.enrols_until)
    }

    /// Pushes and reloads that were asked for.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What is known of the sources beside their content.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    fn handle_synced(&mut self, now: Moment, batches: u64, head: Option<Position>) {
        self.synced = batches;
        self.note_synced(now, head);
        while let Some((_, output)) = self.after_sync.pop_front_if(|(batch, _)| *batch <= batches) {
            self.put_out(output);
        }
    }

    fn handle_stored(&mut self, batches: u64) {
        self.flushed = batches;
        while let Some((_, output)) = self.after_flush.pop_front_if(|(batch, _)| *batch <= batches) {
            self.outputs.push_back(output);
        }
    }

    /// Puts out something that must not be seen before the journal holds everything that was decided up to now.
    fn put_out_after_sync(&mut self, output: Output) {
        if self.synced == self.appended && self.after_sync.is_empty() {
            self.put_out(output);
        } else {
            self.after_sync.push_back((self.appended, output));
        }
    }

    /// Puts out what may be seen by everybody.
    fn put_out(&mut self, output: Output) {
        if let Output::Publish(Publication::Alert(alert)) = &output {
            self.told.alerts = self.told.alerts.max(alert.number);
        }
        self.outputs.push_back(output);
    }

    /// Puts out a batch for the journal.
    fn append(&mut self, entries: Vec<Entry>) {
        self.appended += 1;
        self.journal_sequence += entries.len() as u64;
        self.note_appended();
        self.outputs.push_back(Output::Append(entries));
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    /// The next label of the round of all. Others have not been told of it if it is the first round.
    fn next_of_round(&mut self) -> Option<(Lane, LabelId)> {
        let label = self.round.pop_first()?;
        if !self.told.knows(label) {
            self.changed.insert(label);
        }
        Some((Lane::Routine, label))
    }

    fn look_again(&mut self, label: LabelId, lane: Lane) {
        self.dirty.insert((lane, label));
    }

    /// Brings what was touched to rest: journal and view, desired pictures, places in line, transfers, and what others
    /// are told. What is too much for one turn is gone on with in the next, which is wanted at once.
    fn settle(&mut self, now: Moment) {
        self.settle_catalog();
        for _ in 0..TURN_MAX {
            let Some((lane, label)) = self.dirty.pop_first().or_else(|| self.next_of_round()) else { break };
            self.look_at(now, label, lane);
        }
        self.plan(now);
        // Once nothing that happened is left to look at, so that others are told once of each.
        if self.dirty.is_empty() {
            self.tell_switches();
            self.tell(now);
        }
        self.tell_alerts();
    }

    /// Whether something is left to do at once: labels to look at, or others to tell.
    fn is_at_it(&self) -> bool {
        self.is_looking() || !self.changed.is_empty() || !self.told.unconfirmed.is_empty()
    }

    /// Whether it is not known yet of every label what it should show.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        !self.dirty.is_empty() || !self.round.is_empty()
    }

    /// What the catalog has changed goes to journal, view and labels; then what waits for it may be answered.
    fn settle_catalog(&mut self) {
        // Whole sets, because a promotion touches a whole store.
        let touched = self.catalog.take_touched();
        let (mut labels, mut bound) = (Vec::with_capacity(touched.len()), Vec::with_capacity(touched.len()));
        self.fleet.for_bound(&touched, |sku, of_sku| {
            labels.extend(of_sku.iter().map(|label| (Lane::Price, *label)));
            bound.push(sku.clone());
        });
        self.dirty.append(&mut labels.into_iter().collect());
        self.told.unconfirmed.append(&mut bound.into_iter().collect());
        let mut points = self.catalog.take_points().into_iter();
        while points.len() > 0 {
            let points = points.by_ref().take(POINTS_MAX).collect();
            self.append(vec![Entry::Prices { points }]);
        }
        let records = self.catalog.take_records();
        if !records.is_empty() {
            self.stored += 1;
            self.put_out_after_sync(Output::Store(records));
        }
        for output in std::mem::take(&mut self.owed) {
            if self.flushed == self.stored {
                self.put_out_after_sync(output);
            } else {
                self.after_flush.push_back((self.stored, output));
            }
        }
    }

    /// What a label's template sees at `now`.
    #[must_use]
    pub fn view(&self, skus: &[Sku], now: Moment) -> LabelView {
        LabelView { store: self.store.clone(), products: skus.iter().map(|sku| self.catalog.view(sku, now)).collect() }
    }

    /// What a label should show at `now`; none when it is unbound.
    ///
    /// # Errors
    /// A template that cannot be filled with the label's products.
    pub fn scene(&self, label: &Label, now: Moment) -> Result<Option<Scene>, SceneError> {
        let Some(binding) = &label.binding else { return Ok(None) };
        let view = self.view(&binding.skus, now);
        if let Some(Trial { draft, .. }) = self.trials.of(label.id) {
            return draft.templates.scene(&draft.template, &view, label.panel).map(Some);
        }
        let template = match &binding.template {
            Some(template) => template,
            None => self.templates.select(&view, label.panel),
        };
        self.templates.scene(template, &view, label.panel).map(Some)
    }
}
