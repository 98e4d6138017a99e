//! What labels are told to do beside showing pictures, in the words of no family.

use gondola_protocol::message::{self, LightColour, Pattern};

/// Something that a label is told to do at its next wake. Each family knows some of it; the rest ends as
/// [`Status::Unsupported`](message::Status::Unsupported).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Report.
    Ping,
    /// Show its own address for 30 s, then the picture again.
    Identify,
    /// Blink.
    Flash {
        /// In which colour.
        colour: LightColour,
        /// How.
        pattern: Pattern,
        /// For how long, in seconds.
        seconds: u16,
    },
    /// Show what is in a slot, until told otherwise; 0 is the picture of the last transfer.
    Page {
        /// The slot, 0 to [`SLOTS_MAX`](message::SLOTS_MAX).
        slot: u8,
    },
    /// Drive the glass anew with the picture that it shows.
    Refresh,
    /// Tell its firmware's name and version.
    Firmware,
    /// Forget what is in a slot: the switch to it is off.
    Drop {
        /// The slot, 1 to [`SLOTS_MAX`](message::SLOTS_MAX).
        slot: u8,
    },
    /// Start anew.
    Reboot,
    /// Look for the base station that it hears best.
    Scan,
    /// Sleep until somebody presses its button or takes its battery out.
    Sleep,
}

impl Action {
    /// The same in shelflink, which does not know all of it.
    #[must_use]
    pub const fn in_shelflink(self) -> Option<message::Action> {
        Some(match self {
            Self::Ping => message::Action::Ping,
            Self::Identify => message::Action::Identify,
            Self::Flash { colour, pattern, seconds } => message::Action::Flash { colour, pattern, seconds },
            Self::Page { slot } => message::Action::Page { slot },
            Self::Refresh => message::Action::Refresh,
            Self::Firmware => message::Action::Firmware,
            Self::Drop { slot } => message::Action::Drop { slot },
            Self::Reboot | Self::Scan | Self::Sleep => return None,
        })
    }
}
