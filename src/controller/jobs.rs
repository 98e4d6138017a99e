//! Pushes and reloads that somebody asked for, and how far they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment};

use super::Controller;
use super::message::{Output, PushMode, PushOrder, Reach, ReloadReason, ReloadReport};
use crate::catalog::wire::Facet;
use crate::fleet::Fleet;
use crate::fleet::health::Health;

/// Jobs that are remembered: what people look back on in a day.
const JOBS_MAX: usize = 100;

/// The jobs of one store, of this run.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: VecDeque<(u64, Job)>,
    last: u64,
}

/// Something that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Labels that are looked at, and sent what differs.
    Push(Push),
    /// Facets that are reloaded.
    Reload(ReloadJob),
}

/// A push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// When it was asked for.
    pub asked_at: Moment,
    /// How.
    pub mode: PushMode,
    /// The labels that it concerns.
    pub labels: BTreeSet<LabelId>,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushProgress {
    /// Labels that it concerns and that are still there.
    pub total: usize,
    /// Of those, proven to agree.
    pub in_sync: usize,
    /// Of those, faulty.
    pub failed: usize,
}

/// What a push would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushPreview {
    /// Labels that it concerns.
    pub total: usize,
    /// Of those, the ones that would get a picture, or whose picture is on its way already.
    pub sent: BTreeSet<LabelId>,
}

/// Reloads that were asked for together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadJob {
    /// When they were asked for.
    pub asked_at: Moment,
    /// How each went; none as long as it is under way.
    pub facets: BTreeMap<Facet, Option<Result<ReloadReport, String>>>,
}

impl Jobs {
    /// A job by its number; none if it never was, or long ago.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Job> {
        self.jobs.iter().find(|(known, _)| *known == number).map(|(_, job)| job)
    }

    fn add(&mut self, job: Job) -> u64 {
        self.last += 1;
        if self.jobs.len() >= JOBS_MAX {
            self.jobs.pop_front();
        }
        self.jobs.push_back((self.last, job));
        self.last
    }

    /// A reload ended: every job that waits for it knows.
    pub(super) fn note_reload(&mut self, facet: Facet, outcome: &Result<ReloadReport, String>) {
        for (_, job) in &mut self.jobs {
            if let Job::Reload(ReloadJob { facets, .. }) = job
                && let Some(waiting @ None) = facets.get_mut(&facet)
            {
                *waiting = Some(outcome.clone());
            }
        }
    }
}

impl Push {
    /// How far it is at `now`.
    #[must_use]
    pub fn progress(&self, fleet: &Fleet, now: Moment) -> PushProgress {
        let mut progress = PushProgress::default();
        for label in self.labels.iter().filter_map(|id| fleet.label(*id)) {
            progress.total += 1;
            progress.in_sync += usize::from(label.is_in_sync());
            progress.failed += usize::from(Health::of(label, now) == Health::Faulty);
        }
        progress
    }
}

impl Controller {
    pub(super) fn start_reload(&mut self, now: Moment, facets: Vec<Facet>) -> u64 {
        for facet in &facets {
            self.outputs.push_back(Output::Reload { facet: *facet, why: ReloadReason::Asked });
        }
        let facets = facets.into_iter().map(|facet| (facet, None)).collect();
        self.jobs.add(Job::Reload(ReloadJob { asked_at: now, facets }))
    }

    /// What a push would do, as things stand.
    #[must_use]
    pub fn preview_push(&self, order: &PushOrder) -> PushPreview {
        let mut sent = self.reached(order);
        let total = sent.len();
        if order.mode != PushMode::Resend {
            sent.retain(|id| self.fleet.label(*id).is_some_and(|label| !label.is_in_sync()));
        }
        PushPreview { total, sent }
    }

    pub(super) fn start_push(&mut self, now: Moment, order: PushOrder) -> u64 {
        let mut labels = self.reached(&order);
        if order.mode == PushMode::Incremental {
            labels.retain(|id| self.fleet.label(*id).is_some_and(|label| !label.is_in_sync()));
        }
        for id in &labels {
            if order.mode == PushMode::Resend {
                self.demand(now, *id);
            }
            self.look_again(*id, Lane::Routine);
        }
        self.jobs.add(Job::Push(Push { asked_at: now, mode: order.mode, labels }))
    }

    /// The bound labels that an order concerns.
    fn reached(&self, order: &PushOrder) -> BTreeSet<LabelId> {
        let is_bound = |id: &LabelId| self.fleet.label(*id).is_some_and(|label| label.binding.is_some());
        if !order.skus.is_empty() || !order.labels.is_empty() {
            let of_skus = order.skus.iter().flat_map(|sku| self.fleet.labels_of(sku));
            return of_skus.chain(order.labels.iter().copied().filter(is_bound)).collect();
        }
        let skus = self.fleet.bound_skus();
        let sold = skus.filter(|sku| order.reach == Reach::Store || self.catalog.is_in_assortment(sku));
        sold.flat_map(|sku| self.fleet.labels_of(sku)).collect()
    }

    /// The label's picture is to be sent again, under a number of its own.
    fn demand(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        label.renumber(now);
        let resend = label.desired.as_ref().map(|desired| desired.edition);
        let trouble = label.trouble_mut();
        (trouble.resend, trouble.cool_down) = (resend, None);
        self.cancel(id);
        self.changed.insert(id);
    }
}
