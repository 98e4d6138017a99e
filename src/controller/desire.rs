//! What a label should show, now and at the next instant at which that changes: compared with what it was last meant
//! to show. Everything else follows from the difference.

use std::sync::Arc;

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment};

use super::message::Notice;
use super::{Controller, SWITCHES_MAX};
use crate::catalog::Catalog;
use crate::fleet::ahead::{AHEAD_MAX, Switch, Upcoming};
use crate::fleet::label::{Content, Desired, Doubt, Label, Look, Trouble, Unproven};
use crate::template::{RenderKey, SceneError};

use super::evidence::PROOF_WAIT;

/// What a label should show from an instant on.
struct Looked {
    content: Content,
    template: Arc<str>,
    look: Look,
}

impl Controller {
    /// Finds what a label should show now and next, and gives it its place in line.
    pub(super) fn look_at(&mut self, now: Moment, id: LabelId, lane: Lane) {
        self.set_pictures(now, id, lane);
        self.queue(now, id);
    }

    /// Compares what a label should show, now and at the next boundary of its products, with what it was last meant to
    /// show, where that may have changed.
    pub(super) fn set_pictures(&mut self, now: Moment, id: LabelId, lane: Lane) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let followed = label.follow(&self.catalog, now);
        let looks_ahead = label.upcoming.is_some() || label.boundary_ahead(now).is_some();
        match followed {
            Followed::Same => {}
            Followed::Forgiven => {
                self.changed.insert(id);
            }
            Followed::Switched(switched) => self.note_switch(id, &switched),
            Followed::Unknown => {
                self.desire_anew(now, id, lane);
                return self.set_upcoming(now, id);
            }
        }
        if looks_ahead {
            self.set_upcoming(now, id);
        }
    }

    /// Finds what a label should show now, and compares it with what it was last meant to show.
    fn desire_anew(&mut self, now: Moment, id: LabelId, lane: Lane) {
        let Some(label) = self.fleet.label(id) else { return };
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
            Some(desired) if desired.content.key == looked.content.key => {
                desired.say(looked);
                if label.forgive() {
                    self.changed.insert(id);
                }
            }
            _ if has_come => {
                if let Some(upcoming) = &mut label.upcoming {
                    upcoming.desired.say(looked);
                }
                if let Some(switched) = label.switch(now) {
                    self.note_switch(id, &switched);
                }
            }
            _ => {
                label.desired = Some(label.newly_desired(now, looked, lane, now));
                label.relieve(|trouble| trouble.cool_down = None);
                let _ = label.forgive();
                self.cancel(id);
                self.changed.insert(id);
            }
        }
    }

    /// Compares what a label should show at the next boundary of its products with what it was last meant to show then.
    fn set_upcoming(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let Some(at) = label.boundary_ahead(now) else {
            if label.upcoming.take().is_some() {
                self.cancel_stage(id);
            }
            return;
        };
        let edition = label.desired.as_ref().map(|desired| desired.edition);
        let is_ahead = |upcoming: &Upcoming| upcoming.activate_at() == at && Some(upcoming.desired.edition) > edition;
        let known = label.upcoming.as_deref().filter(|upcoming| is_ahead(upcoming));
        if known.is_some_and(|upcoming| is_known(&self.catalog, label, &upcoming.desired.look, at)) {
            return;
        }
        let Some(label) = self.fleet.label(id) else { return };
        let differs =
            |looked: &Looked| label.desired.as_ref().is_some_and(|desired| desired.content.key != looked.content.key);
        let next = self.look(label, at).ok().flatten().filter(differs);
        let Some(label) = self.fleet.label_mut(id) else { return };
        let Some(looked) = next else {
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

    fn note_switch(&mut self, id: LabelId, switched: &Switched) {
        if switched.overtakes {
            self.cancel(id);
        }
        self.changed.insert(id);
        self.count_switch(switched.at, switched.is_kept);
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
}

/// Whether looking at `at` would see what was seen: neither a change nor a boundary of the label's products lies between.
fn is_known(catalog: &Catalog, label: &Label, look: &Look, at: Moment) -> bool {
    let skus = label.binding.as_ref().map_or(&[][..], |binding| &binding.skus);
    look.from <= at
        && look.until.is_none_or(|until| at < until)
        && skus.iter().all(|sku| catalog.is_unchanged_since(look.version, sku))
}

/// What became of a label's desired picture, where that is known without drawing it up anew.
enum Followed {
    /// It stays.
    Same,
    /// It stays, and its label has a fault no more.
    Forgiven,
    /// The instant of the upcoming picture has come.
    Switched(Switched),
    /// That is not known.
    Unknown,
}

/// How a label's upcoming picture became the desired one.
struct Switched {
    /// Since when it is.
    at: Moment,
    /// Whether the label keeps it, and shows it by itself.
    is_kept: bool,
    /// Whether what is under way is another picture.
    overtakes: bool,
}

impl Label {
    /// Keeps its desired picture or takes up its upcoming one, where one of them is known to be what it should show.
    fn follow(&mut self, catalog: &Catalog, now: Moment) -> Followed {
        let is_known = |desired: &Desired| is_known(catalog, self, &desired.look, now);
        if self.desired.as_ref().is_some_and(is_known) {
            return if self.forgive() { Followed::Forgiven } else { Followed::Same };
        }
        let come = self.upcoming.as_deref().map(|upcoming| &upcoming.desired);
        if come.is_some_and(|desired| self.has_come(now, desired.content.key) && is_known(desired)) {
            return self.switch(now).map_or(Followed::Unknown, Followed::Switched);
        }
        Followed::Unknown
    }

    /// The next boundary of its products, if it is near enough for a picture to be sent ahead.
    fn boundary_ahead(&self, now: Moment) -> Option<Moment> {
        self.desired.as_ref()?.look.until.filter(|at| *at <= now + AHEAD_MAX)
    }

    /// The instant of the upcoming picture has come: from now on it is the desired one. A label that keeps it shows it by
    /// itself, which is awaited; any other is sent it.
    fn switch(&mut self, now: Moment) -> Option<Switched> {
        let is_kept = self.keeps_upcoming();
        let desired = self.upcoming.take()?.desired;
        let at = desired.since;
        let overtakes = match &mut self.under_way {
            Some(under_way) if under_way.activate_at == Some(at) => {
                // A label that comes for it from now on shows it at once.
                under_way.activate_at = None;
                false
            }
            under_way => under_way.is_some(),
        };
        if is_kept && let Some(digest) = desired.digest {
            let (edition, content, until) = (desired.edition, desired.content.clone(), now + PROOF_WAIT);
            let doubt = Doubt::Switching;
            self.set_unproven(Unproven { digest, edition, content, doubt, until, earlier: Vec::new() });
            self.kept = None;
        }
        self.relieve(|trouble| trouble.cool_down = None);
        self.desired = Some(desired);
        let _ = self.forgive();
        Some(Switched { at, is_kept, overtakes })
    }

    /// A label that agrees has no fault any more, whatever the fault was. Answers whether it had one.
    fn forgive(&mut self) -> bool {
        let (is_blamed, is_refused) = (self.trouble().fault.is_some(), self.trouble().refusals > 0);
        let is_forgiven = (is_blamed || is_refused) && self.is_in_sync();
        if is_forgiven {
            self.relieve(Trouble::forget_blame);
        }
        is_forgiven && is_blamed
    }

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
