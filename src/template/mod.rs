//! Templates: which layout a label gets, and what stands in it. No pixels.

pub mod view;
