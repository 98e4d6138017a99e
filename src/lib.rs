//! Gondola: an electronic shelf label (ESL) controller with fleet management.
//!
//! The picture on a shelf edge is a pure function of the catalog, the bindings, the templates and the clock.
//! Gondola's only job is to make the glass agree, and to be able to prove that it did. This page is the map
//! of how it does that: first from above, then room by room, then what holds everywhere.
//!
//! # From above
//!
//! ```text
//!  merchandise system                                 people and programs
//!        │ change messages (MQTT), snapshots (HTTP, files)   │ REST, pages
//!        ▼                                                   ▼
//!   run::feed ──rows──► ┌──────────────────────────────────────────────┐ ◄──requests, reads── web
//!                       │ controller  (one per store, pure)            │
//!                       │   catalog ─► shelf price at t                │
//!                       │   fleet: bindings, desired, reported         │
//!                       │   template: view ─► scene ─► render key      │
//!                       │   planner: who is next at which station      │
//!                       └──────────────────────────────────────────────┘
//!      outputs:  Append │      Store │      Render │     Send │     Acknowledge, Reply, Publish, Reload, Changed
//!                       ▼            ▼             ▼          ▼
//!                   journal       storage       render     gondola-drivers: head ─ line ─► base station ~ label
//!                   (truth)       (view)       (pixels)       │
//!                       └── Synced ──┴─ Stored ────┴ Rendered ┴── check-ins, outcomes: evidence ──► controller
//! ```
//!
//! A price change goes once around this loop. The feed's row is applied to the catalog; the labels bound to
//! the product are looked at again; a label whose *render key* changed gets a new *desired* picture with a
//! new *edition*; it stands in line before the base station that hears it; when the station has room, the
//! picture is drawn, packed, as the difference to what the label has proven to show where that is known, and
//! sent; the label wakes, takes it, decodes it, refreshes its glass and reports the digest that it computed
//! from what it shows. That report, and nothing else, becomes a proof in the journal and makes the label *in
//! sync*.
//!
//! # Room by room
//!
//! | module | what it holds | what it never does |
//! |---|---|---|
//! | [`controller`] | one store's state and every decision; `handle`, `poll_output`, `poll_timeout` | I/O, clocks, waiting |
//! | [`catalog`] | feed rows and snapshots, products from four sources, promotions, the shelf price at an instant, price history, held changes | know of labels |
//! | [`fleet`] | labels, base stations, bindings; health, derived | decide what is sent |
//! | [`confirmation`] | how far the shelf is with a product's price, derived from proofs | say more than was proven |
//! | [`alert`] | what a person should look into, raised, acknowledged and cleared once; when measures are trouble; what a receiver is told next | measure, send |
//! | [`accounts`] | users, roles, API tokens, sessions, and who did what | know a password, or what a route needs |
//! | [`planner`] | what a label needs now, and the lines before the base stations | remember pictures |
//! | [`template`] | XML and rules, parsed once; a view becomes a scene, its render key says when pixels differ | touch pixels |
//! | [`render`] | a scene becomes packed planes | see products, fail on content |
//! | [`journal`] | the hash-chained record: registrations, bindings, proofs of display; sealed segments and checkpoints | rewrite |
//! | [`storage`] | sled: the write-behind view, pictures by digest; the data directory's lock and backups | be the only home of anything |
//! | [`run`] | the shells: MQTT in and out, webhooks, full reloads, store task, versions of templates, ways to base stations, render threads, clock, telemetry, start and stop | decide |
//! | [`web`] | pages, REST, server-sent events, metrics; one table of routes says who may use which | keep state of a shop |
//! | [`config`] | the configuration file, all of its problems at once | be global |
//! | [`cli`] | one file per command | be called by anything but `main` |
//! | `simulate` | the virtual-time harness, stores through simulated hours and their report; the demonstration with its check of every glass | ship with a build without the feature `simulator` |
//!
//! Beside this crate: `gondola-protocol` (wire types of shelflink and the values that both ends share: no I/O,
//! no clock), `gondola-drivers` (the controller's end: link, session, batches and encoders, pure, and the task
//! that owns a station; the same for radios of OpenEPaperLink, whose labels prove a picture only when they are asked
//! again), `gondola-simulator` (labels, stations and radio as an independent reading of the
//! protocol; it sees neither drivers nor controller).
//!
//! # What holds everywhere
//!
//! - **Level-triggered.** Work is found by comparing desired with reported. A message, a timer or a restart
//!   only says "look again"; there is no queue of updates to replay. Every label is looked at again on a period, so many in
//!   a turn that nobody waits for it.
//! - **Evidence only.** `reported` changes in one place, where a label's check-in is taken in. Sending, an
//!   acknowledgement, a delivery change what is *under way* or *unproven*, never what is reported.
//! - **Newest wins.** A label has at most one transfer. A newer picture cancels it; editions only grow.
//! - **One owner for each second chance.** Retransmission: the drivers' link. A new connection: the drivers'
//!   station task, and the feed for its broker. Another reload: the reload's schedule. Another delivery: the webhook's
//!   task. A new decision: the planner's cool-downs. Nothing else repeats.
//! - **Durable before acknowledged.** A request is answered, and other systems are told, after the journal's fsync; a
//!   feed message is acknowledged to the broker after the view has flushed it, and the view gets nothing that rests on
//!   a record of the journal which is not synced. The journal's thread commits in groups.
//! - **Everything is bounded.** Each queue and map has a constant with its reason. Pictures are never queued:
//!   a label in line is an id, and its pixels are made when a station has room.
//! - **There is no clock** outside `run::clock`, **no sled** outside `storage`, **no decision** in `run`, and
//!   **no state of a shop** in `web`. Tests in `tests/workspace.rs` hold the edges.
//!
//! The same holds one step ahead: a picture that promotions will bring within two hours is *upcoming*; a label's word on
//! what it *keeps* is compared with it, and the difference is sent ahead or told to be forgotten. At its instant the
//! upcoming picture becomes the desired one, and a label that keeps it shows it by itself.
//!
//! The same core runs in production and in virtual time: `simulate::harness` is `run::store` with a loop in
//! place of the sockets, and an hour of a shop takes it about a second.

pub mod accounts;
pub mod alert;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod confirmation;
pub mod controller;
pub mod fleet;
mod instant;
pub mod journal;
pub mod planner;
pub mod render;
pub mod run;
#[cfg(feature = "simulator")]
pub mod simulate;
mod sorted;
pub mod storage;
pub mod template;
pub mod web;

/// Stores hold millions of small values that come and go by the wave. With the C library's allocator, or with this one told
/// to give freed memory back at once, a promotion's boundary takes some 60 ms at 30,000 labels; with this one 30 to 45.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
