//! Bytes that nobody sends on purpose, against the label's decoders: none panics, and none takes more memory than
//! a label has. Every case follows from its seed.
//!
//! Two thousand cases for each decoder; with `GONDOLA_FUZZ_SECONDS` as many as that time allows.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::alloc::System;
use std::io::Write;
use std::time::{Duration, Instant};

use cap::Cap;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use gondola_protocol::message::Encoding;
use gondola_protocol::{Colours, Panel, Planes};
use gondola_simulator::decode::decode;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Ends the test when more is allocated than the limit allows.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Half of what a label has beside the picture that it decodes; the other half is for the decoders' fixed arrays,
/// which are on the stack.
const MEMORY_MAX: usize = 8 * 1024;

/// Cases without `GONDOLA_FUZZ_SECONDS`.
const CASES: u64 = 2_000;

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, end: u32) -> usize {
        usize::try_from(self.0.next_u32() % end).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Mostly small panels, for speed; now and then the largest that a frame could carry.
    fn panel(&mut self) -> Panel {
        let side = if self.below(1_000) == 0 { 3_200 } else { 120 };
        let sides = [0; 2].map(|_| u16::try_from(1 + self.below(side)).unwrap());
        Panel::new(Colours::ALL[self.below(4)], sides[0], sides[1]).unwrap()
    }

    /// Bytes with runs, as pictures and headers have them.
    fn runs(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let byte = [0, 0, 0xFF, 0x0F, self.below(256)][self.below(5)];
            bytes.resize(length.min(bytes.len() + 1 + self.below(60)), u8::try_from(byte).unwrap());
        }
        bytes
    }

    /// The same with a few bits flipped, and perhaps cut or lengthened.
    fn damage(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            let length = u32::try_from(bytes.len()).unwrap().max(1);
            let at = self.below(length);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.below(8);
            }
        }
        match self.below(6) {
            0 => bytes.truncate(self.below(200)),
            1 => bytes.extend(self.bytes(3)),
            _ => {}
        }
        bytes
    }
}

/// Decodes what `bytes` makes, case by case.
fn fuzz(encoding: Encoding, bytes: fn(&mut Dice, &Planes) -> Vec<u8>) {
    let seconds = std::env::var("GONDOLA_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    #[expect(clippy::disallowed_methods, reason = "only how many cases there are depends on it")]
    let began = Instant::now();
    let (mut cases, mut decoded) = (0, 0_u64);
    while seconds.map_or(cases < CASES, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(cases));
        let panel = dice.panel();
        let runs = dice.runs(panel.picture_bytes());
        let held = Planes::new(panel, runs).unwrap_or_else(|_| Planes::white(panel));
        let packed = bytes(&mut dice, &held);
        ALLOCATOR.set_limit(ALLOCATOR.allocated() + panel.picture_bytes() + MEMORY_MAX).unwrap();
        let planes = decode(encoding, &packed, &held);
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        decoded += u64::from(planes.is_ok_and(|planes| planes.panel() == panel));
        cases += 1;
    }
    eprintln!("{encoding:?}: {cases} cases, {decoded} of them pictures");
    assert!(decoded > 0, "no case was a picture: the cases test nothing");
}

fn raw(dice: &mut Dice, held: &Planes) -> Vec<u8> {
    let length = if dice.below(2) == 0 { held.bytes().len() } else { dice.below(98_304) };
    dice.runs(length)
}

fn deflated(dice: &mut Dice, held: &Planes) -> Vec<u8> {
    if dice.below(4) == 0 {
        let length = dice.below(2_000);
        return dice.bytes(length);
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(dice.0.next_u32() % 10));
    encoder.write_all(held.bytes()).unwrap();
    dice.damage(encoder.finish().unwrap())
}

/// Any bytes are decisions: they are a picture unless there are more of them than it takes.
fn decisions(dice: &mut Dice, _: &Planes) -> Vec<u8> {
    let end = [40, 1_000][dice.below(2)];
    let length = dice.below(end);
    if dice.below(2) == 0 { dice.bytes(length) } else { dice.runs(length) }
}

fn delta(dice: &mut Dice, held: &Planes) -> Vec<u8> {
    let packed = [&held.digest().0[..4], &decisions(dice, held)].concat();
    dice.damage(packed)
}

/// One test for all: the memory is measured for the whole process.
#[test]
fn any_bytes_are_a_picture_or_refused_within_a_labels_memory() {
    fuzz(Encoding::Raw, raw);
    fuzz(Encoding::Deflate, deflated);
    fuzz(Encoding::Compact, decisions);
    fuzz(Encoding::Delta, delta);
}
