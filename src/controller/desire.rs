//! What a label should show, now and at the next instant at which that changes: compared with what it was last meant
//! to show. Everything else follows from the difference.

use std::sync::Arc;

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment};

use super::message::Notice;
use super::{Controller, SWITCHES_MAX};
use crate::fleet::ahead::{AHEAD_MAX, Switch, Upcoming};
use crate::fleet::label::{Content, Desired, Doubt, Label, Look, Unproven};
use crate::template::{RenderKey, SceneError};

use super::evidence::PROOF_WAIT;

/// What a label should show from an instant on.
struct Looked {
    content: Content,
    template: Arc<str>,
    look: Look,
}

impl Controller {
    /// Compares what a label should show with what it was last meant to show, where that may have changed.
    pub(super) fn set_desired(&mut self, now: Moment, id: LabelId, lane: Lane) {
        let Some(label) = self.fleet.label(id) else { return };
        if label.desired.as_ref().is_some_and(|desired| self.is_known(label, &desired.look, now)) {
            return self.forgive(id);
        }
        let come = label.upcoming.as_deref().filter(|upcoming| label.has_come(now, upcoming.desired.content.key));
        if come.is_some_and(|upcoming| self.is_known(label, &upcoming.desired.look, now)) {
            self.switch(now, id);
            return self.forgive(id);
        }
        let looked = match self.look(label, now) {
            Ok(looked) => looked,
            Err(error) => return self.set_fault(id, error.to_string()),
        };
        let Some(label) = self.fleet.label_mut(id) else { return };
        let Some(looked) = looked else {
            label.desired = None;
            return self.cancel(id);
        };
        let has_come = label.has_come(now, looked.content.key);
        match &mut label.desired {
            Some(desired) if desired.content.key == looked.content.key => desired.say(looked),
            _ if has_come => {
                if let Some(upcoming) = &mut label.upcoming {
                    upcoming.desired.say(looked);
                }
                self.switch(now, id);
            }
            _ => {
                label.desired = Some(label.newly_desired(now, looked, lane, now));
                label.cool_down = None;
                self.cancel(id);
                self.changed.insert(id);
            }
        }
        self.forgive(id);
    }

    /// Compares what a label should show at the next boundary of its products with what it was last meant to show then.
    pub(super) fn set_upcoming(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label(id) else { return };
        let at = label.desired.as_ref().and_then(|desired| desired.look.until).filter(|at| *at <= now + AHEAD_MAX);
        let edition = label.desired.as_ref().map(|desired| desired.edition);
        let is_ahead =
            |upcoming: &Upcoming| Some(upcoming.activate_at()) == at && Some(upcoming.desired.edition) > edition;
        let known = label.upcoming.as_deref().filter(|upcoming| is_ahead(upcoming));
        if known.is_some_and(|upcoming| self.is_known(label, &upcoming.desired.look, upcoming.activate_at())) {
            return;
        }
        let differs =
            |looked: &Looked| label.desired.as_ref().is_some_and(|desired| desired.content.key != looked.content.key);
        let next = at.and_then(|at| Some((at, self.look(label, at).ok().flatten().filter(differs)?)));
        let Some(label) = self.fleet.label_mut(id) else { return };
        let Some((at, looked)) = next else {
            if label.upcoming.take().is_some() {
                self.cancel_stage(id);
            }
            return;
        };
        match label.upcoming.as_deref_mut().filter(|upcoming| is_ahead(upcoming)) {
            Some(known) if known.desired.content.key == looked.content.key => known.desired.say(looked),
            _ => {
                let desired = label.newly_desired(now, looked, Lane::Price, at);
                label.upcoming = Some(Box::new(Upcoming { desired, is_unsupported: false }));
                self.cancel_stage(id);
            }
        }
    }

    /// What a label should show at an instant; none when it is unbound.
    fn look(&self, label: &Label, at: Moment) -> Result<Option<Looked>, SceneError> {
        let Some((binding, scene)) = label.binding.as_ref().zip(self.scene(label, at)?) else { return Ok(None) };
        let boundaries = binding.skus.iter().filter_map(|sku| self.catalog.next_change(sku, at));
        let shown = binding.skus.iter().map(|sku| self.catalog.shown(sku, at)).collect();
        Ok(Some(Looked {
            content: label.sharing(Content { key: scene.key(), shown }),
            template: Arc::clone(scene.template()),
            look: Look { version: self.catalog.version(), from: at, until: boundaries.min() },
        }))
    }

