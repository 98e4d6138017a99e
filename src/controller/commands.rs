//! What labels are told to do beside showing pictures, and what became of it.

use gondola_drivers::Action;
use gondola_drivers::head::Outcome;
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{LabelId, Moment, StationId, TransferNumber};

use super::evidence::SILENCE_WAIT;
use super::message::{Output, Refusal};
use super::{Booking, Controller};
use crate::fleet::ahead::SLOT;
use crate::fleet::label::{Command, CommandState, CoolDown, Label};

impl Controller {
    /// Puts labels in line for something that they are to do, in place of what they were told before and have not
    /// done.
    pub(super) fn decide_command(&mut self, now: Moment, labels: &[LabelId], action: Action) -> Result<(), Refusal> {
        for id in labels {
            self.fleet.label(*id).ok_or(Refusal::UnknownLabel(*id))?;
        }
        for id in labels {
            let Some(label) = self.fleet.label_mut(*id) else { continue };
            let command = Command { action, asked_at: now, state: CommandState::Waiting };
            let before = label.command.replace(Box::new(command));
            if let Some(CommandState::Sent(number)) = before.map(|before| before.state)
                && let Some(Booking { station, .. }) = self.transfers.get(&number)
            {
                self.outputs.push_back(Output::Cancel(station.clone(), number));
            }
            self.look_again(*id, Lane::Interactive);
            self.changed.insert(*id);
        }
        Ok(())
    }

    /// Hands what a label is to do to its base station.
    pub(super) fn send_command(&mut self, id: LabelId, station: &StationId) {
        let action = |label: &Label| label.command.as_ref().map(|command| command.action);
        let Some(action) = self.fleet.label(id).and_then(action) else { return };
        let number = self.book(id, station, 0, Some(action));
        if let Some(command) = self.fleet.label_mut(id).and_then(|label| label.command.as_mut()) {
            command.state = CommandState::Sent(number);
        }
        self.put_out_command(station, action, Lane::Interactive, number, id);
    }

    /// Tells a label to forget the picture that it keeps.
    pub(super) fn send_drop(&mut self, id: LabelId, station: &StationId) {
        let action = Action::Drop { slot: SLOT };
        let number = self.book(id, station, 0, Some(action));
        if let Some(kept) = self.fleet.label_mut(id).and_then(|label| label.kept.as_mut()) {
            kept.is_dropping = true;
        }
        self.put_out_command(station, action, Lane::Price, number, id);
    }

    /// Labels that are told the same through the same station one after the other are told with one message.
    fn put_out_command(
        &mut self,
        station: &StationId,
        action: Action,
        lane: Lane,
        number: TransferNumber,
        id: LabelId,
    ) {
        if let Some(Output::Command { station: other, action: same, labels, .. }) = self.outputs.back_mut()
            && (&*other, *same) == (station, action)
        {
            labels.push((number, id));
        } else {
            let labels = vec![(number, id)];
            self.outputs.push_back(Output::Command { station: station.clone(), action, lane, labels });
        }
    }

    /// A label has done what it was told, or never will.
    pub(super) fn handle_command_outcome(
        &mut self,
        now: Moment,
        id: LabelId,
        number: TransferNumber,
        action: Action,
        outcome: Outcome,
    ) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let status = match outcome {
            Outcome::Status(status) => Some(status),
            Outcome::Taken { .. } => Some(Status::Delivered),
            Outcome::Lost => None,
        };
        if action == (Action::Drop { slot: SLOT }) {
            // Unsupported: there is nothing in the slot.
            if matches!(status, Some(Status::Delivered | Status::Unsupported)) {
                label.kept = None;
            } else if let Some(kept) = &mut label.kept {
                kept.is_dropping = false;
                label.trouble_mut().cool_down = Some(CoolDown::Silence(now + SILENCE_WAIT));
            }
        }
        if let Some(command) = label.command.as_mut().filter(|command| command.state == CommandState::Sent(number)) {
            command.state = CommandState::Over { at: now, status };
        }
    }
}
