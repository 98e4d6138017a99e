//! The core, the heads and the simulator's world on one virtual clock: the same state machines as in
//! production, around which this is a loop. View and render threads answer at once, and so does the journal, unless
//! it is told to take its time.

mod packing;
mod planted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::{Ahead, Head, HeadEvent, HeadOptions, Picture};
use gondola_protocol::auth::StationKey;
use gondola_protocol::message::Lane;
use gondola_protocol::{Digest, Edition, LabelId, Moment, Planes, SessionId, StationId, TransferNumber};
use gondola_simulator::world::{Observation, World, WorldOptions};

use crate::catalog::SnapshotPart;
use crate::catalog::wire::{self, Facet, RowError};
use crate::controller::message::{Answer, Input, Output, Publication, Refusal, ReloadReport, Request, Ticket};
use crate::controller::{Controller, StoreSettings};
use crate::journal::Entry;
use crate::render::RenderError;
use crate::storage::view::{Tree, ViewChange};
use crate::template::Templates;

use super::drawing::Drawing;
use packing::Packing;
use planted::Bug;
pub use planted::Planted;

/// Wait before a base station whose session is over is connected again.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);

/// Something that happened, for traces and for checks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The journal took an entry.
    Journal(Moment, Entry),
    /// A request was answered.
    Reply(Moment, Ticket, Result<Answer, Refusal>),
    /// Other systems were told.
    Published(Moment, Publication),
    /// A reload was asked for.
    Reload(Moment, Facet),
    /// A picture went to a base station: its edition and its digest.
    Sent(Moment, StationId, LabelId, Edition, Digest),
    /// A picture went to a base station, for a label that is to keep it until an instant.
    Staged(Moment, LabelId, Edition, Digest, Moment),
    /// A label was told to do something.
    Commanded(Moment, LabelId, Action),
    /// A base station's head took a transfer or a command.
    Taken(Moment, TransferNumber),
    /// It said what became of a transfer or a command that it had taken.
    Settled(Moment, TransferNumber),
    /// A glass changed.
    Glass(Observation),
    /// A person was told.
    Notice(Moment, String),
}

/// How a harness differs from one in which everything is done at once and nothing is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HarnessOptions {
    /// What a group commit of the journal takes.
    pub sync_delay: Duration,
    /// A bug that a test plants, to see that it is found.
    pub planted: Option<Planted>,
    /// The key of every base station; none for none.
    pub key: Option<StationKey>,
}

/// What outlives a crash.
#[derive(Debug, Default)]
struct Disk {
    journal: Vec<(Moment, Entry)>,
    view: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    /// Batches that are not synced, by when they will be.
    unsynced: VecDeque<(Moment, Vec<Entry>)>,
}

/// A base station's head.
#[derive(Debug)]
struct Line {
    station: StationId,
    head: Head,
    /// When the head has something to do, as it said when it was last looked at.
    due: Option<Moment>,
    /// Whether anything was done with it since.
    is_touched: bool,
}

impl Line {
    fn new(station: StationId, key: Option<StationKey>) -> Self {
        let head = Head::new(station.clone(), HeadOptions { key, ..HeadOptions::default() });
        Self { station, head, due: None, is_touched: false }
    }
}

/// One store, one shop, one clock.
#[derive(Debug)]
pub struct Harness {
    now: Moment,
    options: HarnessOptions,
    settings: StoreSettings,
    disk: Disk,
    bug: Bug,
    controller: Controller,
    /// To the world's base stations, in the world's order.
    lines: Vec<Line>,
    sessions: u32,
    /// Base stations whose session is over, by when they are connected again.
    reconnects: BTreeMap<StationId, Moment>,
    world: World,
    templates: Arc<Templates>,
    drawing: Drawing,
    /// Pictures by digest, as the store keeps them.
    pictures: BTreeMap<Digest, Planes>,
    packing: Packing,
    appended: u64,
    stored: u64,
    ticket: Ticket,
    events: Vec<Event>,
}

