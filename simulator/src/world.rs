//! The whole simulated shop: pure, seeded, in virtual time.
//!
//! Bytes and moments go in, bytes and observations come out. Everything between two calls happens at its
//! own moment, in order, however rarely the world is called: the trace depends on seed and inputs alone.

mod sight;
mod twins;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::StationKey;
use gondola_protocol::message::Credits;
use gondola_protocol::{Digest, Edition, LabelId, Moment, Panel, Planes, StationId};

use crate::counters::Counters;
use crate::decode::DecodeMemory;
use crate::dice::Loss;
use crate::faults::{Fault, FaultError};
use crate::floor::{Floor, FloorPlan};
use crate::label::{Air, EXCHANGE_TRIES_MAX, Label, LabelOptions, LabelState, Picture};
use crate::link::{Bursts, Link};
use crate::radio::{Airtime, Channel, Radio, RadioOptions};
use crate::station::{Station, StationOptions};

pub use sight::{Activity, BATTERY_LOW, LabelSight, Sight, StationSight};
pub use twins::Device;

/// Observations that nobody has polled yet: 4 MiB. Beyond that the oldest are dropped.
pub const OBSERVATIONS_MAX: usize = 65_536;

/// A station that heard a label has said so for this long.
///
/// Whoever asks whether a label is alive thinks in half hours, and thirty thousand labels are a hundred names a second.
const PRESENCE_REPEAT: Duration = Duration::from_secs(5 * 60);

/// What decides everything that happens in a world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldOptions {
    /// Decides every chance.
    pub seed: u64,
    /// Share of radio messages, of blocks, and of frames on a station's link each way that are lost: 0 to 1.
    pub loss: f64,
    /// What else becomes of radio messages.
    pub radio: RadioOptions,
    /// At least one.
    pub stations: Vec<StationOptions>,
    /// The labels.
    pub labels: Vec<LabelOptions>,
}

/// A glass has changed, by a refresh or a reset. A dead pixel is none: no label knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Moment,
    /// Whose.
    pub label: LabelId,
    /// The edition that the label now reports.
    pub edition: Edition,
    /// The digest that the label computed from what it shows.
    pub digest: Digest,
    /// Which of the devices with its id it is.
    pub device: Device,
}

/// Who acts at a moment; stations before labels, each in the order of the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Station(usize),
    Label(usize),
}

/// A simulated shop.
#[derive(Debug)]
pub struct World {
    now: Moment,
    radio: Radio,
    /// What a wake with nothing to say and nothing to fetch costs.
    idle: Airtime,
    stations: Vec<Station>,
    station_by_id: BTreeMap<StationId, usize>,
    /// For each station the moment of its valid entry in `agenda`.
    station_due: Vec<Option<Moment>>,
    /// For each station the labels within its reach.
    within_reach: Vec<Vec<usize>>,
    labels: Vec<Hung>,
    /// When each label's station last said that it heard it: side by side, because stations look at all of them often.
    present_at: Vec<Moment>,
    label_by_id: BTreeMap<LabelId, usize>,
    /// Second devices with a label's id, behind all labels of the options; one that was taken down keeps its place.
    twins: BTreeMap<LabelId, usize>,
    /// Who acts when. An entry whose moment is no longer its actor's is void.
    agenda: BinaryHeap<Reverse<(Moment, Actor)>>,
    observations: VecDeque<Observation>,
    counters: Counters,
    decoded: DecodeMemory,
    events: u64,
}

/// A label within reach of a station.
#[derive(Debug)]
struct Hung {
    label: Label,
    station: usize,
}

/// Ways over the floor.
struct Ways<'a> {
    seed: u64,
    stations: &'a [StationOptions],
    labels: &'a [LabelOptions],
    plan: FloorPlan,
}

impl<'a> Ways<'a> {
    fn over(seed: u64, stations: &'a [StationOptions], labels: &'a [LabelOptions]) -> Self {
        Self { seed, stations, labels, plan: Floor::for_labels(labels.len(), stations.len()) }
    }

    /// From a label to its own station, or else to the one that it hears best, the first of several.
    fn of(&self, at: usize, own: Option<usize>) -> (usize, Option<Link>) {
        let to = |station: usize| {
            let label = (self.labels[at].label, self.plan.labels[at]);
            (station, Link::over(self.seed, label, (&self.stations[station].id, self.plan.base_stations[station])))
        };
        let links = own.map_or(0..self.stations.len(), |own| own..own + 1).map(to);
        let better = |best: (usize, Link), next: (usize, Link)| if next.1.is_better(&best.1) { next } else { best };
        links.reduce(better).map_or((0, None), |(station, link)| (station, Some(link)))
    }
}

