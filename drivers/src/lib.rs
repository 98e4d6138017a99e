//! Drivers for electronic shelf label base stations: the controller's side of shelflink, our reference protocol, and of
//! OpenEPaperLink's radios.
//!
//! Shelflink is specified in `protocol/README.md`. Pure state machines take `now` and bytes and give
//! bytes, events and time-outs; one shell moves them over a socket.
//!
//! | module | what it holds |
//! |---|---|
//! | [`head`] | [`Head`], one base station as the controller sees it: the next three joined |
//! | [`session`] | hello, welcome, silence |
//! | [`link`] | numbered messages: window, acks, retransmission |
//! | [`batch`] | pictures collected into messages |
//! | [`clock`] | how fast a station's clock runs |
//! | [`encode`] | pictures packed for the radio |
//! | [`action`] | what labels are told to do, in the words of no family |
//! | [`openepaperlink`] | the same for radios and labels of OpenEPaperLink |
//! | [`family`] | the two behind one face |
//! | [`station`] | shell: the task that owns one station |
//! | [`transport`] | shell: the ways to a station |
//! | [`priority`] | which threads let others go first |

pub mod action;
pub mod batch;
pub mod clock;
pub mod encode;
pub mod family;
pub mod head;
pub mod link;
pub mod openepaperlink;
pub mod priority;
mod reconnect;
pub mod session;
pub mod station;
pub mod transport;

pub use action::Action;
pub use family::DriverOptions;
pub use head::{Ahead, Counters, Dropped, Head, HeadEvent, HeadOptions, Outcome, Picture, Room, Telemetry};
pub use session::DownReason;
pub use station::{Outage, StationHandle, StationOptions, StationOrder, spawn};
pub use transport::Transport;