impl Harness {
    /// A store before a shop, with every base station connected, at `start`.
    ///
    /// # Errors
    /// The fonts do not open.
    pub fn new(settings: StoreSettings, world: WorldOptions, start: Moment) -> Result<Self, RenderError> {
        Self::with(HarnessOptions::default(), settings, world, start)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As of [`Harness::new`].
    pub fn with(
        options: HarnessOptions,
        settings: StoreSettings,
        world: WorldOptions,
        start: Moment,
    ) -> Result<Self, RenderError> {
        let stations: Vec<StationId> = world.stations.iter().map(|station| station.id.clone()).collect();
        let templates = Arc::new(Templates::embedded());
        let mut controller = Controller::new(settings.clone(), Arc::clone(&templates), start);
        controller.resume(start, None, None);
        let mut harness = Self {
            now: start,
            options,
            settings,
            templates,
            disk: Disk::default(),
            bug: Bug::default(),
            controller,
            lines: stations.iter().map(|station| Line::new(station.clone(), options.key)).collect(),
            sessions: 0,
            reconnects: BTreeMap::new(),
            world: World::new(world, start),
            drawing: Drawing::new()?,
            pictures: BTreeMap::new(),
            packing: Packing::default(),
            appended: 0,
            stored: 0,
            ticket: 0,
            events: Vec::new(),
        };
        for station in &stations {
            harness.connect(station);
        }
        Ok(harness)
    }

    /// The controller dies and starts again from what is on disk: journal batches that are not synced are lost, as are
    /// the pictures. Its base stations are connected again after a while; its sources are to be read again, as at
    /// each start.
    ///
    /// # Panics
    /// The view holds what nobody has put there.
    pub fn crash(&mut self) {
        for line in &mut self.lines {
            self.world.disconnect(self.now, &line.station);
            self.reconnects.insert(line.station.clone(), self.now + RECONNECT_WAIT);
            *line = Line::new(line.station.clone(), self.options.key);
        }
        self.disk.unsynced.clear();
        self.pictures.clear();
        (self.appended, self.stored) = (0, 0);
        let mut controller = Controller::new(self.settings.clone(), Arc::clone(&self.templates), self.now);
        for ((tree, key), value) in &self.disk.view {
            controller.catalog_mut().restore(*tree, key, value).expect("the view holds what was put there");
        }
        for (at, entry) in &self.disk.journal {
            controller.replay(None, *at, entry);
        }
        controller.resume(self.now, None, self.disk.journal.last().map(|(at, _)| *at));
        self.controller = controller;
        self.pump();
    }

    /// Connects a base station.
    pub fn connect(&mut self, station: &StationId) {
        self.sessions += 1;
        self.reconnects.remove(station);
        self.world.connect(self.now, station);
        let (now, session) = (self.now, SessionId(self.sessions));
        if let Some(head) = self.head(station) {
            head.connected(now, session);
        }
        self.pump();
    }

    /// Cuts a base station's connection, until [`Self::connect`].
    pub fn disconnect(&mut self, station: &StationId) {
        self.cut(station);
        self.reconnects.remove(station);
        self.pump();
    }

    /// Tells the core something as if a base station's head had told it.
    pub fn hear(&mut self, station: &StationId, event: HeadEvent) {
        self.controller.handle(self.now, Input::Station(station.clone(), event));
        self.pump();
    }

    /// Publishes a feed message, and answers what was wrong with it.
    pub fn publish(&mut self, facet: Facet, payload: &str) -> Vec<RowError> {
        let parsed = wire::parse(facet, payload.as_bytes());
        self.controller.handle(self.now, Input::Feed { delivery: None, facet, rows: parsed.rows, seqs: parsed.seqs });
        self.pump();
        parsed.errors
    }

    /// Hands over a part of a snapshot.
    pub fn snapshot(&mut self, part: SnapshotPart) {
        self.controller.handle(self.now, Input::Snapshot(part));
        self.pump();
    }

    /// Tells how a reload ended.
    pub fn reload_ended(&mut self, facet: Facet, outcome: Result<ReloadReport, String>) {
        self.controller.handle(self.now, Input::ReloadEnded { facet, outcome });
        self.pump();
    }

    /// Makes a request, and answers its ticket.
    pub fn request(&mut self, request: impl Into<Request>) -> Ticket {
        self.ticket += 1;
        self.controller.handle(self.now, Input::Request { ticket: self.ticket, request: request.into() });
        self.pump();
        self.ticket
    }

    /// Lets `span` of virtual time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.hang_up();
            let due = self.poll_timeout().filter(|due| *due <= end);
            // Until somebody else has something to do, the shop goes on by itself.
            if let Some(at) = self.world.run_before(due.unwrap_or(end + Duration::from_micros(1))) {
                self.now = at.max(self.now);
            } else if let Some(due) = due {
                self.now = due.max(self.now);
                self.act();
            } else {
                break;
            }
            self.pump();
        }
        self.look_at_glasses();
        self.now = end;
    }

    /// Does what is due in controller and heads, and in the shop at the same moment.
    fn act(&mut self) {
        let now = self.now;
        self.controller.handle_timeout(now);
        for line in self.lines.iter_mut().filter(|line| line.due.is_some_and(|due| due <= now)) {
            line.head.handle_timeout(now);
            line.is_touched = true;
        }
        self.world.handle_timeout(now);
        self.reconnect();
        self.sync();
        self.misbehave();
    }

    /// Lets time pass until `condition` holds, `span` at most. Answers whether it does.
    pub fn run_until(&mut self, span: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        /// Conditions are looked at this often.
        const STEP: Duration = Duration::from_millis(100);
        let end = self.now + span;
        while !condition(self) {
            if self.now >= end {
                return false;
            }
            self.run(STEP);
        }
        true
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The core.
    #[must_use]
    pub const fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The shop.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The shop, to break things in it.
    pub const fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// What draws for it: for whoever draws the same.
    pub const fn drawing_mut(&mut self) -> &mut Drawing {
        &mut self.drawing
    }

    /// Everything that happened, as far as nobody has taken it.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Takes what happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Data frames that the heads put on their lines again.
    #[must_use]
    pub fn retransmissions(&self) -> u64 {
        self.lines.iter().map(|line| line.head.counters().retransmissions).sum()
    }

    /// When anybody but the shop has something to do.
    fn poll_timeout(&self) -> Option<Moment> {
        let heads = self.lines.iter().map(|line| line.due);
        let reconnect = self.reconnects.values().min().copied();
        let sync = self.disk.unsynced.front().map(|(at, _)| *at);
        let own = [self.controller.poll_timeout(), reconnect, sync, self.bug.poll_timeout()];
        heads.chain(own).flatten().min()
    }

    /// A base station's head, to do something with it.
    fn head(&mut self, station: &StationId) -> Option<&mut Head> {
        let line = self.lines.iter_mut().find(|line| line.station == *station)?;
        line.is_touched = true;
        Some(&mut line.head)
    }

    /// Brings to disk what is due.
    fn sync(&mut self) {
        while let Some((_, entries)) = self.disk.unsynced.pop_front_if(|(at, _)| *at <= self.now) {
            self.disk.journal.extend(entries.into_iter().map(|entry| (self.now, entry)));
            self.appended += 1;
            self.controller.handle(self.now, Input::Synced { batches: self.appended, head: None });
        }
    }

    fn cut(&mut self, station: &StationId) {
        let now = self.now;
        self.world.disconnect(now, station);
        if let Some(head) = self.head(station) {
            head.disconnected(now);
        }
    }

    /// Does what a station's shell does when its session is over: closes the connection, to open another after a while.
    fn hang_up(&mut self) {
        while let Some(line) = self.lines.iter().find(|line| line.head.wants_disconnect()) {
            let station = line.station.clone();
            self.cut(&station);
            self.reconnects.insert(station, self.now + RECONNECT_WAIT);
        }
    }

    /// Opens the connections whose time has come.
    fn reconnect(&mut self) {
        let due = self.reconnects.iter().filter(|(_, at)| **at <= self.now).map(|(station, _)| station.clone());
        for station in due.collect::<Vec<_>>() {
            self.connect(&station);
        }
    }

    /// Moves bytes, events and outputs until nothing moves any more.
    fn pump(&mut self) {
        loop {
            let mut moved = false;
            self.look_at_glasses();
            while let Some(output) = self.controller.poll_output() {
                moved = true;
                self.perform(output);
            }
            let mut told = Vec::new();
            for (number, Line { station, head, due, is_touched }) in self.lines.iter_mut().enumerate() {
                if !*is_touched && !self.world.is_speaking(number) {
                    continue;
                }
                *is_touched = false;
                while let Some(bytes) = head.poll_transmit() {
                    moved = true;
                    self.world.handle_bytes(self.now, station, &bytes);
                }
                while let Some(bytes) = self.world.poll_transmit(station) {
                    moved = true;
                    *is_touched = true;
                    head.handle_bytes(self.now, &bytes);
                }
                told.extend(std::iter::from_fn(|| head.poll_event()).map(|event| (station.clone(), event)));
                *due = head.poll_timeout();
            }
            for (station, event) in told {
                moved = true;
                self.take_event(station, event);
            }
            if !moved {
                return;
            }
        }
    }

    fn look_at_glasses(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.world.poll_observation()).map(Event::Glass));
    }

    fn append(&mut self, entries: Vec<Entry>) {
        self.events.extend(entries.iter().map(|entry| Event::Journal(self.now, entry.clone())));
        if self.options.sync_delay > Duration::ZERO {
            self.disk.unsynced.push_back((self.now + self.options.sync_delay, entries));
            self.acknowledge_early();
        } else {
            self.appended += 1;
            self.controller.handle(self.now, Input::Synced { batches: self.appended, head: None });
        }
    }

    /// The view is at hand as long as the journal takes its time: only then can anybody crash.
    fn store(&mut self, changes: Vec<ViewChange>) {
        if self.options.sync_delay > Duration::ZERO {
            for ViewChange { tree, key, value } in changes {
                match value {
                    Some(value) => _ = self.disk.view.insert((tree, key), value),
                    None => _ = self.disk.view.remove(&(tree, key)),
                }
            }
        }
        self.stored += 1;
        self.controller.handle(self.now, Input::Stored(self.stored));
    }

    fn send(&mut self, station: &StationId, picture: Picture, base: Option<Digest>, ahead: Option<Ahead>) {
        let (now, number) = (self.now, picture.number);
        let (label, edition, digest) = (picture.label, picture.edition, picture.planes.digest());
        self.events.push(match ahead {
            None => Event::Sent(now, station.clone(), label, edition, digest),
            Some(ahead) => Event::Staged(now, label, edition, digest, ahead.activate_at),
        });
        let held = base.and_then(|base| self.pictures.get(&base).cloned());
        let picture = self.tamper(station, Picture { held, ..picture });
        let capacity = self.controller.fleet().station(station).and_then(|station| station.capacity);
        let picture = self.packing.pack(picture, capacity.map_or(0, |capacity| capacity.encodings));
        let accepted = self.head(station).is_some_and(|head| match ahead {
            None => head.submit(now, picture).is_ok(),
            Some(ahead) => head.stage(now, picture, ahead).is_ok(),
        });
        if accepted {
            self.events.push(Event::Taken(now, number));
        } else {
            self.controller.handle(now, Input::Unsent(number));
        }
    }

    fn command(&mut self, station: &StationId, action: Action, lane: Lane, labels: Vec<(TransferNumber, LabelId)>) {
        let now = self.now;
        self.events.extend(labels.iter().map(|(_, label)| Event::Commanded(now, *label, action)));
        let numbers: Vec<TransferNumber> = labels.iter().map(|(number, _)| *number).collect();
        let head = self.head(station);
        let accepted = head.is_some_and(|head| head.command(now, action, lane, labels).is_ok());
        for number in numbers {
            if accepted {
                self.events.push(Event::Taken(now, number));
            } else {
                self.controller.handle(now, Input::Unsent(number));
            }
        }
    }

    /// Hands a head's event to the core.
    fn take_event(&mut self, station: StationId, event: HeadEvent) {
        if let HeadEvent::Outcome { number, outcome } = event {
            if self.swallows(number) {
                return;
            }
            self.embellish(&station, number, outcome);
            self.events.push(Event::Settled(self.now, number));
        }
        if let HeadEvent::CheckIn(check_in) = &event {
            self.keep_awake(&station, check_in.label);
        }
        self.controller.handle(self.now, Input::Station(station, event));
    }

    fn perform(&mut self, output: Output) {
        let now = self.now;
        match output {
            Output::Append(entries) => self.append(entries),
            Output::Store(changes) => self.store(changes),
            Output::Render { number, scene, .. } => {
                let planes = self.drawing.draw(&scene);
                self.pictures.insert(planes.digest(), planes.clone());
                if !self.loses_picture() {
                    self.controller.handle(now, Input::Rendered { number, planes, packed: None });
                }
            }
            Output::Send { station, picture, base, ahead } => self.send(&station, picture, base, ahead),
            Output::Command { station, action, lane, labels } => self.command(&station, action, lane, labels),
            Output::Cancel(station, number) => {
                if let Some(head) = self.head(&station) {
                    head.cancel(now, number);
                }
            }
            Output::Reply(ticket, reply) => self.events.push(Event::Reply(now, ticket, reply)),
            Output::Publish(publication) => self.events.push(Event::Published(now, publication)),
            Output::Reload { facet, .. } => self.events.push(Event::Reload(now, facet)),
            Output::Notice(notice) => self.events.push(Event::Notice(now, notice.to_string())),
            Output::KeepPictures(wanted) => self.pictures.retain(|digest, _| wanted.contains(digest)),
            Output::Acknowledge(_) | Output::Changed(_) => {}
        }
    }
}
