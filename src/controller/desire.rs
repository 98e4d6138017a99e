//! What a label should show, now and at the next instant at which that changes: compared with what it was last meant
//! to show. Everything else follows from the difference.

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment};

use super::message::Notice;
use super::{Controller, SWITCHES_MAX};
use crate::fleet::ahead::{AHEAD_MAX, Switch, Upcoming};
use crate::fleet::label::{Content, Desired, Doubt, Label, Unproven};
use crate::journal::entry::Shown;
use crate::template::Scene;

use super::evidence::PROOF_WAIT;

impl Controller {
    /// Compares what a label should show with what it was last meant to show.
    pub(super) fn set_desired(&mut self, now: Moment, id: LabelId, lane: Lane) -> Option<Scene> {
        let label = self.fleet.label(id)?;
        let scene = match self.scene(label, now) {
            Ok(scene) => scene,
            Err(error) => {
                self.set_fault(id, error.to_string());
                return None;
            }
        };
        let shown = self.shown(label, now);
        let label = self.fleet.label_mut(id)?;
        let Some(scene) = scene else {
            label.desired = None;
            self.cancel(id);
            return None;
        };
        match &mut label.desired {
            Some(desired) if desired.content.key == scene.key() => desired.content.shown = shown,
            _ => {
                let content = Content { key: scene.key(), shown };
                if label.has_come(now, &content) {
                    self.switch(now, id, content);
                } else {
                    label.desired = Some(label.newly_desired(now, content, &scene, lane, now));
                    label.cool_down = None;
                    self.cancel(id);
                }
                self.changed.insert(id);
            }
        }
        self.forgive(id);
        Some(scene)
    }

    /// Compares what a label should show at the next boundary of its products with what it was last meant to show then.
    /// Answers the picture, if it is another than the desired one.
    pub(super) fn set_upcoming(&mut self, now: Moment, id: LabelId) -> Option<Scene> {
        let label = self.fleet.label(id)?;
        let next = self.upcoming(label, now);
        let label = self.fleet.label_mut(id)?;
        let Some((at, scene, shown)) = next else {
            if label.upcoming.take().is_some() {
                self.cancel_stage(id);
            }
            return None;
        };
        let edition = label.desired.as_ref().map(|desired| desired.edition);
        match label.upcoming.as_deref_mut() {
            Some(known)
                if known.activate_at() == at
                    && known.desired.content.key == scene.key()
                    && Some(known.desired.edition) > edition =>
            {
                known.desired.content.shown = shown;
            }
            _ => {
                let content = Content { key: scene.key(), shown };
                let desired = label.newly_desired(now, content, &scene, Lane::Price, at);
                label.upcoming = Some(Box::new(Upcoming { desired, is_unsupported: false }));
                self.cancel_stage(id);
            }
        }
        Some(scene)
    }

    /// What a label is to show from the next boundary of its products on, if that is near and shows in its picture.
    fn upcoming(&self, label: &Label, now: Moment) -> Option<(Moment, Scene, Vec<Shown>)> {
        let desired = label.desired.as_ref()?;
        self.catalog.poll_timeout().filter(|first| *first <= now + AHEAD_MAX)?;
        let skus = &label.binding.as_ref()?.skus;
        let boundaries = skus.iter().filter_map(|sku| self.catalog.shelf_price(sku, now).next_change);
        let at = boundaries.min().filter(|at| *at <= now + AHEAD_MAX)?;
        let scene = self.scene(label, at).ok().flatten()?;
        (scene.key() != desired.content.key).then(|| (at, scene, self.shown(label, at)))
    }

    fn shown(&self, label: &Label, at: Moment) -> Vec<Shown> {
        let skus = label.binding.as_ref().map_or(&[][..], |binding| &binding.skus);
        skus.iter().map(|sku| self.catalog.shown(sku, at)).collect()
    }

    /// The instant of a label's upcoming picture has come: from now on it is the desired one. A label that keeps it
    /// shows it by itself, which is awaited; any other is sent it.
    fn switch(&mut self, now: Moment, id: LabelId, content: Content) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let is_kept = label.keeps_upcoming();
        let Some(upcoming) = label.upcoming.take() else { return };
        let desired = Desired { content, ..upcoming.desired };
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
        if let Some(label) = self.fleet.label_mut(id).filter(|label| label.is_in_sync()) {
            label.refusals = 0;
            if label.fault.take().is_some() {
                self.changed.insert(id);
            }
        }
    }
}

impl Label {
    /// A picture that is wanted since an instant, with a number of its own.
    fn newly_desired(&mut self, now: Moment, content: Content, scene: &Scene, lane: Lane, since: Moment) -> Desired {
        let (edition, template) = (self.next_edition(now), scene.template().to_owned());
        Desired { content, edition, digest: None, template, since, lane }
    }

    /// Whether this is the upcoming picture, and its instant has come.
    fn has_come(&self, now: Moment, content: &Content) -> bool {
        let edition = self.desired.as_ref().map(|desired| desired.edition);
        self.upcoming.as_deref().is_some_and(|upcoming| {
            upcoming.activate_at() <= now
                && upcoming.desired.content.key == content.key
                && Some(upcoming.desired.edition) > edition
        })
    }
}
