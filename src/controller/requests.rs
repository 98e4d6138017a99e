//! Requests: registrations and bindings. A reply leaves only after the journal holds what it confirms.

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment, Panel};

use super::Controller;
use super::message::{Answer, ENROLMENT_MAX, LabelRequest, Output, Refusal, Request, Ticket, UnknownSkus};
use crate::alert::{self, Rule};
use crate::catalog::Applied;
use crate::catalog::approvals::{HeldId, Verdict};
use crate::catalog::sku::Sku;
use crate::fleet::accuracy::Sample;
use crate::fleet::label::{Binding, Label, SKUS_MAX};
use crate::journal::entry::{Entry, Position};

impl Controller {
    pub(super) fn handle_request(&mut self, now: Moment, ticket: Ticket, request: Request) {
        if let Some(why) = self.journal_trouble() {
            let refusal = Refusal::NotDurable(why.to_owned());
            return self.outputs.push_back(Output::Reply(ticket, Err(refusal)));
        }
        match request {
            Request::Apply { rows } => {
                let rows = self.apply(now, rows);
                self.owed.push(Output::Reply(ticket, Ok(Answer::Rows(rows))));
            }
            Request::Push(order) => {
                let number = self.start_push(now, order);
                self.reply(ticket, Answer::Started(number));
            }
            Request::Command { labels, action } => match self.decide_command(now, &labels, action) {
                Ok(()) => self.reply(ticket, Answer::Done),
                Err(refusal) => self.outputs.push_back(Output::Reply(ticket, Err(refusal))),
            },
            Request::Reload { facets } => {
                let number = self.start_reload(now, facets);
                self.reply(ticket, Answer::Started(number));
            }
            Request::Try { label, draft } => match self.decide_trial(now, label, draft) {
                Ok(()) => self.reply(ticket, Answer::Done),
                Err(refusal) => self.outputs.push_back(Output::Reply(ticket, Err(refusal))),
            },
            Request::Enrol { within } => {
                self.enrols_until = now + within.min(ENROLMENT_MAX);
                self.reply(ticket, Answer::Done);
            }
            Request::Label(request) => self.enact(now, ticket, self.decide_label(request)),
            Request::Decide { id, verdict } => self.enact(now, ticket, self.decide_held(id, verdict)),
            Request::Acknowledge { rule, subject, by } => match self.alerts.get(rule, &subject) {
                // The first who looks after it stands.
                Some(known) if known.acknowledged.is_some() => self.reply(ticket, Answer::Done),
                _ => self.enact(now, ticket, self.decide_acknowledged(now, rule, &subject, by)),
            },
        }
    }

    fn reply(&mut self, ticket: Ticket, answer: Answer) {
        self.put_out_after_sync(Output::Reply(ticket, Ok(answer)));
    }

    /// Carries out a decision, or says why there is none.
    fn enact(&mut self, now: Moment, ticket: Ticket, decision: Result<Entry, Refusal>) {
        match decision {
            Err(refusal) => self.outputs.push_back(Output::Reply(ticket, Err(refusal))),
            Ok(entry) => {
                // In the journal a decision stands before everything that follows from it.
                self.append(vec![entry.clone()]);
                if let Some(applied) = self.carry_out(now, &entry) {
                    self.note_applied(now, &applied);
                }
                if let Entry::Alert(alert) = entry {
                    self.tell_alert(alert);
                }
                self.reply(ticket, Answer::Done);
            }
        }
    }

    fn decide_held(&self, id: HeldId, verdict: Verdict) -> Result<Entry, Refusal> {
        match self.catalog.held_by_id(id) {
            Some(held) => Ok(Entry::Decided { row: held.row.key.clone(), revision: held.row.revision, verdict }),
            None if self.catalog.was_held(id) => Err(Refusal::NotHeld(id)),
            None => Err(Refusal::UnknownHeld(id)),
        }
    }

    fn decide_acknowledged(&self, now: Moment, rule: Rule, subject: &str, by: String) -> Result<Entry, Refusal> {
        let acknowledged = self.alerts.acknowledged(now, rule, subject, by);
        acknowledged.map(Entry::Alert).ok_or_else(|| Refusal::NoAlert(alert::id(rule, subject)))
    }

    /// What a request comes to, or why it does not.
    fn decide_label(&self, request: LabelRequest) -> Result<Entry, Refusal> {
        match request {
            LabelRequest::Register { label, panel, position } => match self.fleet.label(label) {
                Some(known) if known.panel != panel => {
                    Err(Refusal::OtherPanel { label, registered: known.panel, asked: panel })
                }
                _ => Ok(Entry::Registered { label, panel, position }),
            },
            LabelRequest::Remove { label } => self.registered(label).map(|_| Entry::Removed { label }),
            LabelRequest::Bind { label, skus, template, unknown } => {
                self.registered(label)?;
                self.check_skus(&skus, unknown)?;
                self.check_template(template.as_deref())?;
                Ok(Entry::Bound { label, skus, template })
            }
            LabelRequest::Unbind { label } => self.registered(label).map(|_| Entry::Unbound { label }),
            LabelRequest::Replace { label, with } => self.decide_exchange(label, with),
        }
    }

