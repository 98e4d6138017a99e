//! What is measured of the store each minute, and told when it is trouble.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::{Moment, StationId};

use super::Controller;
use crate::alert::rules::{AlertRules, Reading, Verdict, Watch};
use crate::alert::{Cause, Rule};
use crate::fleet::accuracy::Sample;
use crate::fleet::health::{Health, Problem};

/// Often enough that a base station's five minutes are six at most; a look at 100,000 labels takes milliseconds.
const PERIOD: Duration = Duration::from_mins(1);

/// How the store's labels are, counted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Bound labels, and those that agree.
    pub sample: Sample,
    /// Labels by their health, in the order of [`Health::ALL`].
    pub health: [u32; Health::ALL.len()],
    /// Labels with low batteries.
    pub low_batteries: u32,
}

impl Tally {
    /// Labels of a health.
    #[must_use]
    pub fn of(&self, health: Health) -> u32 {
        Health::ALL.iter().zip(self.health).find(|(of, _)| **of == health).map_or(0, |(_, count)| count)
    }
}

/// What is watched.
#[derive(Debug)]
pub(super) struct Watching {
    rules: AlertRules,
    due: Moment,
    watches: BTreeMap<Rule, Watch>,
    stations: BTreeMap<StationId, Watch>,
    tally: Option<Tally>,
}

impl Watching {
    pub(super) const fn new(rules: AlertRules, now: Moment) -> Self {
        Self { rules, due: now, watches: BTreeMap::new(), stations: BTreeMap::new(), tally: None }
    }

    pub(super) const fn poll_timeout(&self) -> Moment {
        self.due
    }

    /// The clock was set back: what was measured by it says nothing.
    pub(super) fn begin_anew(&mut self, now: Moment) {
        *self = Self::new(self.rules, now);
    }
}

impl Controller {
    /// How the labels were at the last full minute; none before the first.
    #[must_use]
    pub const fn tally(&self) -> Option<&Tally> {
        self.watching.tally.as_ref()
    }

    /// Looks at the store if a minute is over.
    pub(super) fn look_for_trouble(&mut self, now: Moment) {
        // While it is not known of every label what it should show, most would be wrong.
        if self.watching.due > now || self.is_looking() {
            return;
        }
        self.watching.due = now + PERIOD;
        let tally = self.count(now);
        self.watching.tally = Some(tally);
        let rules = self.watching.rules;
        self.watch_accuracy(now, tally.sample);
        let stale = tally.of(Health::Stale);
        let cause = Cause::StaleLabels { labels: stale };
        self.watch(now, Rule::StaleLabels, AlertRules::of_count(stale, rules.stale_labels), cause);
        let low = tally.low_batteries;
        let cause = Cause::LowBatteries { labels: low };
        self.watch(now, Rule::LowBatteries, AlertRules::of_count(low, rules.low_batteries), cause);
        self.watch_stations(now);
    }

    fn count(&self, now: Moment) -> Tally {
        let mut health = [0_u32; Health::ALL.len()];
        let mut low_batteries = 0;
        for label in self.fleet.labels() {
            let of = Health::of(label, now);
            if let Some(index) = Health::ALL.iter().position(|one| *one == of) {
                health[index] += 1;
            }
            low_batteries += u32::from(Problem::of(label).any(|problem| problem == Problem::LowBattery));
        }
        Tally { sample: self.sample(now), health, low_batteries }
    }

    fn watch_accuracy(&mut self, now: Moment, sample: Sample) {
        let Sample { bound, agreeing, .. } = sample;
        let reading = self.watching.rules.of_accuracy(bound, agreeing);
        let per_mille = u64::from(agreeing) * 1_000 / u64::from(bound.max(1));
        let per_mille = u32::try_from(per_mille).unwrap_or(1_000);
        let below_percent = self.watching.rules.accuracy_percent;
        self.watch(now, Rule::Accuracy, reading, Cause::Accuracy { per_mille, bound, below_percent });
    }

