//! What happened in a simulated shop, counted.

use std::ops::{AddAssign, Sub};

use gondola_protocol::message::Lane;
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

        /// What happened since an earlier count.
        impl Sub for Counters {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* }
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
    /// Their packed bytes.
    bytes_packed,
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
    /// Of those, the ones with nothing to say and nothing to fetch, which are no events.
    idle_wakes,
    /// Times that a label refreshed its glass.
    displayed,
    /// Bytes on the air between stations and labels, both ways, the lost ones included.
    bytes_on_air,
    /// Of those, polls, outcomes and reports.
    bytes_of_polls,
    /// Of those, pictures of the interactive lane.
    bytes_interactive,
    /// Of those, pictures of the price lane.
    bytes_price,
    /// Of those, pictures of the routine lane.
    bytes_routine,
    /// Blocks of picture data that the radio lost, whole or in part.
    blocks_lost,
    /// Polls that were not heard because other labels sent at the same time.
    collisions,
}

impl Counters {
    /// Something was on the air: for a picture of a lane, or a short message.
    pub(crate) const fn count_air(&mut self, lane: Option<Lane>, bytes: u64) {
        let sum = match lane {
            None => &mut self.bytes_of_polls,
            Some(Lane::Interactive) => &mut self.bytes_interactive,
            Some(Lane::Price) => &mut self.bytes_price,
            Some(Lane::Routine) => &mut self.bytes_routine,
        };
        *sum += bytes;
        self.bytes_on_air += bytes;
    }

    /// Labels woke so many times, each for a poll of so many bytes.
    pub(crate) const fn count_idle(&mut self, wakes: u64, bytes: u64) {
        self.wakes += wakes;
        self.idle_wakes += wakes;
        self.count_air(None, wakes * bytes);
    }
}
