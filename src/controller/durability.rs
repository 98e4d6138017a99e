//! How the journal keeps up, and what the store does while it does not: it shows what it knows and serves its labels,
//! but takes no request that it could not keep. What was acknowledged stands; what waits for the journal is refused,
//! and may be carried out all the same once the disk lets it.

use std::time::Duration;

use gondola_protocol::Moment;
use jiff::civil::Date;

use super::Controller;
use super::message::{Output, Publication, Refusal};
use crate::alert::{Cause, Rule};
use crate::instant::local_date;
use crate::journal::Position;

/// A batch that the journal does not hold after so long is as good as refused: whoever waits for an answer has a
/// time-out of his own. A disk takes milliseconds, a stalled one seconds.
const SLOW_MAX: Duration = Duration::from_secs(10);

/// Batches that the journal does not hold yet, past which no picture is sent that would add its proof to them: two
/// waves of a large store, some 30 MB.
const BEHIND_MAX: u64 = 65_536;

/// What the alert is about.
const SUBJECT: &str = "journal";

/// What is known of how the journal keeps up.
#[derive(Debug, Default)]
pub(super) struct Durability {
    /// Why it does not; none while it does.
    pub(super) trouble: Option<String>,
    /// Since when something waits for it.
    waiting_since: Option<Moment>,
    /// Its newest record that is durable.
    pub(super) head: Option<Position>,
    /// The day, in the store's zone, on which others were told of it.
    head_told: Option<Date>,
    /// What they were told, and when.
    pub(super) published: Option<(Position, Moment)>,
}

impl Controller {
    /// Why requests are refused because of the journal; none while they are not.
    #[must_use]
    pub fn journal_trouble(&self) -> Option<&str> {
        self.durability.trouble.as_deref()
    }

    /// How far the journal went when others were last told, and when that was.
    #[must_use]
    pub const fn published_head(&self) -> Option<(Position, Moment)> {
        self.durability.published
    }

    /// The journal cannot be written to, and says why; it goes on by itself once it can.
    pub(super) fn handle_journal_failed(&mut self, now: Moment, why: String) {
        self.durability.trouble = Some(why.clone());
        self.refuse_waiting(&why);
        self.raise(now, Rule::Journal, SUBJECT, Cause::Journal { why });
    }

    /// The journal holds more than before, or all.
    pub(super) fn note_synced(&mut self, now: Moment, head: Option<Position>) {
        self.durability.head = head.or(self.durability.head);
        self.durability.waiting_since = (self.synced < self.appended).then_some(now);
        if self.durability.trouble.take().is_some() {
            self.clear(now, Rule::Journal, SUBJECT);
        }
    }

    /// Something was put out for the journal.
    pub(super) fn note_appended(&mut self) {
        self.durability.waiting_since.get_or_insert(self.now);
    }

    /// A disk that stalls says nothing.
    pub(super) fn look_for_slowness(&mut self, now: Moment) {
        if self.slow_at().is_some_and(|at| at <= now) {
            self.handle_journal_failed(
                now,
                format!("the disk has taken more than {} s over a write", SLOW_MAX.as_secs()),
            );
        }
    }

    /// When the journal will have been silent for too long.
    pub(super) fn slow_at(&self) -> Option<Moment> {
        let Durability { trouble, waiting_since, .. } = &self.durability;
        waiting_since.filter(|_| trouble.is_none()).map(|since| since + SLOW_MAX)
    }

    /// Whether so much waits for the journal that nothing may be added to it.
    pub(super) fn is_far_behind(&self) -> bool {
        self.appended - self.synced > BEHIND_MAX
    }

    /// Tells others once a day, and after a start, how far the journal goes.
    pub(super) fn tell_journal_head(&mut self, now: Moment) {
        let today = local_date(now, &self.catalog.settings().time_zone);
        let is_news = |head: &Position| head.sequence > 0 && self.durability.head_told != Some(today);
        if let Some(head) = self.durability.head.filter(is_news) {
            self.durability.head_told = Some(today);
            self.durability.published = Some((head, now));
            self.outputs.push_back(Output::Publish(Publication::JournalHead { head, at: now }));
        }
    }

