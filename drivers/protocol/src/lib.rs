//! The types and wire formats that a Gondola controller and a base station share.
//!
//! No I/O, no clock and no async runtime live here: a program for a desktop, a simulator and (with the
//! README as its specification) a microcontroller read the same bytes. Encoders of pictures belong to
//! the controller's drivers and decoders to the label's side; neither is in this crate.
//!
//! | module | what it holds |
//! |---|---|
//! | [`moment`] | [`Moment`], the instant that every decision is given |
//! | [`id`] | labels, stations, stores, editions and other small values |
//! | [`panel`] | size and colours of a display |
//! | [`planes`] | a picture as packed bitplanes, and its digest |
//! | [`compact`] | the format and the trained weights of the compact encodings |
//! | [`frame`] | COBS frames with CRC-32C over a byte stream |
//! | [`message`] | what the frames say: the shelflink messages |
//! | [`auth`] | keyed sessions: keys, nonces and seals |
//! | [`text`] | reading values from their text, and serde by it |

pub mod auth;
pub mod compact;
pub mod frame;
pub mod id;
pub mod message;
pub mod moment;
pub mod panel;
pub mod planes;
pub mod text;

pub use id::{Edition, LabelId, Millivolts, SequenceNumber, SessionId, StationId, StoreId, TransferNumber};
pub use moment::Moment;
pub use panel::{Colours, Ink, Panel};
pub use planes::{Digest, Planes};
