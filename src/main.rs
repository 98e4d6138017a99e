//! The `gondola` command.
fn main() {}
