//! What comes from the sources: change messages, snapshots, gaps in their numbers, and how their reloads went.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::Moment;

use super::Controller;
use super::message::{Changed, Freshness, Notice, Output, ReloadReason, ReloadReport};
use crate::alert::{Cause, Rule};
use crate::catalog::sequence::{News, Sequence};
use crate::catalog::wire::{Facet, Row};
use crate::catalog::{Applied, SnapshotPart, Status};

/// Rows below what is known are counted over this long.
const REGRESSED_SPAN: Duration = Duration::from_mins(10);

/// So many of them are no late messages any more: a broker's queue holds some dozens back.
const REGRESSED_MAX: u32 = 100;

/// A facet that is fetched at all is fetched at the start and each day.
const RELOADED_WITHIN: Duration = Duration::from_hours(48);

/// What is known of the sources of a store, beside what they say.
#[derive(Debug, Default)]
pub struct Sources {
    sequences: BTreeMap<Facet, Sequence>,
    regressed: BTreeMap<Facet, (Moment, u32)>,
    reloads: BTreeMap<Facet, ReloadState>,
    /// When this run began to hear of them.
    watched_since: Option<Moment>,
}

/// How the reloads of a facet went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadState {
    /// When the last one ended.
    pub ended_at: Moment,
    /// What it brought, or why it failed.
    pub outcome: Result<ReloadReport, String>,
    /// When the last one that did not fail ended.
    pub succeeded_at: Option<Moment>,
}

impl Sources {
    /// How the last reload of a facet went.
    #[must_use]
    pub fn reload(&self, facet: Facet) -> Option<&ReloadState> {
        self.reloads.get(&facet)
    }

    /// The facets that were reloaded, and how that went.
    pub fn reloads(&self) -> impl Iterator<Item = (Facet, &ReloadState)> {
        self.reloads.iter().map(|(facet, state)| (*facet, state))
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.sequences.values().filter_map(Sequence::poll_timeout).min()
    }
}

impl Controller {
    pub(super) fn handle_feed(&mut self, now: Moment, facet: Facet, rows: Vec<Row>, seqs: &[u64]) {
        let applied = self.apply(now, rows);
        let is_news = |applied: &Applied| matches!(applied.status, Status::Applied | Status::Held(_));
        let news = if applied.iter().any(is_news) { News::Some } else { News::None };
        if !seqs.is_empty() {
            self.sources.sequences.entry(facet).or_default().note(now, seqs, news);
            self.look_for_gaps(now);
        }
    }

    /// Applies rows, and says what a person should know of them.
    pub(super) fn apply(&mut self, now: Moment, rows: Vec<Row>) -> Vec<Applied> {
        let applied: Vec<Applied> = rows.into_iter().map(|row| self.catalog.apply(now, row)).collect();
        for applied in &applied {
            self.note_applied(now, applied);
        }
        applied
    }

    pub(super) fn handle_snapshot(&mut self, now: Moment, part: SnapshotPart) {
        if let SnapshotPart::Begin { facet, seq: Some(seq), .. } = part {
            self.sources.sequences.entry(facet).or_default().close(seq);
        }
        for applied in self.catalog.take_snapshot(now, part) {
            self.note_applied(now, &applied);
        }
    }

    pub(super) fn note_applied(&mut self, now: Moment, applied: &Applied) {
        match &applied.status {
            Status::Regressed { stored } => {
                self.count_regressed(now, applied.key.facet());
                self.notice(Notice::Regressed { row: applied.key.clone(), stored: *stored });
            }
            Status::Refused(refusal) => {
                self.notice(Notice::RefusedRow { row: applied.key.clone(), reason: refusal.to_string() });
            }
            Status::Applied | Status::Unchanged | Status::Held(_) | Status::Rejected => {}
        }
        self.follow_held(now, &applied.key);
    }

    fn count_regressed(&mut self, now: Moment, facet: Facet) {
        let (since, count) = self.sources.regressed.entry(facet).or_insert((now, 0));
        if now.since(*since) >= REGRESSED_SPAN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count == REGRESSED_MAX {
            let minutes = REGRESSED_SPAN.as_secs() / 60;
            let cause = Cause::Regressed { rows: REGRESSED_MAX, minutes };
            self.raise(now, Rule::Regressed, facet.as_str(), cause);
        }
    }

    /// What was said of sources in an earlier run counts from now on, so that it is forgiven in time.
    pub(super) fn recall_sources(&mut self, now: Moment) {
        for subject in self.alerts.subjects(Rule::Regressed) {
            match subject.parse() {
                Ok(facet) => _ = self.sources.regressed.insert(facet, (now, REGRESSED_MAX)),
                Err(_) => self.clear(now, Rule::Regressed, &subject),
            }
        }
        self.sources.watched_since = Some(now);
    }

    /// A source that has sent no such rows for a while is in order, and one that has not been reloaded for days is
    /// reloaded no more.
    pub(super) fn forgive_sources(&mut self, now: Moment) {
        let over = self.sources.regressed.extract_if(.., |_, (since, _)| now.since(*since) >= REGRESSED_SPAN);
        let over: Vec<Facet> = over.map(|(facet, _)| facet).collect();
        for facet in over {
            self.clear(now, Rule::Regressed, facet.as_str());
        }
        if self.sources.watched_since.is_some_and(|since| now.since(since) >= RELOADED_WITHIN) {
            for subject in self.alerts.subjects(Rule::ReloadFailed) {
                if subject.parse().ok().is_none_or(|facet| self.sources.reload(facet).is_none()) {
                    self.clear(now, Rule::ReloadFailed, &subject);
                }
            }
        }
    }

    /// A gap in a source's numbers is mended by a reload of its facet.
    pub(super) fn look_for_gaps(&mut self, now: Moment) {
        let sequences = self.sources.sequences.iter_mut();
        let gaps: Vec<Facet> =
            sequences.filter_map(|(facet, sequence)| sequence.take_gap(now).then_some(*facet)).collect();
        for facet in gaps {
            self.notice(Notice::Gap(facet));
            self.outputs.push_back(Output::Reload { facet, why: ReloadReason::Gap });
        }
    }

    pub(super) fn handle_reload_ended(&mut self, now: Moment, facet: Facet, outcome: Result<ReloadReport, String>) {
        match &outcome {
            Ok(_) => self.clear(now, Rule::ReloadFailed, facet.as_str()),
            Err(reason) => {
                self.raise(now, Rule::ReloadFailed, facet.as_str(), Cause::ReloadFailed { why: reason.clone() });
            }
        }
        let before = self.sources.reloads.get(&facet).and_then(|state| state.succeeded_at);
        let succeeded_at = if outcome.is_ok() { Some(now) } else { before };
        self.jobs.note_reload(facet, &outcome);
        self.sources.reloads.insert(facet, ReloadState { ended_at: now, outcome, succeeded_at });
        self.outputs.push_back(Output::Changed(Changed::Store));
    }
}

impl ReloadReport {
    /// In words, for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.freshness {
            Freshness::Unmodified => "nothing newer".to_owned(),
            Freshness::Applied if self.invalid > 0 => format!("{} rows, {} of them invalid", self.rows, self.invalid),
            Freshness::Applied => format!("{} rows", self.rows),
        }
    }
}
