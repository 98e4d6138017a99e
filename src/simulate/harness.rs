//! The core, the heads and the simulator's world on one virtual clock: the same state machines as in
//! production, around which this is a loop. Journal, view and render threads answer at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::head::{Ahead, Head, HeadEvent, HeadOptions, Picture};
use gondola_protocol::message::Action;
use gondola_protocol::{Digest, LabelId, Moment, Planes, SessionId, StationId};
use gondola_simulator::world::{Observation, World, WorldOptions};

use crate::catalog::SnapshotPart;
use crate::catalog::wire::{self, Facet, RowError};
use crate::controller::message::{Answer, Input, Output, Publication, Refusal, ReloadReport, Request, Ticket};
use crate::controller::{Controller, StoreSettings};
use crate::journal::Entry;
use crate::render::{RenderError, Renderer};
use crate::template::Templates;

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
    /// A transfer went to a base station.
    Sent(Moment, StationId, LabelId),
    /// A picture went to a base station, for a label that is to keep it until an instant.
    Staged(Moment, LabelId, Moment),
    /// A label was told to do something.
    Commanded(Moment, LabelId, Action),
    /// A glass changed.
    Glass(Observation),
    /// A person was told.
    Notice(Moment, String),
}

/// One store, one shop, one clock.
#[derive(Debug)]
pub struct Harness {
    now: Moment,
    controller: Controller,
    heads: BTreeMap<StationId, Head>,
    sessions: u32,
    /// Base stations whose session is over, by when they are connected again.
    reconnects: BTreeMap<StationId, Moment>,
    world: World,
    renderer: Renderer,
    /// Pictures by digest, as the store keeps them.
    pictures: BTreeMap<Digest, Planes>,
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
        let stations: Vec<StationId> = world.stations.iter().map(|station| station.id.clone()).collect();
        let mut controller = Controller::new(settings, Arc::new(Templates::embedded()), start);
        controller.resume(start, None, None);
        let head = |id: &StationId| (id.clone(), Head::new(id.clone(), HeadOptions::default()));
        let mut harness = Self {
            now: start,
            controller,
            heads: stations.iter().map(head).collect(),
            sessions: 0,
            reconnects: BTreeMap::new(),
            world: World::new(world, start),
            renderer: Renderer::new()?,
            pictures: BTreeMap::new(),
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

    /// Connects a base station.
    pub fn connect(&mut self, station: &StationId) {
        self.sessions += 1;
        self.reconnects.remove(station);
        self.world.connect(self.now, station);
        if let Some(head) = self.heads.get_mut(station) {
            head.connected(self.now, SessionId(self.sessions));
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
        while let Some(next) = self.poll_timeout()
            && next <= end
        {
            self.now = next.max(self.now);
            self.controller.handle_timeout(self.now);
            for head in self.heads.values_mut() {
                head.handle_timeout(self.now);
            }
            self.world.handle_timeout(self.now);
            self.reconnect();
            self.pump();
        }
        self.now = end;
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

    /// Everything that happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn poll_timeout(&self) -> Option<Moment> {
        let heads = self.heads.values().map(Head::poll_timeout);
        let reconnect = self.reconnects.values().min().copied();
        heads.chain([self.controller.poll_timeout(), self.world.poll_timeout(), reconnect]).flatten().min()
    }

    fn cut(&mut self, station: &StationId) {
        self.world.disconnect(self.now, station);
        if let Some(head) = self.heads.get_mut(station) {
            head.disconnected(self.now);
        }
    }

    /// Does what a station's shell does when its session is over: closes the connection, and opens another
    /// after a while.
    fn reconnect(&mut self) {
        let over = self.heads.iter().filter(|(_, head)| head.wants_disconnect()).map(|(station, _)| station.clone());
        for station in over.collect::<Vec<_>>() {
            self.cut(&station);
            self.reconnects.insert(station, self.now + RECONNECT_WAIT);
        }
        let due = self.reconnects.iter().filter(|(_, at)| **at <= self.now).map(|(station, _)| station.clone());
        for station in due.collect::<Vec<_>>() {
            self.connect(&station);
        }
    }

    /// Moves bytes, events and outputs until nothing moves any more.
    fn pump(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.controller.poll_output() {
                moved = true;
                self.perform(output);
            }
            for (station, head) in &mut self.heads {
                while let Some(bytes) = head.poll_transmit() {
                    moved = true;
                    self.world.handle_bytes(self.now, station, &bytes);
                }
                while let Some(bytes) = self.world.poll_transmit(station) {
                    moved = true;
                    head.handle_bytes(self.now, &bytes);
                }
                while let Some(event) = head.poll_event() {
                    moved = true;
                    self.controller.handle(self.now, Input::Station(station.clone(), event));
                }
            }
            while let Some(observation) = self.world.poll_observation() {
                self.events.push(Event::Glass(observation));
            }
            if !moved {
                return;
            }
        }
    }

    fn perform(&mut self, output: Output) {
        let now = self.now;
        match output {
            Output::Append(entries) => {
                self.events.extend(entries.into_iter().map(|entry| Event::Journal(now, entry)));
                self.appended += 1;
                self.controller.handle(now, Input::Synced { batches: self.appended, head: None });
            }
            Output::Store(_) => {
                self.stored += 1;
                self.controller.handle(now, Input::Stored(self.stored));
            }
            Output::Render { number, scene, .. } => {
                let planes = self.renderer.render(&scene).planes;
                self.pictures.insert(planes.digest(), planes.clone());
                self.controller.handle(now, Input::Rendered { number, planes, packed: None });
            }
            Output::Send { station, picture, base, ahead } => self.submit(&station, picture, base, ahead),
            Output::Command { station, action, lane, labels } => {
                self.events.extend(labels.iter().map(|(_, label)| Event::Commanded(now, *label, action)));
                let head = self.heads.get_mut(&station);
                let refused = head.and_then(|head| head.command(now, action, lane, labels).err()).unwrap_or_default();
                for (number, _) in refused {
                    self.controller.handle(now, Input::Unsent(number));
                }
            }
            Output::Cancel(station, number) => {
                if let Some(head) = self.heads.get_mut(&station) {
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

    fn submit(&mut self, station: &StationId, picture: Picture, base: Option<Digest>, ahead: Option<Ahead>) {
        self.events.push(match ahead {
            None => Event::Sent(self.now, station.clone(), picture.label),
            Some(ahead) => Event::Staged(self.now, picture.label, ahead.activate_at),
        });
        let number = picture.number;
        let picture = Picture { held: base.and_then(|base| self.pictures.get(&base).cloned()), ..picture };
        let accepted = self.heads.get_mut(station).is_some_and(|head| match ahead {
            None => head.submit(self.now, picture).is_ok(),
            Some(ahead) => head.stage(self.now, picture, ahead).is_ok(),
        });
        if !accepted {
            self.controller.handle(self.now, Input::Unsent(number));
        }
    }
}
