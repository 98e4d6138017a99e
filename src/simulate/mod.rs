//! The controller together with a simulated shop: on one virtual clock, and as a whole in one process.

pub mod chain;
pub mod demo;
pub mod draw;
pub mod drawing;
pub mod glass;
pub mod harness;
pub mod merchandise;
pub mod plot;
pub mod publisher;
pub mod report;
pub mod scenario;
pub mod shop;
pub mod simulation;
pub mod wave;