    fn watch_stations(&mut self, now: Moment) {
        let rules = self.watching.rules;
        let stations: Vec<_> = self.fleet.stations().cloned().collect();
        for station in stations {
            let reading = match (rules.station_down_minutes, station.capacity) {
                (0, _) | (_, Some(_)) => Reading::Well,
                (_, None) => Reading::Trouble,
            };
            let watch = self.watching.stations.entry(station.id.clone()).or_default();
            let verdict = watch.look(now, reading, rules.patience(Rule::StationDown));
            let cause = Cause::StationDown { why: station.away_because };
            self.follow(now, Rule::StationDown, station.id.as_str(), verdict, cause);
        }
    }

    /// The disk has so much room.
    pub(super) fn handle_disk(&mut self, now: Moment, free: u64, total: u64) {
        let reading = self.watching.rules.of_disk(free, total);
        let free_percent = u8::try_from(u128::from(free) * 100 / u128::from(total.max(1))).unwrap_or(100);
        self.watch(now, Rule::Disk, reading, Cause::Disk { free_percent, free_mib: free >> 20 });
    }

    /// Follows a measure of the whole store.
    fn watch(&mut self, now: Moment, rule: Rule, reading: Reading, cause: Cause) {
        let patience = self.watching.rules.patience(rule);
        let verdict = self.watching.watches.entry(rule).or_default().look(now, reading, patience);
        let store = self.store.id.clone();
        self.follow(now, rule, &store, verdict, cause);
    }

