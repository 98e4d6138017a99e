//! Trains the compact coder on labels drawn by the renderer, and writes its model into the wire crate.
//!
//! `cargo run --release -p gondola-bench --bin train-compact`

use std::path::Path;

use gondola_bench::corpus::{Corpus, Label, Set};
use gondola_bench::learner::{Learner, Limited};
use gondola_protocol::compact::SUM_MAX;

/// Labels to learn from: twice as many make the coder better by less than one per cent.
const LABELS: usize = 2_400;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let labels: Vec<Label> = Corpus::new(Set::Train, 1)?.take(LABELS).collect();
    eprintln!("learning from {LABELS} labels");
    let mut learner = Learner::<Limited>::default();
    learner.learn(&labels);
    let mut model: Vec<u8> = learner.steps().into_iter().map(i8::cast_unsigned).collect();
    for sum in 0..=SUM_MAX {
        model.extend(rare(sum).to_le_bytes());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/protocol/src/compact/model.bin");
    std::fs::write(&file, &model)?;
    eprintln!("wrote {} bytes to {}", model.len(), file.display());
    Ok(())
}

/// The probability of a 1 in 1/65,536 for a sum of `-sum` steps, at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 32,768")]
#[expect(clippy::cast_precision_loss, reason = "0 to 192")]
fn rare(sum: usize) -> u16 {
    (65_536.0 / (1.0 + (sum as f64 / 16.0).exp())).round().max(1.0) as u16
}
