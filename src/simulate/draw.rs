//! What one seed decides about a run beside chance itself: how bad the air is, how small base stations are, and what
//! happens when.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::Moment;
use gondola_simulator::{Bursts, Dice, RadioOptions};
use serde::Serialize;

/// A promotion is announced so long before nothing happens any more, or not at all.
pub(super) const PROMOTION_MIN: Duration = Duration::from_secs(10 * 60);

/// Seconds of a day in which things happen: all but those in which a day's run only waits for the glasses to agree, and
/// then for quiet.
const DAY_S: u64 = 83_400;

/// One label in a hundred hangs somewhere else after an hour; where that were more than this, a person would be busy with
/// nothing else.
const MOVED_PER_HOUR_MAX: u64 = 20;

/// How much goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultLevel {
    /// Nothing.
    #[default]
    None,
    /// What happens in any shop now and then.
    Mild,
    /// What no shop would stand for.
    Harsh,
}

impl FaultLevel {
    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mild => "mild",
            Self::Harsh => "harsh",
        }
    }
}

/// The drawn options of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// How long labels sleep, in seconds.
    pub wake_s: u64,
    /// Radio messages, blocks and frames that are lost, of 1,000.
    pub loss_per_mille: u64,
    /// Pictures that a base station holds.
    pub transfers_max: u16,
    /// What a group commit of the journal takes, in milliseconds.
    pub sync_ms: u64,
    /// Feed messages that come twice, of 1,000.
    pub repeated_per_mille: u64,
    /// Feed messages that come late, after others, of 1,000.
    pub late_per_mille: u64,
    /// Feed messages that never come, of 1,000.
    pub missing_per_mille: u64,
    /// Labels that fail in an hour, of 1,000: deaf, stuck, or reset.
    pub label_faults_per_mille: u64,
    /// Labels in a store whose id another device has, too, for a while in each hour.
    pub twins: u64,
    /// Times that each base station restarts, loses its line or its memory in an hour.
    pub station_faults: u64,
    /// Times that the broker is away in an hour.
    pub broker_faults: u64,
    /// Times that the controller dies in an hour.
    pub crashes: u64,
    /// Whether labels hang and base stations stand on the floor plan.
    pub floor: bool,
    /// Mean seconds between two bursts of interference at a label; 0 for none.
    pub burst_every_s: u64,
    /// Mean length of one, in milliseconds.
    pub burst_ms: u64,
    /// Frames that are lost in one, of 1,000.
    pub burst_loss_per_mille: u64,
    /// Whether labels that call at the same time are not heard.
    pub collisions: bool,
    /// Share of the time in which a base station may send, in percent.
    pub duty_percent: u64,
    /// Whether labels have room for fewer pictures and encodings than they could.
    pub small_memories: bool,
}

impl Drawn {
    /// Nothing goes wrong.
    const CALM: Self = Self {
        wake_s: 20,
        loss_per_mille: 0,
        transfers_max: super::shop::TRANSFERS_MAX,
        sync_ms: 0,
        repeated_per_mille: 0,
        late_per_mille: 0,
        missing_per_mille: 0,
        label_faults_per_mille: 0,
        twins: 0,
        station_faults: 0,
        broker_faults: 0,
        crashes: 0,
        floor: false,
        burst_every_s: 0,
        burst_ms: 0,
        burst_loss_per_mille: 0,
        collisions: false,
        duty_percent: 100,
        small_memories: false,
    };

    /// Draws options.
    #[must_use]
    pub fn of(seed: u64, level: FaultLevel) -> Self {
        let mut dice = Dice::of(seed, *b"options ", 0);
        let mut up_to = |max: u64| dice.below(max + 1);
        let wakes = [5, 10, 20, 40];
        match level {
            FaultLevel::None => Self::CALM,
            FaultLevel::Mild => Self {
                wake_s: 20,
                loss_per_mille: 10 + up_to(40),
                transfers_max: 256,
                sync_ms: 2 + up_to(20),
                repeated_per_mille: 20,
                late_per_mille: 10,
                missing_per_mille: 2,
                label_faults_per_mille: 10,
                station_faults: up_to(1),
                broker_faults: up_to(1),
                floor: true,
                burst_every_s: 30,
                burst_ms: 200,
                burst_loss_per_mille: 500,
                collisions: true,
                ..Self::CALM
            },
            FaultLevel::Harsh => Self {
                wake_s: wakes[usize::try_from(up_to(3)).unwrap_or(0)],
                loss_per_mille: up_to(300),
                transfers_max: u16::try_from(4 + up_to(124)).unwrap_or(4),
                sync_ms: 1 + up_to(400),
                repeated_per_mille: up_to(300),
                late_per_mille: up_to(300),
                missing_per_mille: up_to(100),
                label_faults_per_mille: up_to(300),
                station_faults: up_to(6),
                broker_faults: up_to(4),
                crashes: up_to(4),
                floor: up_to(1) == 1,
                burst_every_s: up_to(60),
                burst_ms: 10 + up_to(5_000),
                burst_loss_per_mille: up_to(1_000),
                collisions: up_to(1) == 1,
                duty_percent: 10 + up_to(90),
                small_memories: up_to(1) == 1,
                twins: up_to(3),
            },
        }
    }

