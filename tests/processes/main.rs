//! The programs as they are shipped, against each other: a stock Mosquitto, `gondola run`, `gondola simulator
//! serve`, and the commands that read beside them.
//!
//! Every test has its own directory, ports and processes. Nothing sleeps: a test waits for a condition, bounded
//! by [`process::PATIENCE`], and when it fails the last lines of every process's log are printed.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

mod backup;
mod broker;
mod commands;
mod crash;
mod feed;
mod glass;
mod journal;
mod outage;
mod process;
mod radio;
mod readme;
mod shop;
mod stop;
mod storm;
mod tls;
