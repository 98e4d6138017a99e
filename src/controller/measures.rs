//! What is measured of the store as a whole: its accuracy each minute, and how long pictures take to the glass.

use gondola_protocol::{LabelId, Moment};

use super::Controller;
use crate::fleet::accuracy::{Accuracy, Sample};
use crate::fleet::battery;
use crate::fleet::label::Label;
use crate::journal::Entry;

impl Controller {
    /// The store's accuracy, now and over time.
    #[must_use]
    pub fn accuracy(&self) -> &Accuracy {
        &self.accuracy
    }

    /// Days until a label's battery is empty; none while it has not said how it is.
    #[must_use]
    pub fn battery_days(&self, label: &Label) -> Option<u32> {
        let pictures = self.accuracy.pictures_a_day().unwrap_or(battery::PICTURES_A_DAY);
        Some(battery::days_left(label.battery_mv?, pictures))
    }

    /// How many labels are bound, and how many of them agree.
    #[must_use]
    pub fn sample(&self, now: Moment) -> Sample {
        let mut sample = Sample { at: now, bound: 0, agreeing: 0 };
        for label in self.fleet.labels().filter(|label| label.binding.is_some()) {
            sample.bound += 1;
            sample.agreeing += u32::from(label.is_in_sync() && !label.may_have_switched(now));
        }
        sample
    }

    /// None while nothing is bound, nor while it is not known of every label what it should show.
    pub(super) fn next_sample(&self) -> Option<Moment> {
        let is_bound = self.fleet.bound_skus().next().is_some();
        (is_bound && !self.is_looking()).then(|| self.accuracy.poll_timeout())
    }

    /// Takes the minute's sample if it is due. One in an hour goes into the journal, so that the week survives a
    /// restart.
    pub(super) fn take_sample(&mut self, now: Moment) {
        if self.next_sample().is_none_or(|due| due > now) {
            return;
        }
        if let Some(Sample { bound, agreeing, .. }) = self.accuracy.note(self.sample(now)) {
            self.append(vec![Entry::Accuracy { bound, agreeing }]);
        }
    }

    /// A label has proven a picture: was it the desired one, and how long was that wanted?
    pub(super) fn measure_wait(&mut self, now: Moment, id: LabelId) {
        let wanted = |label: &Label| {
            let (desired, reported) = (label.desired.as_ref()?, label.reported.as_ref()?);
            (desired.digest == Some(reported.digest)).then_some(desired.since)
        };
        if let Some(since) = self.fleet.label(id).and_then(wanted) {
            self.accuracy.note_wait(now, now.since(since));
        }
    }
}
