//! The append-only, hash-chained record of what was decided and proven: the only durable truth.
//!
//! One journal per store, `journal.ndjson`, one record per line:
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
//! | module | what it holds |
//! |---|---|
//! | [`entry`] | what is recorded |
//! | [`chain`] | pure: records to lines and back, each checked against the one before |
//! | [`verify`] | pure: a whole journal, streamed |
//! | [`file`] | shell: the few things that a journal asks of a file |
//! | [`writer`] | shell: the thread that owns the file and commits in groups |

pub mod chain;
pub mod entry;
pub mod file;
#[cfg(test)]
mod memory;
pub mod verify;
pub mod writer;

pub use chain::{Chain, Flaw, Hash32, LINE_MAX, Position, Record};
pub use entry::Entry;
pub use file::{FILE_NAME, JournalFile};
pub use verify::{Broken, Records, Verified, verify};
pub use writer::{AppendError, Journal, JournalCounters, JournalError, Opened, Synced, TornTail};