impl World {
    /// A shop that opens at `start`: every label is white and has yet to report.
    ///
    /// # Panics
    /// Options that contradict themselves: no station, an id twice, a label at a station that is not there or with a
    /// picture for another panel, a window outside 1 to 32, a station without room for any transfer, a loss outside 0 to 1.
    #[must_use]
    pub fn new(options: WorldOptions, start: Moment) -> Self {
        let WorldOptions { seed, loss, radio, stations, labels } = options;
        assert!((0.0..=1.0).contains(&loss), "a loss of {loss} is not 0 to 1");
        assert!(radio.are_possible(), "an air that cannot be: {radio:?}");
        for StationOptions { id, window, transfers_max, .. } in &stations {
            assert!((1..=32).contains(window) && *transfers_max > 0, "base station `{id}` could take nothing");
        }
        assert!(!stations.is_empty(), "a simulated shop has at least one base station");
        let station_by_id: BTreeMap<_, _> =
            stations.iter().zip(0..).map(|(station, at)| (station.id.clone(), at)).collect();
        assert_eq!(station_by_id.len(), stations.len(), "each base station's id stands once");
        let label_by_id: BTreeMap<_, _> = labels.iter().zip(0..).map(|(label, at)| (label.label, at)).collect();
        assert_eq!(label_by_id.len(), labels.len(), "each label's id stands once");
        let fits = |label: &LabelOptions| label.shows.as_ref().is_none_or(|planes| planes.panel() == label.panel);
        assert!(labels.iter().all(fits), "a label's first picture is for its panel");
        let radio = Radio { options: radio, loss: Loss(loss), ignores_editions: false };
        let ways = radio.options.floor.then(|| Ways::over(seed, &stations, &labels));
        let mut whites: BTreeMap<Panel, Picture> = BTreeMap::new();
        let hang = |(at, options): (usize, &LabelOptions)| {
            let white = || Picture::white(options.panel);
            let first = match &options.shows {
                Some(planes) => Picture::first(planes.clone()),
                None => whites.entry(options.panel).or_insert_with(white).clone(),
            };
            let named = options.station.as_ref().map(|id| station_by_id[id]);
            let (best, link) = ways.as_ref().map_or((at % stations.len(), None), |ways| ways.of(at, named));
            let mut label = Label::new(options, first, seed, start);
            label.set_link(link, &radio);
            Hung { station: named.unwrap_or(best), label }
        };
        let hung: Vec<Hung> = labels.iter().enumerate().map(hang).collect();
        let reaches = |station| (0..hung.len()).filter(|at| hung[*at].station == station).collect();
        let within_reach: Vec<Vec<usize>> = (0..stations.len()).map(reaches).collect();
        let wakes = |station: usize| within_reach[station].iter().map(|at| labels[*at].wake);
        let channel = |at| Channel::new(wakes(at), radio.options.duty_cycle);
        let place = |(station, at)| Station::new(station, channel(at), seed, loss, start);
        Self {
            now: start,
            radio,
            idle: radio.idle_poll(EXCHANGE_TRIES_MAX, 0.0),
            station_due: vec![None; stations.len()],
            stations: stations.into_iter().zip(0..).map(place).collect(),
            within_reach,
            station_by_id,
            agenda: hung.iter().enumerate().map(|(at, hung)| Reverse((hung.label.due(), Actor::Label(at)))).collect(),
            present_at: vec![start; hung.len()],
            labels: hung,
            label_by_id,
            twins: BTreeMap::new(),
            observations: VecDeque::new(),
            counters: Counters::default(),
            decoded: DecodeMemory::default(),
            events: 0,
        }
    }

    /// A controller opens a byte stream to a station; an older one is closed by that.
    ///
    /// # Panics
    /// Here and below: a station that is not in the options.
    pub fn connect(&mut self, now: Moment, station: &StationId) {
        self.at_station(now, station, Station::connect);
    }

    /// The byte stream ends. The session lives until the next hello, and labels go on taking what waits.
    pub fn disconnect(&mut self, now: Moment, station: &StationId) {
        self.at_station(now, station, Station::disconnect);
    }

    /// A station loses power for a moment. Its byte stream stays open, as a serial line does.
    pub fn reboot(&mut self, now: Moment, station: &StationId) {
        self.at_station(now, station, |station| station.reboot(now));
    }

