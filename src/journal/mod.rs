//! The append-only, hash-chained record of what was decided and proven.

pub mod entry;
