//! The append-only, hash-chained record of what was decided and proven: the only durable truth.
//!
//! One journal per store, a directory of segments, one record per line:
//!
//! ```text
//! {"sequence":1,"at":"2026-11-25T00:00:00.000000Z","entry":{"kind":"removed","label":"…"},"hash":"<64 hex>"}
//! ```
//!
//! The hash is BLAKE3(previous hash, 32 bytes ‖ the line's bytes before `,"hash"`); before the first record
//! stands the hash of a text that names the format and the store. What was acknowledged is on disk: nothing
//! is reported as synced before its fsync. Nothing here rewrites a record, and nothing here decides what a
//! record means: whoever replays them does.
//!
//! A segment that is full is closed, a new one goes on with the chain, and the closed one is compressed line by line as
//! it is. What the records come to is folded into checkpoints, so that a start reads the newest checkpoint and the few
//! records behind it, and so that old proofs can be dropped while registrations, bindings, prices and verdicts stay.
//!
//! | module | what it holds |
//! |---|---|
//! | [`entry`] | what is recorded |
//! | [`chain`] | pure: records to lines and back, each checked against the one before |
//! | `segment` | the files by name, the lines in them |
//! | [`verify`] | a whole journal, streamed over its segments |
//! | [`checkpoint`] | records folded by what they are about |
//! | [`reader`] | reading beside the writer: what a label proved around an instant |
//! | [`directory`] | shell: the few things that a journal asks of a disk |
//! | `copy` | shell: a copy beside the writer |
//! | `open` | the newest checkpoint, what is behind it, and what a crash left |
//! | [`writer`] | shell: the thread that owns the newest segment and commits in groups |
//! | [`keeper`] | shell: the thread that compresses, folds and drops |

pub mod chain;
pub mod checkpoint;
mod copy;
pub mod directory;
pub mod entry;
pub mod keeper;
#[cfg(test)]
pub(crate) mod memory;
mod open;
pub mod reader;
mod segment;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod writer;

pub use chain::{Chain, Flaw, Hash32, LINE_MAX, Position, Record};
pub use checkpoint::{CheckpointError, Recalled};
pub use copy::copy;
pub use directory::{DIR_NAME, Directory, DiskDirectory, JournalFile};
pub use entry::Entry;
pub use keeper::Keeper;
pub use reader::{JournalReader, Proofs, Proven, ReadError};
pub use verify::{Broken, Records, Verified, verify};
pub use writer::{AppendError, Journal, JournalCounters, JournalError, JournalOptions, Opened, Synced, TornTail};
