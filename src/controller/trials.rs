//! Templates that change while the store works, and drafts of them that single labels show first.
//!
//! A trial is kept in memory alone: it ends by itself, with a new binding of its label, with a restart, and when what was
//! tried has become the template. The label's picture is then looked at anew, and goes back to what it should be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment};

use super::Controller;
use super::message::Refusal;
use crate::fleet::label::Label;
use crate::template::Templates;

/// How long a label shows a draft: a walk to the shelf and a talk before it.
pub const TRIAL_TIME: Duration = Duration::from_mins(30);

/// Trials of a store at once, each with some 200 KiB of compiled templates: more labels than that is a change of templates.
pub const TRIALS_MAX: usize = 16;

/// A draft of a template.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The template's name.
    pub template: String,
    /// The templates with the draft among them.
    pub templates: Arc<Templates>,
}

impl Draft {
    fn text(&self) -> Option<&str> {
        self.templates.text(&self.template)
    }
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.template == other.template && self.text() == other.text()
    }
}

impl Eq for Draft {}

/// A draft that a label shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The draft.
    pub draft: Draft,
    /// When it ends.
    pub until: Moment,
}

/// The trials of one store, by label: at most [`TRIALS_MAX`].
#[derive(Debug, Default)]
pub struct Trials(BTreeMap<LabelId, Trial>);

impl Trials {
    /// The draft that a label shows.
    #[must_use]
    pub fn of(&self, label: LabelId) -> Option<&Trial> {
        self.0.get(&label)
    }

    /// Every label that shows a draft.
    pub fn all(&self) -> impl Iterator<Item = (LabelId, &Trial)> {
        self.0.iter().map(|(label, trial)| (*label, trial))
    }

    pub(super) fn end(&mut self, label: LabelId) {
        self.0.remove(&label);
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.0.values().map(|trial| trial.until).min()
    }
}

impl Controller {
    /// The drafts that labels show.
    #[must_use]
    pub fn trials(&self) -> &Trials {
        &self.trials
    }

    /// The templates that hold.
    #[must_use]
    pub fn templates(&self) -> &Arc<Templates> {
        &self.templates
    }

    pub(super) fn use_templates(&mut self, templates: Arc<Templates>) {
        self.templates = templates;
        let now_holds = |Trial { draft, .. }: &Trial| self.templates.text(&draft.template) == draft.text();
        self.trials.0.retain(|_, trial| !now_holds(trial));
        self.fleet.labels_mut().for_each(Label::forget_looks);
        self.look_at_all();
    }

    /// Begins or ends a trial, where the label can show it.
    pub(super) fn decide_trial(&mut self, now: Moment, id: LabelId, draft: Option<Draft>) -> Result<(), Refusal> {
        let label = self.fleet.label(id).ok_or(Refusal::UnknownLabel(id))?;
        if let Some(draft) = draft {
            let binding = label.binding.as_ref().ok_or(Refusal::NotBound(id))?;
            draft.templates.scene(&draft.template, &self.view(&binding.skus, now), label.panel)?;
            if self.trials.0.len() >= TRIALS_MAX && self.trials.of(id).is_none() {
                return Err(Refusal::TooManyTrials);
            }
            self.trials.0.insert(id, Trial { draft, until: now + TRIAL_TIME });
        } else {
            self.trials.end(id);
        }
        self.look_at_trial(id);
        Ok(())
    }

    pub(super) fn end_trials(&mut self, now: Moment) {
        let over = |trial: &Trial| trial.until <= now || trial.until > now + TRIAL_TIME;
        let ended: Vec<LabelId> = self.trials.all().filter(|(_, trial)| over(trial)).map(|(label, _)| label).collect();
        for label in ended {
            self.trials.end(label);
            self.look_at_trial(label);
        }
    }

    fn look_at_trial(&mut self, id: LabelId) {
        if let Some(label) = self.fleet.label_mut(id) {
            label.forget_looks();
            self.look_again(id, Lane::Interactive);
            self.changed.insert(id);
        }
    }
}

#[cfg(test)]
mod tests;
