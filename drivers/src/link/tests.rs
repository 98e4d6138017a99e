//! Loss, repeats, strangers and giving up; then two ends over a lossy line.

use std::collections::BTreeMap;

use gondola_protocol::frame::FrameDecoder;
use proptest::prelude::*;

use super::*;

const SESSION: SessionId = SessionId(9);
const OPTIONS: LinkOptions = LinkOptions { ack_timeout: Duration::from_millis(300), bytes_per_second: 1_000_000 };

fn link(window: u8) -> Link {
    Link::new(SESSION, window, OPTIONS)
}

fn body(number: u8) -> Bytes {
    vec![number].into()
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn read(stream: &Bytes) -> Frame {
    let mut frames = Vec::new();
    FrameDecoder::default().read(stream, |payload| frames.push(Frame::decode(&payload.unwrap()).unwrap()));
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The sequence numbers that the link puts on the wire now.
fn sent(link: &mut Link) -> Vec<u32> {
    std::iter::from_fn(|| link.poll_transmit())
        .map(|stream| match read(&stream) {
            Frame::Data { sequence, .. } => sequence.0,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The acks that the link puts on the wire now.
fn acks(link: &mut Link) -> Vec<u32> {
    std::iter::from_fn(|| link.poll_transmit())
        .map(|stream| match read(&stream) {
            Frame::Ack { next, .. } => next.0,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_window_holds_the_sender_back_and_an_ack_lets_it_on() {
    let mut link = link(2);
    assert_eq!(link.submit(at(0), body(0)), Ok(()));
    assert_eq!(link.submit(at(0), body(1)), Ok(()));
    assert_eq!(link.submit(at(0), body(2)), Err(LinkFull(2)));
    assert_eq!(sent(&mut link), [0, 1]);
    link.handle_ack(at(1), SequenceNumber(1));
    assert_eq!(link.submit(at(1), body(2)), Ok(()));
    assert_eq!(sent(&mut link), [2]);
    link.handle_ack(at(2), SequenceNumber(3));
    assert_eq!(link.poll_timeout(), None);
}

#[test]
fn on_a_time_out_everything_in_flight_is_sent_again_and_the_wait_doubles() {
    let mut link = link(4);
    for number in 0..3 {
        link.submit(at(0), body(number)).unwrap();
    }
    assert_eq!(sent(&mut link), [0, 1, 2]);
    let first = link.poll_timeout().unwrap();
    // Three frames of 16 bytes take 96 µs there and back at 1 MB/s.
    assert_eq!(first.as_micros(), 300_096);
    link.handle_timeout(at(300));
    assert_eq!(sent(&mut link), [0; 0], "it is not overdue yet");
    link.handle_timeout(first);
    assert_eq!(sent(&mut link), [0, 1, 2]);
    assert_eq!(link.poll_timeout().unwrap().since(first).as_micros(), 2 * 300_096);
    link.handle_ack(at(400), SequenceNumber(1));
    assert_eq!(link.poll_timeout().unwrap().since(at(400)).as_micros(), 300_064, "progress ends the doubling");
    assert_eq!(link.retransmissions(), 3);
}

#[test]
fn a_late_ack_between_two_retransmissions_skips_what_it_acknowledges() {
    let mut link = link(4);
    for number in 0..3 {
        link.submit(at(0), body(number)).unwrap();
    }
    assert_eq!(sent(&mut link), [0, 1, 2]);
    link.handle_timeout(at(1_000));
    assert!(matches!(read(&link.poll_transmit().unwrap()), Frame::Data { sequence: SequenceNumber(0), .. }));
    link.handle_ack(at(1_000), SequenceNumber(2));
    assert_eq!(sent(&mut link), [2]);
}

#[test]
fn an_ack_nobody_waits_for_is_counted_and_ignored() {
    let mut link = link(4);
    link.handle_ack(at(0), SequenceNumber(0));
    link.handle_ack(at(0), SequenceNumber(7));
    link.submit(at(0), body(0)).unwrap();
    link.handle_ack(at(0), SequenceNumber(1));
    assert_eq!(link.unawaited_acks(), 3, "the frame has not been on the wire yet");
    assert_eq!(sent(&mut link), [0]);
}

#[test]
fn a_link_gives_up_after_twelve_time_outs_without_progress() {
    let mut link = link(1);
    link.submit(at(0), body(0)).unwrap();
    let mut transmissions = sent(&mut link).len();
    let mut now = at(0);
    while let Some(next) = link.poll_timeout() {
        assert!(!link.gave_up());
        now = next;
        link.handle_timeout(now);
        transmissions += sent(&mut link).len();
    }
    assert!(link.gave_up());
    assert_eq!(transmissions, 12);
    // 1 + 2 + 4 + 9 × 8 ack timeouts.
    assert_eq!(now.as_micros(), 79 * 300_032);
}

#[test]
fn every_data_frame_is_answered_and_only_the_next_in_order_is_taken() {
    let mut link = link(4);
    assert_eq!(link.handle_data(SequenceNumber(1), body(1)), None, "ahead");
    assert_eq!(link.handle_data(SequenceNumber(0), body(0)), Some(body(0)));
    assert_eq!(acks(&mut link), [1, 1]);
    assert_eq!(link.handle_data(SequenceNumber(0), body(0)), None, "repeated");
    assert_eq!(acks(&mut link), [1]);
}

#[test]
fn sequence_numbers_wrap() {
    let mut link = link(4);
    link.first = u32::MAX;
    link.expected = u32::MAX;
    for number in 0..2 {
        link.submit(at(0), body(number)).unwrap();
    }
    assert_eq!(sent(&mut link), [u32::MAX, 0]);
    link.handle_ack(at(0), SequenceNumber(1));
    assert_eq!(link.poll_timeout(), None);
    assert!(link.handle_data(SequenceNumber(u32::MAX), body(0)).is_some());
    assert!(link.handle_data(SequenceNumber(0), body(1)).is_some());
}

/// A line that loses one frame in ten, repeats one in ten and delays each, decided by a seed.
struct Line {
    seed: u64,
    /// Frames under way by arrival; the second number keeps two of one instant apart.
    under_way: BTreeMap<(Moment, u64), (usize, Frame)>,
    sent: u64,
}

impl Line {
    /// Splitmix64, by S. Vigna.
    fn below(&mut self, limit: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn carry(&mut self, now: Moment, to: usize, frame: &Frame) {
        let copies = match self.below(10) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            self.sent += 1;
            let arrival = now + Duration::from_millis(1 + self.below(200));
            self.under_way.insert((arrival, self.sent), (to, frame.clone()));
        }
    }
}

/// Sends `counts[i]` messages from end `i` and returns what each end received.
fn converse(seed: u64, window: u8, counts: [u8; 2]) -> [Vec<u8>; 2] {
    let mut ends = [link(window), link(window)];
    let mut line = Line { seed, under_way: BTreeMap::new(), sent: 0 };
    let mut submitted = [0_u8; 2];
    let mut received = [Vec::new(), Vec::new()];
    let mut now = Moment::ZERO;
    loop {
        for (from, end) in ends.iter_mut().enumerate() {
            while submitted[from] < counts[from] && end.submit(now, body(submitted[from])).is_ok() {
                submitted[from] += 1;
            }
            while let Some(stream) = end.poll_transmit() {
                line.carry(now, 1 - from, &read(&stream));
            }
            assert!(!end.gave_up(), "end {from} gave up at {now}");
        }
        let timeout = ends.iter().filter_map(Link::poll_timeout).min();
        let arrival = line.under_way.first_key_value().map(|(key, _)| key.0);
        let Some(next) = timeout.into_iter().chain(arrival).min() else {
            return received;
        };
        now = next;
        while let Some(entry) = line.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, frame) = entry.remove();
            match frame {
                Frame::Data { sequence, body, .. } => {
                    received[to].extend(ends[to].handle_data(sequence, body).into_iter().flatten());
                }
                Frame::Ack { next, .. } => ends[to].handle_ack(now, next),
                other => panic!("{other:?}"),
            }
        }
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
    }
}

proptest! {
    #[test]
    fn two_ends_over_a_lossy_line_deliver_everything_once_and_in_order(
        seed in prop::num::u64::ANY, window in 1_u8..=32, counts in prop::array::uniform2(0_u8..60),
    ) {
        let received = converse(seed, window, counts);
        prop_assert_eq!(&received[1], &(0..counts[0]).collect::<Vec<_>>());
        prop_assert_eq!(&received[0], &(0..counts[1]).collect::<Vec<_>>());
    }
}