    /// The loss as a share.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_per_mille as f64 / 1_000.0
    }

    /// The rest of what radio messages go through.
    #[must_use]
    pub fn radio(&self) -> RadioOptions {
        let bursts = Bursts {
            every: Duration::from_secs(self.burst_every_s),
            length: Duration::from_millis(self.burst_ms),
            loss: self.burst_loss_per_mille as f64 / 1_000.0,
        };
        RadioOptions {
            floor: self.floor,
            bursts: (self.burst_every_s > 0).then_some(bursts),
            collisions: self.collisions,
            duty_cycle: self.duty_percent as f64 / 100.0,
        }
    }
}

/// Something that is done to a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Every price changes.
    Wave,
    /// Some prices are corrected.
    Correct,
    /// A promotion for some products is announced.
    Promote,
    /// What some products cost changes by the clock.
    Boundary(Vec<usize>),
    /// A label is hung somewhere else.
    Rebind,
    /// A label goes wrong.
    FailLabel,
    /// Another device with a label's id is hung.
    HangTwin,
    /// It is taken down.
    TakeTwinDown(usize),
    /// A label is well again.
    HealLabel(usize),
    /// A base station goes wrong.
    FailStation,
    /// A base station's line is back.
    Reconnect(usize),
    /// The broker is away for so long.
    FailBroker,
    /// The controller dies.
    Crash,
    /// A feed message comes.
    Deliver(crate::catalog::wire::Facet, String),
    /// A source is read whole.
    Reload(crate::catalog::wire::Facet),
}

/// What happens when: at one moment in the order in which it was planned.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeMap<(Moment, u64), Action>,
    planned: u64,
}

impl Agenda {
    /// What happens to a shop of so many labels and base stations in `span` from `start`, drawn.
    #[must_use]
    pub fn draw(dice: &mut Dice, drawn: &Drawn, start: Moment, span: Duration, shop: (usize, usize)) -> Self {
        let mut agenda = Self::default();
        let (labels, stations) = (shop.0 as u64, shop.1 as u64);
        let seconds = span.as_secs();
        let hourly = |rate: u64| (rate * seconds).div_ceil(3_600);
        let daily = |count: u64| ((count * seconds + DAY_S / 2) / DAY_S).max(1);
        // A day has three waves over every price, and forty promotions that name half of the products, once each: some four
        // refreshes of a label, which is also what the battery's worked example charges.
        let waves = daily(3);
        for wave in 0..waves {
            agenda.plan(start + Duration::from_secs(seconds * (2 * wave + 1) / (2 * waves)), Action::Wave);
        }
        let counts = [
            (Action::Promote, daily(40)),
            (Action::Correct, hourly(6)),
            (Action::Rebind, hourly(labels.div_ceil(100).min(MOVED_PER_HOUR_MAX))),
            (Action::FailLabel, (drawn.label_faults_per_mille * labels * seconds).div_ceil(3_600 * 1_000)),
            (Action::FailStation, hourly(drawn.station_faults * stations)),
            (Action::FailBroker, hourly(drawn.broker_faults)),
            (Action::Crash, hourly(drawn.crashes)),
            (Action::HangTwin, hourly(drawn.twins)),
        ];
        for (action, count) in counts {
            for _ in 0..count {
                let at = start + Duration::from_millis(dice.below(seconds * 1_000));
                let latest = if action == Action::Promote { start + span.saturating_sub(PROMOTION_MIN) } else { at };
                agenda.plan(at.min(latest), action.clone());
            }
        }
        agenda
    }

    /// Adds something.
    pub fn plan(&mut self, at: Moment, action: Action) {
        self.planned += 1;
        self.entries.insert((at, self.planned), action);
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due by `now`.
    pub fn take(&mut self, now: Moment) -> Option<Action> {
        let entry = self.entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Leaves out what would go wrong from now on; no label shares its id any more.
    pub fn calm(&mut self) {
        self.entries.retain(|_, action| {
            !matches!(
                action,
                Action::FailLabel
                    | Action::HangTwin
                    | Action::TakeTwinDown(_)
                    | Action::FailStation
                    | Action::FailBroker
                    | Action::Crash
            )
        });
    }
}
