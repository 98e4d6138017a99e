//! THE CORE: one store's whole state and every decision about it.
//!
//! Pure: it reads no clock, socket, file, thread or random source. [`Controller::handle`] takes what
//! happened and the moment at which it did; [`Controller::poll_output`] gives what is to be done; and
//! [`Controller::poll_timeout`] says when it wants to be woken. The shells in `run` and the virtual-time
//! harness in `simulate` are loops around these.

mod evidence;
pub mod message;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::head::{Outcome, Picture};
use gondola_protocol::message::{Lane, Status as WireStatus};
use gondola_protocol::{LabelId, Moment, Planes, StationId, TransferNumber};

use crate::catalog::settings::Settings;
use crate::catalog::sku::Sku;
use crate::catalog::wire::{Row, RowKey};
use crate::catalog::{Catalog, Status};
use crate::fleet::Fleet;
use crate::fleet::label::{Content, Desired, Label, Stage, UnderWay};
use crate::journal::entry::Entry;
use crate::planner::{Need, Planner};
use crate::storage::{Tree, ViewChange};
use crate::template::view::{LabelView, StoreView};
use crate::template::{Scene, SceneError, Templates};
use message::{Delivery, Input, Notice, Output, Ticket};

/// Every label is looked at again this often, so that nothing stays wrong because a hint was missed.
const SWEEP_PERIOD: Duration = Duration::from_mins(10);

/// Pictures that are being made for a store at once. A quarter of what the render threads hold in line: more would only
/// wait there, hold room at base stations meanwhile, and be overtaken by newer ones.
const RENDERS_MAX: usize = 1_024;

/// What a store is, as far as decisions depend on it.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// What templates see of it.
    pub view: StoreView,
    /// Currency, market and time zone.
    pub catalog: Settings,
    /// Its base stations.
    pub stations: Vec<StationId>,
}

/// Why the core wants to be woken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// A bound product's shelf price changes.
    Boundary(Sku),
    /// A label's wait ends.
    Label(LabelId),
    /// Everything is looked at.
    Sweep,
}

/// Room that a transfer holds at a base station until its outcome, even if its label is gone by then.
#[derive(Debug)]
struct Booking {
    label: LabelId,
    station: StationId,
    bytes: usize,
}

/// One store.
#[derive(Debug)]
pub struct Controller {
    store: StoreView,
    templates: Arc<Templates>,
    catalog: Catalog,
    fleet: Fleet,
    planner: Planner,
    /// Labels to look at before the next output is given, and how urgent a new picture would be.
    dirty: BTreeMap<LabelId, Lane>,
    wakes: BTreeSet<(Moment, Wake)>,
    /// Labels by the wake that waits for them: at most one each.
    label_wakes: BTreeMap<LabelId, Moment>,
    /// Bound products by the wake that waits for their next change of price.
    boundaries: BTreeMap<Sku, Moment>,
    /// Products whose next change of price is to be looked up.
    unwatched: BTreeSet<Sku>,
    /// Transfers that have no outcome yet.
    transfers: BTreeMap<TransferNumber, Booking>,
    transfer_last: TransferNumber,
    /// Of those, the ones whose pictures are being made: at most [`RENDERS_MAX`].
    rendering: BTreeSet<TransferNumber>,
    /// Which base station is planned for first; another one each time.
    turn: usize,
    appended: u64,
    replies: VecDeque<(u64, Ticket)>,
    stored: u64,
    deliveries: VecDeque<(u64, Delivery)>,
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
            dirty: BTreeMap::new(),
            wakes: BTreeSet::from([(now + SWEEP_PERIOD, Wake::Sweep)]),
            label_wakes: BTreeMap::new(),
            boundaries: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            transfers: BTreeMap::new(),
            transfer_last: TransferNumber(0),
            rendering: BTreeSet::new(),
            turn: 0,
            appended: 0,
            replies: VecDeque::new(),
            stored: 0,
            deliveries: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The catalog, to fill it from the view at start.
    pub fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// Takes up an entry that the journal holds from an earlier run. Nothing is put out for it.
    pub fn replay(&mut self, at: Moment, entry: &Entry) {
        self.carry_out(at, entry);
        self.outputs.clear();
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Moment, input: Input) {
        match input {
            Input::Feed { delivery, rows } => self.handle_feed(now, delivery, rows),
            Input::Request { ticket, request } => self.handle_request(now, ticket, request),
            Input::Station(station, event) => self.handle_station(now, station, event),
            Input::Rendered { number, planes } => self.handle_rendered(now, number, planes),
            Input::Unsent(number) => {
                self.rendering.remove(&number);
                self.handle_outcome(now, number, Outcome::Status(WireStatus::NoRoom));
            }
            Input::Synced(batches) => self.handle_synced(batches),
            Input::Stored(batches) => self.handle_stored(batches),
        }
        self.settle(now);
    }

