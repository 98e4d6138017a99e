//! The controller together with a simulated shop: on one virtual clock, and as a whole in one process.

pub mod demo;
pub mod glass;
pub mod harness;
pub mod publisher;
