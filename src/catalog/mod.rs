//! What should be on the shelf edge.

pub mod sku;
