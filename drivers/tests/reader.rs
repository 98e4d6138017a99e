//! Bytes that no radio says on purpose, against what reads the line of one: it panics at none, keeps little, and loses no
//! whole message behind them. Every case follows from its seed.
//!
//! Five thousand cases; with `GONDOLA_FUZZ_SECONDS` as many as that time allows.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::time::{Duration, Instant};

use gondola_drivers::head::HeadEvent;
use gondola_drivers::openepaperlink::reader::Reader;
use gondola_drivers::openepaperlink::wire::{Said, checksum};
use gondola_drivers::openepaperlink::{RadioHead, RadioOptions};
use gondola_protocol::{LabelId, Moment};

/// Cases without `GONDOLA_FUZZ_SECONDS`.
const CASES: u64 = 5_000;

const TOKENS: [&[u8]; 18] = [
    b"ACK>", b"NOK>", b"NOQ>", b"RES>", b"RDY>", b"ADR>", b"RQB>", b"XFC>", b"XTO>", b"TRD>", b"TYP>", b"VER>",
    b"MAC>", b"ZCH>", b"SCH>", b"ZPW>", b"PEN>", b"NOP>",
];

/// Xorshift: reproducible, and enough for damage.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    /// A token and something behind it, which is now and then what belongs there.
    fn message(&mut self) -> Vec<u8> {
        let token = self.below(TOKENS.len());
        let length = [30, 18, 9, 9, 11, 2, 4, 16, 0][self.below(9)];
        let mut body: Vec<u8> = (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect();
        if self.below(3) == 0 && !body.is_empty() {
            body[0] = checksum(&body);
        }
        if self.below(3) == 0 {
            body = b"00C61F0A"[..self.below(9)].to_vec();
        }
        [TOKENS[token], &body].concat()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..self.below(12)).flat_map(|_| self.message()).collect();
        for _ in 0..self.below(6) {
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                match self.below(3) {
                    0 => bytes[at] = self.below(256).to_le_bytes()[0],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at),
                }
            }
        }
        bytes
    }
}

/// A label's word that it has everything.
fn complete(label: LabelId) -> Vec<u8> {
    let mut body = [&[0], &label.0.to_le_bytes()[..]].concat();
    body[0] = checksum(&body);
    [b"XFC>", &body[..]].concat()
}

/// One case for the reader: a whole message behind the noise is found, at the latest once the noise is given up.
fn read(dice: &mut Dice, label: LabelId) {
    let (mut reader, mut said) = (Reader::default(), Vec::new());
    for byte_or_more in dice.bytes().chunks(1 + dice.below(40)) {
        reader.read(byte_or_more, |one| said.push(one));
    }
    reader.give_up_message(|one| said.push(one));
    reader.read(&complete(label), |one| said.push(one));
    // What little of the noise is left may make another message with it; then that is given up.
    reader.give_up_message(|one| said.push(one));
    assert_eq!(said.last(), Some(&Said::Complete(label)));
}

/// One case for everything behind it, in whatever state the noise brings it.
fn drive(dice: &mut Dice, head: &mut RadioHead, now: &mut Moment) {
    *now += Duration::from_millis(dice.below(400) as u64);
    match dice.below(50) {
        0 => head.connected(*now),
        _ => head.handle_bytes(*now, &dice.bytes()),
    }
    while let Some(at) = head.poll_timeout().filter(|at| at <= now) {
        head.handle_timeout(*now);
        assert!(
            head.poll_timeout() > Some(at) || head.poll_timeout().is_none_or(|next| next > *now),
            "time stands still"
        );
    }
    let sent = std::iter::from_fn(|| head.poll_transmit()).count();
    let told = std::iter::from_fn(|| head.poll_event()).filter(|event| !matches!(event, HeadEvent::Present(_))).count();
    assert!(sent < 200 && told < 200, "{sent} pieces sent, {told} events");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the time that the test may take is the caller's")]
fn any_bytes_are_read_and_none_hides_what_follows() {
    let seconds = std::env::var("GONDOLA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("GONDOLA_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    let (start, mut cases) = (Instant::now(), 0);
    let mut head = RadioHead::new(RadioOptions::default());
    let mut now = Moment::ZERO;
    head.connected(now);
    while seconds.map_or(cases < CASES, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        let mut dice = Dice((seed << 32 | cases).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        read(&mut dice, LabelId(cases));
        drive(&mut dice, &mut head, &mut now);
        cases += 1;
    }
    println!("{cases} cases from seed {seed}");
}