    /// A station loses its power, or has it again and starts. Without it neither controller nor labels hear anything
    /// of it, and what it held is gone; its byte stream stays open.
    pub fn set_power(&mut self, now: Moment, station: &StationId, is_on: bool) {
        self.at_station(now, station, |station| station.set_power(now, is_on));
    }

    /// Another device, with another key or none, takes a station's place at the end of its line.
    pub fn exchange_station(&mut self, now: Moment, station: &StationId, key: Option<StationKey>) {
        self.at_station(now, station, |station| station.exchange(now, key));
    }

    /// What a station holds at once changes, and its controller is told.
    pub fn set_credits(&mut self, now: Moment, station: &StationId, credits: Credits) {
        self.at_station(now, station, |station| station.set_credits(now, credits));
    }

    /// Bytes from the controller to a station.
    pub fn handle_bytes(&mut self, now: Moment, station: &StationId, bytes: &[u8]) {
        self.at_station(now, station, |station| station.handle_bytes(now, bytes));
    }

    /// Bytes from a station to its controller: one whole frame.
    pub fn poll_transmit(&mut self, station: &StationId) -> Option<Bytes> {
        let at = self.station_by_id[station];
        self.stations[at].poll_transmit()
    }

    /// Lets everything happen that is due by `now`. A moment before an earlier call's changes nothing.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(Reverse((at, actor))) = self.agenda.peek().copied()
            && at <= now
        {
            self.agenda.pop();
            self.events += 1;
            match actor {
                Actor::Station(index) if self.station_due[index] == Some(at) => self.act_station(at, index),
                Actor::Label(index) if self.labels[index].label.due() == at => self.act_label(at, index),
                _ => {}
            }
        }
        self.now = self.now.max(now);
        self.drop_void_entries();
    }

    /// Lets everything happen that is due before `limit`, up to the moment at which a station has something to say to its
    /// controller. Answers that moment; none when no station has.
    pub fn run_before(&mut self, limit: Moment) -> Option<Moment> {
        while let Some(due) = self.poll_timeout()
            && due < limit
        {
            self.handle_timeout(due);
            if self.stations.iter().any(Station::is_speaking) {
                return Some(self.now);
            }
        }
        None
    }

    /// Whether a station has something to say, by its number in the order of the options.
    #[must_use]
    pub fn is_speaking(&self, station: usize) -> bool {
        self.stations.get(station).is_some_and(Station::is_speaking)
    }

    /// When [`World::handle_timeout`] wants to be called next, at the latest; it may be for nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.agenda.peek().map(|Reverse((at, _))| *at)
    }

    /// A glass has changed. At most [`OBSERVATIONS_MAX`] wait; beyond that the oldest are dropped.
    pub fn poll_observation(&mut self) -> Option<Observation> {
        self.observations.pop_front()
    }

    /// Every label, in the order of the options.
    pub fn labels(&self) -> impl Iterator<Item = LabelState> {
        self.labels[..self.own_labels()]
            .iter()
            .map(|hung| hung.label.state(self.now, self.stations[hung.station].id(), self.idle))
    }

    /// One label.
    #[must_use]
    pub fn label(&self, label: LabelId) -> Option<LabelState> {
        let Hung { label, station, .. } = &self.labels[*self.label_by_id.get(&label)?];
        Some(label.state(self.now, self.stations[*station].id(), self.idle))
    }

    /// What is on a label's glass, a dead pixel included.
    #[must_use]
    pub fn screen(&self, label: LabelId) -> Option<Planes> {
        self.label_by_id.get(&label).map(|at| self.labels[*at].label.glass())
    }

    /// Sets a label's fault, or clears it.
    ///
    /// # Errors
    /// See [`FaultError`]; nothing is changed then.
    pub fn set_fault(&mut self, now: Moment, label: LabelId, fault: Option<Fault>) -> Result<(), FaultError> {
        let index = *self.label_by_id.get(&label).ok_or(FaultError::UnknownLabel(label))?;
        let panel = self.labels[index].label.panel();
        if let Some(Fault::DeadPixel { x, y }) = fault
            && (x >= panel.width() || y >= panel.height())
        {
            return Err(FaultError::OutsidePanel { x, y, panel });
        }
        self.change_label(now, label, |label, now| label.set_fault(now, fault))
    }

    fn change_label(
        &mut self,
        now: Moment,
        label: LabelId,
        change: impl FnOnce(&mut Label, Moment) -> Option<Observation>,
    ) -> Result<(), FaultError> {
        let index = *self.label_by_id.get(&label).ok_or(FaultError::UnknownLabel(label))?;
        self.handle_timeout(now);
        self.rouse_label(index, self.now);
        let label = &mut self.labels[index].label;
        let due = label.due();
        let observation = change(label, self.now);
        if label.due() != due {
            self.agenda.push(Reverse((label.due(), Actor::Label(index))));
        }
        self.observe(observation);
        self.drop_void_entries();
        Ok(())
    }

    /// It is warmer or colder at a label from now on.
    ///
    /// # Errors
    /// No such label.
    pub fn set_temperature(&mut self, now: Moment, label: LabelId, temperature_c: i8) -> Result<(), FaultError> {
        self.handle_timeout(now);
        let index = *self.label_by_id.get(&label).ok_or(FaultError::UnknownLabel(label))?;
        self.labels[index].label.set_temperature(temperature_c);
        Ok(())
    }

    /// So many millionths of a label's battery are gone at once.
    ///
    /// # Errors
    /// No such label.
    pub fn drain_battery(&mut self, now: Moment, label: LabelId, millionths: u64) -> Result<(), FaultError> {
        self.handle_timeout(now);
        let index = *self.label_by_id.get(&label).ok_or(FaultError::UnknownLabel(label))?;
        self.labels[index].label.drain(millionths);
        Ok(())
    }

    /// From now on so much leaks through a label's battery, in microamperes.
    ///
    /// # Errors
    /// No such label.
    pub fn leak_battery(&mut self, now: Moment, label: LabelId, microamperes: u32) -> Result<(), FaultError> {
        self.handle_timeout(now);
        let index = *self.label_by_id.get(&label).ok_or(FaultError::UnknownLabel(label))?;
        self.labels[index].label.leak(now, u64::from(microamperes) * 1_000);
        Ok(())
    }

    /// A label gets a new battery. It forgets everything, as with [`Fault::Reset`].
    ///
    /// # Errors
    /// No such label.
    pub fn replace_battery(&mut self, now: Moment, label: LabelId) -> Result<(), FaultError> {
        self.change_label(now, label, Label::replace_battery)
    }

    /// Labels show whatever they are sent, however old it is: a bug of their firmware, to see that it is found.
    pub const fn ignore_editions(&mut self) {
        self.radio.ignores_editions = true;
    }

    /// From now on so much is lost, of radio messages, blocks and frames alike.
    ///
    /// # Panics
    /// A loss outside 0 to 1.
    pub fn set_loss(&mut self, now: Moment, loss: f64) {
        assert!((0.0..=1.0).contains(&loss), "a loss of {loss} is not 0 to 1");
        self.change_air(now, |radio| radio.loss = Loss(loss));
        for station in &mut self.stations {
            station.set_loss(loss);
        }
    }

    /// From now on there is such interference.
    ///
    /// # Panics
    /// Bursts that cannot be.
    pub fn set_bursts(&mut self, now: Moment, bursts: Option<Bursts>) {
        assert!(bursts.is_none_or(|bursts| bursts.are_possible()), "bursts that cannot be: {bursts:?}");
        self.change_air(now, |radio| radio.options.bursts = bursts);
    }

    fn change_air(&mut self, now: Moment, change: impl FnOnce(&mut Radio)) {
        self.handle_timeout(now);
        // What went by until now went by at the old price.
        for index in 0..self.labels.len() {
            if self.labels[index].label.idle_wakes(now) > 0 {
                self.rouse_label(index, now);
            }
        }
        change(&mut self.radio);
        self.idle = self.radio.idle_poll(EXCHANGE_TRIES_MAX, 0.0);
        for Hung { label, .. } in &mut self.labels {
            label.set_link(None, &self.radio);
        }
        self.drop_void_entries();
    }

    /// What has happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.active_counters();
        for Hung { label, .. } in &self.labels {
            sum.count_idle(label.idle_wakes(self.now), label.idle(self.idle).bytes);
        }
        sum
    }

    /// The same without the idle wakes that are not counted yet, each label's since it last did something: so no label is
    /// looked at.
    #[must_use]
    pub fn active_counters(&self) -> Counters {
        let mut sum = self.counters;
        for station in &self.stations {
            sum += station.counters();
        }
        sum
    }

    /// Things that happened, each at its own moment: what virtual time costs. A wake with nothing to say and
    /// nothing to fetch is none.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The time within which the radio lets a wave of pictures be over, of which a station received so many, so many
    /// packed bytes together: all of its airtime, and then the wakes of the unluckiest label. Its labels wake every
    /// `period`. Where most of the airtime falls into those wakes, a wave can be over before.
    #[must_use]
    pub fn wave_bound(&self, station: &StationId, wave: Counters, period: Duration) -> Duration {
        let station = &self.stations[self.station_by_id[station]];
        station.bound(wave.transfers, wave.bytes_packed, self.radio, period)
    }

    /// What has happened at a station since the start.
    #[must_use]
    pub fn counters_of(&self, station: &StationId) -> Counters {
        self.stations[self.station_by_id[station]].counters()
    }

    /// Transfers and commands that a station holds, and their bytes.
    #[must_use]
    pub fn holds(&self, station: &StationId) -> (usize, usize) {
        self.stations[self.station_by_id[station]].holds()
    }

    /// The stations, in the order of the options.
    pub fn stations(&self) -> impl Iterator<Item = &StationId> {
        self.stations.iter().map(Station::id)
    }

    fn at_station(&mut self, now: Moment, station: &StationId, act: impl FnOnce(&mut Station)) {
        self.handle_timeout(now);
        let index = self.station_by_id[station];
        act(&mut self.stations[index]);
        self.rouse(index);
        self.plan_station(index);
    }

    fn act_station(&mut self, at: Moment, index: usize) {
        self.station_due[index] = None;
        if self.stations[index].poll_timeout().is_some_and(|due| due <= at) {
            if self.stations[index].presence_is_due(at) {
                self.tell_presence(at, index);
            }
            self.stations[index].handle_timeout(at);
        }
        self.plan_station(index);
    }

    fn act_label(&mut self, at: Moment, index: usize) {
        let Hung { label, station, .. } = &mut self.labels[index];
        let station_index = *station;
        let station = &mut self.stations[station_index];
        let Self { radio, idle, counters, decoded, .. } = self;
        let mut air = Air { radio: *radio, idle: *idle, station, counters, decoded };
        let observation = label.act(at, &mut air);
        self.agenda.push(Reverse((label.due(), Actor::Label(index))));
        self.observe(observation);
        self.plan_station(station_index);
    }

    /// Labels with work at a station wake for it; all of them do when its session begins or ends.
    fn rouse(&mut self, station: usize) {
        let roused = match self.stations[station].take_roused() {
            Some(labels) => {
                let devices = |label| self.label_by_id.get(label).into_iter().chain(self.twins.get(label));
                labels.iter().flat_map(devices).copied().collect()
            }
            None => self.within_reach[station].clone(),
        };
        for index in roused {
            self.rouse_label(index, self.now);
        }
    }

    /// A label wakes up again whenever its crystal says so.
    fn rouse_label(&mut self, index: usize, now: Moment) {
        let Hung { label, station, .. } = &mut self.labels[index];
        let due = label.due();
        label.rouse(now, self.idle, &mut self.counters);
        self.stations[*station].channel().remove_idle(label.stop_idle_calls());
        if label.due() != due {
            self.agenda.push(Reverse((label.due(), Actor::Label(index))));
        }
    }

    /// A station is about to say which labels it has heard: it says each in its turn.
    fn tell_presence(&mut self, at: Moment, station: usize) {
        for index in &self.within_reach[station] {
            let (label, present_at) = (&self.labels[*index].label, &mut self.present_at[*index]);
            if *present_at + PRESENCE_REPEAT <= at && label.is_heard_between(*present_at, at) {
                *present_at = at;
                self.stations[station].hear(label.id());
            }
        }
    }

    fn observe(&mut self, observation: Option<Observation>) {
        if self.observations.len() == OBSERVATIONS_MAX {
            self.observations.pop_front();
        }
        self.observations.extend(observation);
    }

    /// Puts a station on the agenda. An entry that became too early stays and is planned anew when it
    /// comes, so that each ack does not leave one behind.
    fn plan_station(&mut self, index: usize) {
        let Some(due) = self.stations[index].poll_timeout() else { return };
        if self.station_due[index].is_none_or(|planned| due < planned) {
            self.station_due[index] = Some(due);
            self.agenda.push(Reverse((due, Actor::Station(index))));
        }
    }

    fn drop_void_entries(&mut self) {
        while let Some(Reverse((at, actor))) = self.agenda.peek().copied() {
            let valid = match actor {
                Actor::Station(index) => self.station_due[index] == Some(at),
                Actor::Label(index) => self.labels[index].label.due() == at,
            };
            if valid {
                break;
            }
            self.agenda.pop();
        }
    }
}
