//! A shop with hardware of OpenEPaperLink: a radio on a serial line, and the labels that it serves.
//!
//! Written from what is published of that hardware, and from nothing else: it is to find what the drivers have
//! misunderstood. It is no friendlier than the real thing. A label that comes while another is served is sent away; a
//! block that comes too late is sent as the one before it; some labels confirm what they threw away; a radio that
//! restarts has forgotten every slot and its speed; and it mutters in between.
//!
//! | module | what it holds |
//! |---|---|
//! | [`site`] | [`Site`]: one radio and its labels, pure, seeded, in virtual time |
//! | [`hall`] | [`Hall`]: several radios, and labels that go from one to another |
//! | `radio` | the serial end, the slots, what is answered on the air |
//! | `tag` | a label: when it wakes, what it fetches, what it shows |
//! | [`file`], `group5` | from what a label fetched to planes |
//! | [`model`] | the models of labels |
//! | [`serve`] | the same behind a pseudo-terminal |

pub mod file;
mod group5;
pub mod hall;
pub mod model;
mod radio;
pub mod serve;
pub mod site;
mod tag;

pub use group5::{Group5Error, decode as decode_group5};
pub use hall::Hall;
pub use model::{Maker, Model};
pub use radio::RadioOptions;
pub use site::{Counters, Site, SiteOptions};
pub use tag::{TagFault, TagOptions, TagState};
