//! Simulated labels, base stations and radio: a shop to drive a controller against.
//!
//! An independent reading of the wire crate `gondola-protocol`: nothing here knows the controller or its
//! drivers, so that a mistake in one is found by the other. What a simulated label shows is decoded from
//! the bytes that it received, and its digest is computed from what it decoded.
//!
//! | module | what it holds |
//! |---|---|
//! | [`world`] | [`World`]: the whole shop, pure, seeded, in virtual time |
//! | [`config`] | `sim.toml` |
//! | [`serve`] | the same world behind real TCP ports, and its control API |
//! | [`screen`] | what a glass shows, as a PNG |
//! | [`battery`] | what a label takes from its cell |
//! | [`checkers`] | what must be true of a controller and its shop, seen from outside |
//! | [`decode`] | the label's decoders |
//! | [`faults`] | what can be wrong with a label |
//! | [`floor`] | the shop's floor plan |
//! | [`openepaperlink`] | a radio and labels of that hardware |
//!
//! Invariants that say what is absent: no clock, socket, thread or random source outside [`serve`]; no
//! hash map whose order could leak; no platform mathematics. One seed and the same inputs at the same
//! moments give the same bytes on every machine.

pub mod battery;
pub mod checkers;
pub mod config;
mod counters;
pub mod decode;
mod dice;
pub mod faults;
pub mod floor;
mod label;
mod link;
pub mod openepaperlink;
mod propagation;
mod radio;
pub mod screen;
pub mod serve;
mod station;
#[cfg(test)]
mod tests;
mod uplink;
mod waiting;
pub mod world;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use dice::Dice;
pub use faults::{Fault, FaultError};
pub use floor::{Floor, FloorPlan, Place, Shelf};
pub use label::{LabelMemory, LabelOptions, LabelState};
pub use link::Bursts;
pub use radio::{RadioOptions, airtime};
pub use serve::{Handle, ServeError, Serving, serve};
pub use station::StationOptions;
pub use world::{Device, Observation, World, WorldOptions};
