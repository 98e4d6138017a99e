//! Devices that answer to the id of another label, as two of one batch do when their maker has slipped.

use gondola_protocol::{LabelId, Moment};

use super::{Actor, Hung, Reverse, World};
use crate::faults::{Fault, FaultError};

/// Which of two devices with one id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The label of the options.
    #[default]
    Own,
    /// The one that was hung beside it.
    Twin,
}

impl World {
    /// Another device with a label's id hangs beside it from now on, in place of an earlier one: white, and with a crystal
    /// and a battery of its own. Both call the station as the same label, and what it offers goes to whoever comes.
    ///
    /// Everything that names a label means the one of the options. Of the other one [`World::poll_observation`] tells, and
    /// the sums of [`World::counters`].
    ///
    /// # Errors
    /// No such label.
    pub fn hang_twin(&mut self, now: Moment, label: LabelId) -> Result<(), FaultError> {
        self.take_twin_down(now, label)?;
        let Hung { label: own, station, .. } = &mut self.labels[self.label_by_id[&label]];
        let (twin, station) = (own.twin(self.now, &self.radio), *station);
        let (seen, due) = (twin.observation(self.now), twin.due());
        let at = match self.twins.get(&label) {
            Some(at) => {
                self.labels[*at].label = twin;
                *at
            }
            None => {
                let at = self.labels.len();
                self.labels.push(Hung { label: twin, station });
                self.present_at.push(self.now);
                self.within_reach[station].push(at);
                self.twins.insert(label, at);
                at
            }
        };
        self.agenda.push(Reverse((due, Actor::Label(at))));
        self.observe(Some(seen));
        self.drop_void_entries();
        Ok(())
    }

    /// The other device with a label's id, if there is one, is heard of no more.
    ///
    /// # Errors
    /// No such label.
    pub fn take_twin_down(&mut self, now: Moment, label: LabelId) -> Result<(), FaultError> {
        if !self.label_by_id.contains_key(&label) {
            return Err(FaultError::UnknownLabel(label));
        }
        self.handle_timeout(now);
        if let Some(at) = self.twins.get(&label).copied() {
            self.rouse_label(at, self.now);
            let _ = self.labels[at].label.set_fault(self.now, Some(Fault::Deaf));
            self.drop_void_entries();
        }
        Ok(())
    }

    /// How many labels the options have: they hang before all others.
    pub(super) fn own_labels(&self) -> usize {
        self.label_by_id.len()
    }
}