    /// Answers those who wait for the journal.
    fn refuse_waiting(&mut self, why: &str) {
        let refuse = |output: &mut Output| {
            let Output::Reply(ticket, reply) = output else { return None };
            // An answer that is a refusal already waits for nothing.
            reply.is_ok().then(|| Output::Reply(*ticket, Err(Refusal::Unsure(why.to_owned()))))
        };
        let mut refused = Vec::new();
        for waiting in [&mut self.after_sync, &mut self.after_flush] {
            waiting.retain_mut(|(_, output)| match refuse(output) {
                Some(refusal) => {
                    refused.push(refusal);
                    false
                }
                None => true,
            });
        }
        self.outputs.extend(refused);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gondola_protocol::LabelId;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::alert::rules::AlertRules;
    use crate::catalog::guard::GuardRules;
    use crate::catalog::settings::{Market, Settings};
    use crate::controller::StoreSettings;
    use crate::controller::message::{Answer, Input, LabelRequest, Ticket};
    use crate::journal::Hash32;
    use crate::template::Templates;
    use crate::template::view::StoreView;

    const START: Moment = Moment::from_secs(1_795_147_200);

    fn at(second: u64) -> Moment {
        START + Duration::from_secs(second)
    }

    fn controller() -> Controller {
        let text = str::to_owned;
        let view = StoreView { id: text("hz-001"), name: text("店"), format: text("community"), market: text("CN") };
        let time_zone = TimeZone::get("Asia/Shanghai").unwrap();
        let currency = "CNY".parse().unwrap();
        let catalog = Settings { currency, market: Market::China, time_zone, guard: GuardRules::default() };
        let settings = StoreSettings { view, catalog, stations: Vec::new(), alerts: AlertRules::default() };
        let mut controller = Controller::new(settings, Arc::new(Templates::embedded()), START);
        controller.resume(START, None, None);
        drain(&mut controller);
        controller
    }

    fn drain(controller: &mut Controller) -> Vec<Output> {
        std::iter::from_fn(|| controller.poll_output()).collect()
    }

    fn register(controller: &mut Controller, second: u64, ticket: Ticket) -> Vec<Output> {
        let (panel, position) = ("bwr-296x128".parse().unwrap(), Default::default());
        let request = LabelRequest::Register { label: LabelId(ticket), panel, position }.into();
        controller.handle(at(second), Input::Request { ticket, request });
        drain(controller)
    }

    fn replies(outputs: &[Output]) -> Vec<(Ticket, Result<Answer, Refusal>)> {
        let reply = |output: &Output| match output {
            Output::Reply(ticket, reply) => Some((*ticket, reply.clone())),
            _ => None,
        };
        outputs.iter().filter_map(reply).collect()
    }

    fn alerts(outputs: &[Output]) -> Vec<String> {
        let alert = |output: &Output| match output {
            Output::Publish(Publication::Alert(alert)) => Some(format!("{} {}", alert.id(), alert.state)),
            _ => None,
        };
        outputs.iter().filter_map(alert).collect()
    }

    fn synced(controller: &mut Controller, second: u64, batches: u64) -> Vec<Output> {
        controller.handle(at(second), Input::Synced { batches, head: None });
        drain(controller)
    }

    #[test]
    fn while_the_journal_fails_requests_are_refused_and_after_it_they_are_not() {
        let mut controller = controller();
        assert_eq!(replies(&register(&mut controller, 1, 1)), []);
        controller.handle(at(2), Input::JournalFailed("no space".to_owned()));
        let outputs = drain(&mut controller);
        assert_eq!(replies(&outputs), [(1, Err(Refusal::Unsure("no space".to_owned())))]);
        assert_eq!(alerts(&outputs), ["journal:journal raised"]);
        let outputs = register(&mut controller, 3, 2);
        assert_eq!(replies(&outputs), [(2, Err(Refusal::NotDurable("no space".to_owned())))]);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Append(_))));
        assert_eq!(controller.journal_trouble(), Some("no space"));
        // The journal went on, with what it had been given.
        assert_eq!(alerts(&synced(&mut controller, 4, 1)), ["journal:journal cleared"]);
        assert_eq!(replies(&register(&mut controller, 5, 3)), []);
        assert_eq!(replies(&synced(&mut controller, 5, 2)), [(3, Ok(Answer::Done))]);
        assert!(controller.fleet().label(LabelId(1)).is_some() && controller.fleet().label(LabelId(2)).is_none());
    }

    #[test]
    fn a_disk_that_says_nothing_for_long_is_in_trouble() {
        let mut controller = controller();
        register(&mut controller, 1, 1);
        assert_eq!(controller.poll_timeout(), Some(at(11)));
        controller.handle_timeout(at(10));
        assert_eq!(controller.journal_trouble(), None);
        controller.handle_timeout(at(11));
        let outputs = drain(&mut controller);
        assert!(matches!(&replies(&outputs)[..], [(1, Err(Refusal::Unsure(why)))] if why.contains("more than 10 s")));
        assert_eq!(alerts(&outputs), ["journal:journal raised"]);
        assert_eq!(alerts(&synced(&mut controller, 30, 1)), ["journal:journal cleared"]);
        assert_ne!(controller.poll_timeout(), Some(at(40)), "nothing waits any more");
    }

    #[test]
    fn the_journals_head_is_told_once_a_day() {
        let mut controller = controller();
        let mut told = Vec::new();
        // From noon on, over two midnights of the store.
        for hour in 1..=40_u64 {
            let head = Position { sequence: hour, hash: Hash32([0; 32]) };
            controller.handle(at(hour * 3_600), Input::Synced { batches: 0, head: Some(head) });
            controller.handle_timeout(at(hour * 3_600 + 60));
            told.extend(drain(&mut controller).iter().filter_map(|output| match output {
                Output::Publish(Publication::JournalHead { head, .. }) => Some(head.sequence),
                _ => None,
            }));
        }
        assert_eq!(told, [1, 12, 36]);
    }
}