    /// Whether looking at `at` would see what was seen: neither a change nor a boundary of the label's products lies
    /// between.
    fn is_known(&self, label: &Label, look: &Look, at: Moment) -> bool {
        let skus = label.binding.as_ref().map_or(&[][..], |binding| &binding.skus);
        look.from <= at
            && look.until.is_none_or(|until| at < until)
            && skus.iter().all(|sku| self.catalog.is_unchanged_since(look.version, sku))
    }

    /// The instant of a label's upcoming picture has come: from now on it is the desired one. A label that keeps it
    /// shows it by itself, which is awaited; any other is sent it.
    fn switch(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let is_kept = label.keeps_upcoming();
        let Some(upcoming) = label.upcoming.take() else { return };
        let desired = upcoming.desired;
        let under_way = label.under_way.as_mut().filter(|under_way| under_way.activate_at == Some(desired.since));
        if let Some(under_way) = under_way {
            // A label that comes for it from now on shows it at once.
            under_way.activate_at = None;
        } else {
            self.cancel(id);
        }
        let Some(label) = self.fleet.label_mut(id) else { return };
        if is_kept && let Some(digest) = desired.digest {
            let (edition, content, until) = (desired.edition, desired.content.clone(), now + PROOF_WAIT);
            let doubt = Doubt::Switching;
            label.set_unproven(Unproven { digest, edition, content, doubt, until, earlier: Vec::new() });
            label.kept = None;
        }
        let at = desired.since;
        label.cool_down = None;
        label.desired = Some(desired);
        self.changed.insert(id);
        self.count_switch(at, is_kept);
    }

    fn count_switch(&mut self, at: Moment, is_staged: bool) {
        if self.switches.back().is_none_or(|last| last.at != at) {
            if self.switches.len() == SWITCHES_MAX {
                self.switches.pop_front();
            }
            self.switches.push_back(Switch { at, labels: 0, staged: 0, is_told: false });
        }
        if let Some(switch) = self.switches.back_mut() {
            switch.labels += 1;
            switch.staged += usize::from(is_staged);
        }
    }

    /// Tells how the switches went that have just taken place.
    pub(super) fn tell_switches(&mut self) {
        for switch in self.switches.iter_mut().filter(|switch| !switch.is_told) {
            switch.is_told = true;
            self.outputs.push_back(super::message::Output::Notice(Notice::Switched(*switch)));
        }
    }

    /// A label that agrees has no fault any more, whatever the fault was.
    fn forgive(&mut self, id: LabelId) {
        let is_blamed = |label: &&mut Label| label.refusals > 0 || label.fault.is_some();
        if let Some(label) = self.fleet.label_mut(id).filter(is_blamed).filter(|label| label.is_in_sync()) {
            label.refusals = 0;
            if label.fault.take().is_some() {
                self.changed.insert(id);
            }
        }
    }
}

impl Label {
    /// A picture that is wanted since an instant, with a number of its own.
    fn newly_desired(&mut self, now: Moment, looked: Looked, lane: Lane, since: Moment) -> Desired {
        let Looked { content, template, look } = looked;
        Desired { content, look, edition: self.next_edition(now), digest: None, template, since, lane }
    }

    /// The same, without a second copy of what the label has proven to show, which it is as a rule.
    fn sharing(&self, content: Content) -> Content {
        let proven = self.reported.as_ref().and_then(|reported| reported.content.as_ref());
        proven.filter(|proven| **proven == content).cloned().unwrap_or(content)
    }

    /// Whether this is the upcoming picture, and its instant has come.
    fn has_come(&self, now: Moment, key: RenderKey) -> bool {
        let edition = self.desired.as_ref().map(|desired| desired.edition);
        self.upcoming.as_deref().is_some_and(|upcoming| {
            upcoming.activate_at() <= now
                && upcoming.desired.content.key == key
                && Some(upcoming.desired.edition) > edition
        })
    }
}

impl Desired {
    /// The same picture, of which it is known anew what it says.
    fn say(&mut self, looked: Looked) {
        self.content = looked.content;
        self.look = looked.look;
    }
}

#[cfg(test)]
mod tests;