    fn decide_exchange(&self, label: LabelId, with: LabelId) -> Result<Entry, Refusal> {
        let old = self.registered(label)?;
        if label == with {
            return Err(Refusal::SameLabel);
        }
        let Some(Binding { skus, template }) = old.binding.clone() else {
            return Err(Refusal::NothingToTakeOver(label));
        };
        let known = self.fleet.label(with);
        if let Some(binding) = known.and_then(|known| known.binding.as_ref()) {
            return Err(Refusal::Bound(with, binding.skus.to_vec()));
        }
        let seen = || self.fleet.seen().find(|(seen, _)| *seen == with).map(|(_, seen)| seen.said.panel);
        // A device that nobody has heard yet is taken for one of the same kind.
        let with_panel = known.map(|known| known.panel).or_else(seen).unwrap_or(old.panel);
        let (panel, position) = (old.panel, old.position.clone());
        Ok(Entry::Replaced { label, panel, with, with_panel, position, skus: skus.to_vec(), template })
    }

    fn registered(&self, label: LabelId) -> Result<&Label, Refusal> {
        self.fleet.label(label).ok_or(Refusal::UnknownLabel(label))
    }

    fn check_skus(&self, skus: &[Sku], unknown: UnknownSkus) -> Result<(), Refusal> {
        if skus.is_empty() || skus.len() > SKUS_MAX {
            return Err(Refusal::SkuCount(skus.len()));
        }
        let untold: Vec<Sku> = skus.iter().filter(|sku| self.catalog.product(sku).is_none()).cloned().collect();
        if unknown == UnknownSkus::Refuse && !untold.is_empty() {
            return Err(Refusal::UnknownSkus(untold));
        }
        Ok(())
    }

    fn check_template(&self, template: Option<&str>) -> Result<(), Refusal> {
        let Some(template) = template else { return Ok(()) };
        if self.templates.names().any(|name| name == template) {
            return Ok(());
        }
        Err(Refusal::UnknownTemplate(template.to_owned(), self.templates.names().map(str::to_owned).collect()))
    }

    /// Does what an entry says: for a request that was just decided, and for the journal's at start. Answers the rows that
    /// it has applied.
    pub(super) fn carry_out(&mut self, now: Moment, entry: &Entry) -> Option<Applied> {
        match entry {
            Entry::Registered { label, panel, position } => self.register(*label, *panel, position),
            Entry::Removed { label } => {
                self.rebind(*label, None);
                self.cancel(*label);
                self.fleet.remove_label(*label);
                self.changed.insert(*label);
            }
            Entry::Bound { label, skus, template } => {
                self.rebind(*label, Some(Binding { skus: skus.clone().into(), template: template.clone() }));
            }
            Entry::Unbound { label } => self.rebind(*label, None),
            Entry::Prices { points } => points.iter().for_each(|point| self.catalog.restore_price(point.clone())),
            Entry::Replaced { label, with, with_panel, position, skus, template, .. } => {
                self.register(*with, *with_panel, position);
                self.rebind(*with, Some(Binding { skus: skus.clone().into(), template: template.clone() }));
                self.rebind(*label, None);
                if let Some(label) = self.fleet.label_mut(*label) {
                    label.position = Position::default();
                }
            }
            Entry::Alert(alert) => self.alerts.take(alert.clone()),
            Entry::Decided { row, revision, verdict } => {
                return self.catalog.decide(now, row, *revision, *verdict);
            }
            Entry::Accuracy { bound, agreeing } => {
                self.accuracy.recall(Sample { at: now, bound: *bound, agreeing: *agreeing });
            }
            Entry::Proof { label, digest, edition, key, shown, previous_until: _ } => {
                self.recall_proof(now, *label, *digest, *edition, *key, shown);
            }
            Entry::Confirmed { labels } => self.recall_confirmations(labels),
            // The process's own journal has these.
            Entry::Account(_) => {}
        }
        None
    }

    fn register(&mut self, label: LabelId, panel: Panel, position: &Position) {
        if let Some(known) = self.fleet.label_mut(label) {
            known.position = position.clone();
        } else if let Some(seen) = self.fleet.add_label(Label::new(label, panel, position.clone())) {
            self.handle_word(seen.at, &seen.station, &seen.said, seen.shows);
        }
        self.changed.insert(label);
    }

    fn rebind(&mut self, label: LabelId, binding: Option<Binding>) {
        let old = self.fleet.label(label).and_then(|label| label.binding.clone());
        self.fleet.bind(label, binding.clone());
        // Whoever binds a label wants to see what it should show.
        self.trials.end(label);
        self.told.unconfirmed.extend(old.into_iter().chain(binding).flat_map(|binding| binding.skus));
        self.look_again(label, Lane::Interactive);
        self.changed.insert(label);
    }
}