    /// Does what was to be done by `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some((at, _)) = self.wakes.first()
            && *at <= now
        {
            match self.wakes.pop_first() {
                Some((at, Wake::Boundary(sku))) => {
                    if self.boundaries.get(&sku) == Some(&at) {
                        self.boundaries.remove(&sku);
                        self.touch(&sku);
                    }
                }
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

    /// What is done on a period: every label is looked at, and what nobody needs any more is dropped.
    fn sweep(&mut self, now: Moment) {
        self.wakes.insert((now + SWEEP_PERIOD, Wake::Sweep));
        let forgotten = self.catalog.forget_deletions(now);
        if !forgotten.is_empty() {
            let changes = forgotten.iter().map(|row| self.view_change(row)).collect();
            self.stored += 1;
            self.outputs.push_back(Output::Store(changes));
        }
        let wanted = self.fleet.labels().flat_map(Label::digests).collect();
        self.outputs.push_back(Output::KeepPictures(wanted));
        self.look_at_all();
    }

    /// Looks at every label anew: at start, after the templates changed, and on a period.
    pub fn look_at_all(&mut self) {
        let all: Vec<LabelId> = self.fleet.labels().map(|label| label.id).collect();
        for label in all {
            self.look_again(label, Lane::Routine);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
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

    /// Transfers that have no outcome yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.transfers.len()
    }

    /// Moments for which the core has asked to be woken.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.len()
    }

    fn handle_feed(&mut self, now: Moment, delivery: Option<Delivery>, rows: Vec<Row>) {
        let mut changes = Vec::new();
        for row in rows {
            let applied = self.catalog.apply(now, row);
            match applied.status {
                Status::Applied => changes.push(self.view_change(&applied.key)),
                Status::Unchanged => {}
                Status::Regressed { stored } => self.notice(Notice::Regressed { row: applied.key, stored }),
                Status::Refused(refusal) => {
                    self.notice(Notice::RefusedRow { row: applied.key, reason: refusal.to_string() });
                }
            }
            for sku in applied.touched {
                self.touch(&sku);
            }
        }
        self.stored += 1;
        self.outputs.push_back(Output::Store(changes));
        if let Some(delivery) = delivery {
            self.deliveries.push_back((self.stored, delivery));
        }
    }

    /// What the view must hold of a row that was applied.
    fn view_change(&self, key: &RowKey) -> ViewChange {
        let (tree, name, value) = match key {
            RowKey::Product(sku) => (Tree::Products, sku.as_str(), self.catalog.stored_product(sku)),
            RowKey::Promotion(id) => (Tree::Promotions, id.as_str(), self.catalog.stored_promotion(id)),
        };
        ViewChange { tree, key: name.as_bytes().to_vec(), value }
    }

    fn handle_synced(&mut self, batches: u64) {
        while let Some((_, ticket)) = self.replies.pop_front_if(|(batch, _)| *batch <= batches) {
            self.outputs.push_back(Output::Reply(ticket, Ok(())));
        }
    }

    fn handle_stored(&mut self, batches: u64) {
        while let Some((_, delivery)) = self.deliveries.pop_front_if(|(batch, _)| *batch <= batches) {
            self.outputs.push_back(Output::Acknowledge(delivery));
        }
    }

    /// Puts out a batch for the journal, and answers its number.
    fn append(&mut self, entries: Vec<Entry>) -> u64 {
        self.appended += 1;
        self.outputs.push_back(Output::Append(entries));
        self.appended
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    /// A product may look different now.
    fn touch(&mut self, sku: &Sku) {
        let labels: Vec<LabelId> = self.fleet.labels_of(sku).collect();
        for label in labels {
            self.look_again(label, Lane::Price);
        }
        self.watch(sku);
    }

    /// Finds out anew when a product's price changes next.
    fn watch(&mut self, sku: &Sku) {
        self.unwatched.insert(sku.clone());
    }

    fn look_again(&mut self, label: LabelId, lane: Lane) {
        self.dirty.entry(label).and_modify(|known| *known = lane.min(*known)).or_insert(lane);
    }

    /// Brings everything that was touched to rest: boundaries, desired pictures, places in line, transfers.
    fn settle(&mut self, now: Moment) {
        for sku in std::mem::take(&mut self.unwatched) {
            self.set_boundary(now, sku);
        }
        for (label, lane) in std::mem::take(&mut self.dirty) {
            self.set_desired(now, label, lane);
            self.queue(now, label);
        }
        self.plan(now);
    }

    fn set_boundary(&mut self, now: Moment, sku: Sku) {
        if let Some(at) = self.boundaries.remove(&sku) {
            self.wakes.remove(&(at, Wake::Boundary(sku.clone())));
        }
        if !self.fleet.is_bound(&sku) {
            return;
        }
        if let Some(at) = self.catalog.shelf_price(&sku, now).next_change {
            self.wakes.insert((at, Wake::Boundary(sku.clone())));
            self.boundaries.insert(sku, at);
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
        let template = match &binding.template {
            Some(template) => template,
            None => self.templates.select(&view, label.panel),
        };
        self.templates.scene(template, &view, label.panel).map(Some)
    }

    /// Compares what a label should show with what it was last meant to show.
    fn set_desired(&mut self, now: Moment, id: LabelId, lane: Lane) -> Option<Scene> {
        let label = self.fleet.label(id)?;
        let scene = match self.scene(label, now) {
            Ok(scene) => scene,
            Err(error) => {
                self.set_fault(id, error.to_string());
                return None;
            }
        };
        let skus = label.binding.as_ref().map_or(&[][..], |binding| &binding.skus);
        let shown = skus.iter().map(|sku| self.catalog.shown(sku, now)).collect();
        let label = self.fleet.label_mut(id)?;
        let Some(scene) = scene else {
            label.desired = None;
            self.cancel(id);
            return None;
        };
        match &mut label.desired {
            Some(desired) if desired.content.key == scene.key() => desired.content.shown = shown,
            _ => {
                let edition = label.next_edition(now);
                let content = Content { key: scene.key(), shown };
                let template = scene.template().to_owned();
                label.desired = Some(Desired { content, edition, digest: None, template, since: now, lane });
                label.cool_down = None;
                self.cancel(id);
                self.outputs.push_back(Output::Changed(id));
            }
        }
        self.forgive(id);
        Some(scene)
    }

    /// A label that agrees has no fault any more, whatever the fault was.
    fn forgive(&mut self, id: LabelId) {
        if let Some(label) = self.fleet.label_mut(id).filter(|label| label.is_in_sync()) {
            label.refusals = 0;
            if label.fault.take().is_some() {
                self.outputs.push_back(Output::Changed(id));
            }
        }
    }

    /// Tells the base station to drop a label's transfer, which a newer picture has overtaken.
    fn cancel(&mut self, id: LabelId) {
        let Some(under_way) = self.fleet.label_mut(id).and_then(|label| label.under_way.as_mut()) else { return };
        if let Stage::Sent { digest } = under_way.stage {
            under_way.stage = Stage::Cancelling { digest };
            self.outputs.push_back(Output::Cancel(under_way.station.clone(), under_way.number));
        }
    }

    /// Puts a label in line, takes it out, or arranges to look at it later.
    fn queue(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label(id) else {
            self.wake_for(id, None);
            return self.planner.leave(id);
        };
        let need = Need::of(label, now);
        match need {
            Need::Nothing | Need::Patience(_) => self.planner.leave(id),
            Need::Transfer => match (self.fleet.station_for(label), &label.desired) {
                (Some(station), Some(desired)) => {
                    self.planner.enter(id, desired.lane, desired.since, &station.id);
                }
                // Nobody hears it: its next check-in looks again.
                _ => self.planner.leave(id),
            },
        }
        self.wake_for(id, if let Need::Patience(until) = need { Some(until) } else { None });
    }

    /// Asks to be woken for a label then, or not at all, in place of what was asked before.
    fn wake_for(&mut self, id: LabelId, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.label_wakes.insert(id, at),
            None => self.label_wakes.remove(&id),
        };
        if let Some(before) = before {
            self.wakes.remove(&(before, Wake::Label(id)));
        }
        self.wakes.extend(at.map(|at| (at, Wake::Label(id))));
    }

    /// Starts transfers as far as the base stations have room.
    fn plan(&mut self, now: Moment) {
        let mut stations: Vec<StationId> = self.fleet.stations().map(|station| station.id.clone()).collect();
        if !stations.is_empty() {
            self.turn = (self.turn + 1) % stations.len();
            stations.rotate_left(self.turn);
        }
        for station in stations {
            while let Some(label) = self.planner.first(&station) {
                if !self.start_transfer(now, &station, label) {
                    break;
                }
            }
        }
    }

    /// Starts the transfer of a label's desired picture. Answers whether the line may move on.
    fn start_transfer(&mut self, now: Moment, station_id: &StationId, id: LabelId) -> bool {
        let Some(bytes) = self.fleet.label(id).map(|label| label.panel.picture_bytes()) else {
            self.planner.leave(id);
            return true;
        };
        let has_room = self.fleet.station_mut(station_id).is_some_and(|station| station.has_room(bytes));
        if !has_room || self.rendering.len() >= RENDERS_MAX {
            return false;
        }
        self.planner.leave(id);
        let Some(scene) = self.set_desired(now, id, Lane::Routine) else { return true };
        let number = TransferNumber(self.transfer_last.0.wrapping_add(1));
        let Some(label) = self.fleet.label_mut(id) else { return true };
        let Some(desired) = &label.desired else { return true };
        label.under_way = Some(UnderWay {
            number,
            station: station_id.clone(),
            edition: desired.edition,
            content: desired.content.clone(),
            stage: Stage::Rendering,
        });
        label.carrier = Some(station_id.clone());
        if let Some(station) = self.fleet.station_mut(station_id) {
            station.reserve(bytes);
        }
        self.transfer_last = number;
        self.transfers.insert(number, Booking { label: id, station: station_id.clone(), bytes });
        self.rendering.insert(number);
        self.outputs.push_back(Output::Render { number, scene });
        true
    }

    /// A picture was made: it goes to its base station, unless the glass is proven to show it already or a
    /// newer one is wanted by now.
    fn handle_rendered(&mut self, now: Moment, number: TransferNumber, planes: Planes) {
        self.rendering.remove(&number);
        let Some(id) = self.transfers.get(&number).map(|booking| booking.label) else { return };
        if let Some(label) = self.fleet.label_mut(id)
            && let Some((station, picture)) = label.dispatch(now, number, planes)
        {
            self.outputs.push_back(Output::Send(station, picture));
        } else {
            self.end_transfer(number);
            self.look_again(id, Lane::Routine);
        }
        self.outputs.push_back(Output::Changed(id));
    }
}

impl Label {
    /// Sends a picture on its way, if it is still the one to show and the glass is not proven to show it.
    fn dispatch(&mut self, now: Moment, number: TransferNumber, planes: Planes) -> Option<(StationId, Picture)> {
        let under_way = self.under_way.as_ref().filter(|under_way| under_way.number == number)?;
        let (edition, key) = (under_way.edition, under_way.content.key);
        let wanted = |desired: &&mut Desired| (desired.edition, desired.content.key) == (edition, key);
        let desired = self.desired.as_mut().filter(wanted)?;
        let (digest, lane) = (planes.digest(), desired.lane);
        desired.digest = Some(digest);
        if self.is_in_sync() {
            return None;
        }
        let under_way = self.under_way.as_mut()?;
        under_way.stage = Stage::Sent { digest };
        self.sent_at = Some(now);
        Some((under_way.station.clone(), Picture { number, label: self.id, edition, lane, planes }))
    }
}
