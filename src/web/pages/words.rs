//! What states mean and what to do about them, in plain words.

use gondola_protocol::message::{Action, Status};

use crate::fleet::health::Health;
use crate::fleet::label::CommandState;

/// A health for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// One or two words.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
    /// What a person does about it.
    pub(super) action: &'static str,
}

/// What a health means.
pub(super) const fn health(health: Health) -> Words {
    let (name, meaning, action) = match health {
        Health::InSync => {
            ("In sync", "The label has proven that its glass shows the right picture.", "There is nothing to do.")
        }
        Health::Pending => (
            "Waiting",
            "A new picture is wanted, and the label waits for its turn.",
            "There is nothing to do: it goes out by itself.",
        ),
        Health::InFlight => (
            "On its way",
            "A new picture is on its way to the label.",
            "There is nothing to do: the label takes it when it wakes.",
        ),
        Health::Delivered => (
            "Delivered",
            "The label took the new picture and has not proven yet that it shows it.",
            "There is nothing to do: its next check-in tells.",
        ),
        Health::Stale => (
            "Wrong",
            "The label answers, but its glass has not agreed for more than 15 minutes.",
            "Put a paper price there, then look at its signal, its battery and its base station.",
        ),
        Health::Offline => (
            "Offline",
            "No base station has heard the label for more than 30 minutes.",
            "See whether it hangs there, whether its battery is empty and whether metal covers it.",
        ),
        Health::Faulty => (
            "Faulty",
            "The label cannot show its picture.",
            "Put a paper price there, and replace the label if the fault stays.",
        ),
        Health::Unbound => {
            ("Unbound", "The label shows no product.", "Bind it to a product, or leave it in the drawer.")
        }
    };
    Words { name, meaning, action }
}

/// Something that a label is told to do.
pub(super) const fn command(action: Action) -> &'static str {
    match action {
        Action::Ping => "checking in",
        Action::Identify => "showing its address",
        Action::Flash { .. } => "blinking",
        Action::Page { .. } => "another page",
        Action::Refresh => "a refresh",
        Action::Firmware => "its firmware's name",
        Action::Drop { .. } => "forgetting a picture",
    }
}

/// What became of it.
pub(super) const fn command_state(state: CommandState) -> &'static str {
    match state {
        CommandState::Waiting => "waits for room at a base station",
        CommandState::Sent(_) => "waits for the label to wake",
        CommandState::Over { status: Some(Status::Delivered), .. } => "is done",
        CommandState::Over { status: Some(Status::Unsupported), .. } => "is more than this label can do",
        CommandState::Over { status: Some(Status::Cancelled), .. } => "was withdrawn",
        CommandState::Over { .. } => "did not reach the label",
    }
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}

/// A text with its first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    first + chars.as_str()
}