    fn follow(&mut self, now: Moment, rule: Rule, subject: &str, verdict: Verdict, cause: Cause) {
        match verdict {
            Verdict::Raise if self.alerts.get(rule, subject).is_none() => self.raise(now, rule, subject, cause),
            Verdict::Raise => self.alerts.reword(rule, subject, cause),
            Verdict::Clear => self.clear(now, rule, subject),
            Verdict::Leave => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gondola_drivers::head::{Capacity, HeadEvent};
    use gondola_protocol::LabelId;
    use gondola_protocol::message::{CheckIn, Reason};
    use gondola_protocol::{Digest, Edition, Millivolts};
    use jiff::tz::TimeZone;

    use super::*;
    use crate::alert::State;
    use crate::catalog::guard::GuardRules;
    use crate::catalog::settings::{Market, Settings};
    use crate::catalog::wire::Facet;
    use crate::controller::StoreSettings;
    use crate::controller::message::{Input, LabelRequest, Output, Publication, Request};
    use crate::journal::Entry;
    use crate::template::Templates;
    use crate::template::view::StoreView;

    const START: Moment = Moment::from_secs(1_795_147_200);

    /// A store, with what it has put into its journal, which is synced at once.
    struct Shop {
        controller: Controller,
        minute: u64,
        journal: Vec<(Moment, Entry)>,
        batches: u64,
        told: Vec<String>,
    }

    fn open(stations: &[&str], journal: Vec<(Moment, Entry)>, minute: u64) -> Shop {
        let text = str::to_owned;
        let view = StoreView { id: text("hz-001"), name: text("店"), format: text("community"), market: text("CN") };
        let time_zone = TimeZone::get("Asia/Shanghai").unwrap();
        let currency = "CNY".parse().unwrap();
        let catalog = Settings { currency, market: Market::China, time_zone, guard: GuardRules::default() };
        let stations = stations.iter().map(|station| station.parse().unwrap()).collect();
        let settings = StoreSettings { view, catalog, stations, alerts: AlertRules::default() };
        let now = START + Duration::from_mins(minute);
        let mut controller = Controller::new(settings, Arc::new(Templates::embedded()), now);
        for (nth, (at, entry)) in journal.iter().enumerate() {
            controller.replay(Some(nth as u64 + 1), *at, entry);
        }
        controller.resume(now, None, journal.last().map(|(at, _)| *at));
        controller.handle_timeout(now);
        let mut shop = Shop { controller, minute, journal, batches: 0, told: Vec::new() };
        shop.perform();
        shop
    }

    impl Shop {
        fn now(&self) -> Moment {
            START + Duration::from_mins(self.minute)
        }

        fn handle(&mut self, input: Input) {
            self.controller.handle(self.now(), input);
            self.perform();
        }

        fn wait(&mut self, minutes: u64) {
            for _ in 0..minutes {
                self.minute += 1;
                self.controller.handle_timeout(self.now());
                self.perform();
            }
        }

        fn perform(&mut self) {
            while let Some(output) = self.controller.poll_output() {
                match output {
                    Output::Append(entries) => {
                        let now = self.now();
                        self.journal.extend(entries.into_iter().map(|entry| (now, entry)));
                        self.batches += 1;
                        self.controller.handle(now, Input::Synced { batches: self.batches, head: None });
                    }
                    Output::Publish(Publication::Alert(alert)) => {
                        self.told.push(format!("{} {}", alert.id(), alert.state));
                    }
                    _ => {}
                }
            }
        }

        fn told(&mut self) -> Vec<String> {
            std::mem::take(&mut self.told)
        }

        /// The process ends, and starts again with these base stations, some minutes later.
        fn restart(self, stations: &[&str], minutes: u64) -> Self {
            open(stations, self.journal, self.minute + minutes)
        }

        fn up(&mut self) {
            let capacity = Capacity { transfers: 64, bytes: 1 << 20, stages: false, encodings: 3 };
            self.handle(Input::Station("front".parse().unwrap(), HeadEvent::Up { capacity, epoch: Some(1) }));
        }

        fn check_in(&mut self, battery_mv: u16) {
            let check_in = CheckIn {
                label: LabelId(1),
                panel: "bwr-296x128".parse().unwrap(),
                reason: Reason::Regular,
                edition: Edition(0),
                digest: Digest([0; 16]),
                battery_mv: Millivolts(battery_mv),
                rssi_dbm: -61,
                temperature_c: 21,
                firmware: 258,
            };
            self.handle(Input::Station("front".parse().unwrap(), HeadEvent::CheckIn(check_in)));
        }
    }

    #[test]
    fn a_base_station_that_is_away_is_told_once_and_so_is_its_return() {
        let mut shop = open(&["front"], Vec::new(), 0);
        shop.wait(4);
        assert_eq!(shop.told(), [""; 0]);
        shop.wait(2);
        assert_eq!(shop.told(), ["station_down:front raised"]);
        shop.wait(60);
        assert_eq!(shop.told(), [""; 0]);
        shop.up();
        shop.wait(2);
        assert_eq!(shop.told(), ["station_down:front cleared"]);
    }

    #[test]
    fn what_holds_over_a_restart_is_not_told_again_and_what_ended_meanwhile_is_cleared() {
        let mut shop = open(&["front", "back"], Vec::new(), 0);
        shop.wait(6);
        shop.handle(Input::ReloadEnded { facet: Facet::Base, outcome: Err("it is gone".to_owned()) });
        shop.handle(Input::TurnedAway("ghost".parse().unwrap()));
        let acknowledge = Request::Acknowledge { rule: Rule::StationDown, subject: "front".into(), by: "ann".into() };
        shop.handle(Input::Request { ticket: 1, request: acknowledge });
        assert_eq!(shop.told().len(), 5);
        let numbers = |shop: &Shop| shop.controller.alert_news().map(|news| news.number).collect::<Vec<_>>();
        let before = numbers(&shop);

        let mut shop = shop.restart(&["front", "ghost"], 5);
        // `back` is no longer configured, and `ghost` is.
        assert_eq!(shop.told(), ["station_down:back cleared", "stranger:ghost cleared"]);
        assert_eq!(numbers(&shop)[..5], before);
        let held = shop.controller.alerts().get(Rule::StationDown, "front").unwrap();
        assert_eq!((held.acknowledged.as_ref().unwrap().by.as_str(), held.at), ("ann", START + Duration::from_mins(5)));
        shop.wait(30);
        shop.up();
        shop.handle(Input::ReloadEnded { facet: Facet::Base, outcome: Ok(Default::default()) });
        shop.wait(2);
        let told = shop.told();
        assert!(told.contains(&"station_down:front cleared".to_owned()), "{told:?}");
        assert!(told.contains(&"reload_failed:base cleared".to_owned()), "{told:?}");
        assert!(!told.iter().any(|told| told == "station_down:front raised"), "{told:?}");
    }

    #[test]
    fn a_low_battery_is_told_when_it_stays_low() {
        let mut shop = open(&["front"], Vec::new(), 0);
        shop.up();
        let (panel, position) = ("bwr-296x128".parse().unwrap(), Default::default());
        let request = LabelRequest::Register { label: LabelId(1), panel, position }.into();
        shop.handle(Input::Request { ticket: 1, request });
        // It sinks in the cold, and rises again.
        for _ in 0..3 {
            shop.check_in(2_350);
            shop.wait(30);
            shop.check_in(2_450);
            shop.wait(2);
        }
        assert_eq!(shop.told(), [""; 0]);
        shop.check_in(2_350);
        shop.wait(61);
        assert_eq!(shop.told(), ["low_batteries:hz-001 raised"]);
        assert_eq!(shop.controller.tally().unwrap().low_batteries, 1);
        shop.check_in(2_950);
        shop.wait(59);
        assert_eq!(shop.told(), [""; 0]);
        shop.wait(3);
        assert_eq!(shop.told(), ["low_batteries:hz-001 cleared"]);
    }

    #[test]
    fn a_disk_that_fills_is_told_before_it_is_full() {
        let mut shop = open(&[], Vec::new(), 0);
        for (free, states) in
            [(11, &[][..]), (9, &["disk:hz-001 raised"]), (12, &[]), (8, &[]), (16, &["disk:hz-001 cleared"])]
        {
            shop.handle(Input::Disk { free: free << 30, total: 100 << 30 });
            assert_eq!(shop.told(), states, "{free} %");
        }
        let entries = shop.journal.iter().filter(|(_, entry)| matches!(entry, Entry::Alert(_)));
        assert_eq!(entries.count(), 2);
        assert_eq!(shop.controller.alerts().news().last().unwrap().state, State::Cleared);
    }

    #[test]
    fn an_exchange_is_one_decision_of_the_journal_and_outlives_a_restart() {
        let mut shop = open(&["front"], Vec::new(), 0);
        let position = crate::journal::entry::Position { aisle: "3".into(), ..Default::default() };
        let skus = vec!["1101".parse().unwrap()];
        let unknown = crate::controller::message::UnknownSkus::Allow;
        for request in [
            LabelRequest::Register {
                label: LabelId(1),
                panel: "bwr-296x128".parse().unwrap(),
                position: position.clone(),
            },
            LabelRequest::Bind { label: LabelId(1), skus: skus.clone(), template: None, unknown },
        ] {
            shop.handle(Input::Request { ticket: 1, request: request.into() });
        }
        let before = shop.journal.len();
        let request = LabelRequest::Replace { label: LabelId(1), with: LabelId(2) }.into();
        shop.handle(Input::Request { ticket: 2, request });
        let decided: Vec<&Entry> = shop.journal[before..].iter().map(|(_, entry)| entry).collect();
        assert!(matches!(decided[..], [Entry::Replaced { .. }]), "{decided:?}");
        let shop = shop.restart(&["front"], 1);
        let label = |id| shop.controller.fleet().label(LabelId(id)).unwrap();
        assert_eq!((&label(2).binding.as_ref().unwrap().skus[..], &label(2).position), (&skus[..], &position));
        assert_eq!((&label(1).binding, label(1).position.aisle.as_str()), (&None, ""));
    }
}
