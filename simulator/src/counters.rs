//! What happened in a simulated shop, counted.

use std::ops::AddAssign;

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Sums over the whole shop since its start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl AddAssign for Counters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Frames that arrived at stations whole.
    frames_down,
    /// Frames that stations sent, the lost ones included.
    frames_up,
    /// Of `frames_down`, those that line noise took before the station looked at them.
    frames_lost_down,
    /// Of `frames_up`, those that line noise took.
    frames_lost_up,
    /// Pieces of the stream that were no frame, and messages that could not be read.
    frames_broken,
    /// Frames that a station dropped because nobody took what it sent.
    frames_dropped,
    /// Data frames that stations sent again.
    retransmissions,
    /// Times that stations lost power.
    reboots,
    /// Controllers that stations turned away.
    refusals,
    /// Frames with a seal that is not the controller's.
    frames_forged,
    /// Hellos that opened a session.
    sessions,
    /// Transfers that stations received.
    transfers,
    /// Of those, taken whole by their label.
    delivered,
    /// Kept by their label, to be shown later.
    staged,
    /// Cancelled or superseded.
    cancelled,
    /// Refused by a full station.
    no_room,
    /// Not fetched in time.
    expired,
    /// Refused by station or label for what they are: edition, panel, encoding or digest.
    refused,
    /// Dropped without a status because a new session began, or the station lost power.
    voided,
    /// Check-ins that stations forwarded.
    check_ins,
    /// Presence summaries that stations sent.
    presences,
    /// Times that labels woke up.
    wakes,
    /// Times that a label refreshed its glass.
    displayed,
    /// Bytes on the air between stations and labels, both ways, the lost ones included.
    bytes_on_air,
    /// Blocks of picture data that the radio lost.
    blocks_lost,
}
