//! The line to a radio: how it is opened, at which speed it runs, and which commands wait for their answer.
//!
//! Answers come in the order of the commands and say nothing else, so that a batch counts as answered only when it is
//! answered whole; otherwise all of it is repeated, which does no harm. A block overtakes everything. It knows nothing
//! of pictures or of labels.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gondola_protocol::{LabelId, Moment};

use super::reader::Reader;
use super::wire::{Command, Info, Reply, Said};
use crate::session::DownReason;

/// The speed at which a radio starts.
pub const BAUD_SLOW: u32 = 115_200;

/// The speed to which it can be switched.
pub const BAUD_FAST: u32 = 2_000_000;

/// How long a question waits for its answer: the radio looks at the line every 100 ms, and not at all during the 210 ms
/// in which it sends a block.
const ANSWER_MAX: Duration = Duration::from_millis(600);

/// Questions at one speed before the other is tried.
const QUESTIONS_MAX: u32 = 3;

/// Changes of speed before the radio is taken to be away: each speed twice.
const SPEEDS_MAX: u32 = 4;

/// How long the radio takes before it changes its speed, after it has said so.
const CHANGE_AFTER: Duration = Duration::from_millis(10);

/// How long it rests behind that.
const CHANGE_REST: Duration = Duration::from_millis(200);

/// A message that does not go on for so long was none; the radio gives up on ours after a second.
const MESSAGE_MAX: Duration = Duration::from_millis(250);

/// Silence after which the radio is asked whether it is there. At high speed that is how its restart is noticed, for it
/// starts at the low one.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Batches without an answer before the line is opened anew.
const UNANSWERED_MAX: u32 = 3;

/// What a radio is driven with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineOptions {
    /// The radio's channel, one of [`CHANNELS`](super::wire::CHANNELS).
    pub channel: u8,
    /// Its power.
    pub power: u8,
    /// At which speed the line runs in the end: [`BAUD_SLOW`] or [`BAUD_FAST`].
    pub baud: u32,
}

/// What a radio says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Description {
    /// Which kind of radio.
    pub radio: Option<u8>,
    /// Its firmware.
    pub firmware: Option<u16>,
    /// Slots in use with data.
    pub slots_with_data: Option<u8>,
}

/// What has come of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// The radio is ready. It may have any slots from before, or none.
    Open(Description),
    /// The radio has started anew, or may have: it is being opened again.
    Restarted,
    /// The radio is away.
    Away(DownReason),
    /// It said something that is no answer.
    Said(Said),
    /// What became of slots.
    Answered(LabelId, Reply),
    /// Nobody knows what became of slots, even of those that were answered before in the same batch.
    Unanswered(Vec<LabelId>),
}

/// What an answer is awaited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Slot(LabelId),
    Block,
    Ping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Closed,
    /// Asked who it is; so many questions went unanswered at this speed.
    Asking(u32),
    /// It describes itself.
    Listening,
    /// Asked for high speed.
    Raising,
    /// About to change the speed.
    Changing,
    /// At high speed, waiting for the radio to follow.
    Following,
    /// At high speed, both rest.
    Resting,
    /// Told its channel; so many times before.
    Tuning(u32),
    Open,
}

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    options: LineOptions,
    reader: Reader,
    stage: Stage,
    baud: u32,
    /// Whether the higher speed is still to be tried.
    may_raise: bool,
    /// Changes of speed since something was heard.
    speeds: u32,
    description: Description,
    /// Blocks and commands to send, with how many answers each brings: at most a batch, and a block for each of its
    /// requests.
    sending: VecDeque<(Bytes, usize)>,
    /// In the order in which they were sent.
    awaiting: VecDeque<Awaited>,
    /// Slots that were answered since the last one of them was awaited.
    answered: Vec<LabelId>,
    unanswered: u32,
    /// When what is awaited is overdue, or the stage ends.
    due: Option<Moment>,
    heard: Moment,
}

impl Line {
    pub(super) fn new(options: LineOptions) -> Self {
        Self {
            options,
            reader: Reader::default(),
            stage: Stage::Closed,
            baud: BAUD_SLOW,
            may_raise: true,
            speeds: 0,
            description: Description::default(),
            sending: VecDeque::new(),
            awaiting: VecDeque::new(),
            answered: Vec::new(),
            unanswered: 0,
            due: None,
            heard: Moment::ZERO,
        }
    }

    /// Begins to open the line, at the lower speed.
    pub(super) fn open(&mut self, now: Moment) {
        *self = Self::new(self.options);
        self.ask(now, 0);
    }

    pub(super) fn close(&mut self) {
        *self = Self::new(self.options);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// The speed at which bytes must be sent and read now.
    pub(super) const fn baud(&self) -> u32 {
        self.baud
    }

    /// How many commands may be sent now. As many as pass the line while a block can wait, and as the radio has room for.
    pub(super) fn room(&self) -> usize {
        if self.stage != Stage::Open || !self.awaiting.is_empty() {
            return 0;
        }
        if self.baud == BAUD_FAST { 40 } else { 10 }
    }

    /// Sends commands about slots.
    pub(super) fn send(&mut self, now: Moment, commands: &[(LabelId, Command)]) {
        let mut bytes = BytesMut::new();
        for (label, command) in commands {
            command.encode(&mut bytes);
            self.awaiting.push_back(Awaited::Slot(*label));
        }
        self.due = Some(now + self.answer_max(bytes.len()));
        self.sending.push_back((bytes.freeze(), commands.len()));
    }

    /// Sends a block before everything that has not left.
    pub(super) fn send_block(&mut self, now: Moment, block: Bytes) {
        let due = now + self.answer_max(block.len());
        self.due = Some(self.due.filter(|_| !self.awaiting.is_empty()).map_or(due, |before| before.max(due)));
        // Its answer comes before those to what has not left.
        let unsent: usize = self.sending.iter().map(|(_, answers)| answers).sum();
        self.awaiting.insert(self.awaiting.len() - unsent, Awaited::Block);
        self.sending.push_front((block, 1));
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.sending.pop_front().map(|(bytes, _)| bytes)
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        if self.is_closed() {
            return None;
        }
        let message = self.reader.is_within_message().then(|| self.heard + MESSAGE_MAX);
        let quiet = (self.stage == Stage::Open && self.awaiting.is_empty()).then(|| self.heard + QUIET_MAX);
        [self.due, message, quiet].into_iter().flatten().min()
    }

    pub(super) fn read(&mut self, now: Moment, bytes: &[u8], news: &mut Vec<News>) {
        if self.is_closed() {
            return;
        }
        self.heard = now;
        let mut said = Vec::new();
        self.reader.read(bytes, |one| said.push(one));
        self.hear(now, said, news);
    }

    pub(super) fn handle_timeout(&mut self, now: Moment, news: &mut Vec<News>) {
        if self.is_closed() {
            return;
        }
        if self.reader.is_within_message() && self.heard + MESSAGE_MAX <= now {
            let mut said = Vec::new();
            self.reader.give_up_message(|one| said.push(one));
            self.hear(now, said, news);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.overdue(now, news);
        } else if self.stage == Stage::Open && self.awaiting.is_empty() && self.heard + QUIET_MAX <= now {
            self.ping(now);
        }
    }

    fn hear(&mut self, now: Moment, said: Vec<Said>, news: &mut Vec<News>) {
        for one in said {
            match one {
                Said::Booted => self.booted(now, news),
                Said::Reply(reply) => self.handle_reply(now, reply, news),
                Said::Info(info) => self.handle_info(now, info),
                other if self.stage == Stage::Open => news.push(News::Said(other)),
                // What labels do before the radio is ready is found out when they come again.
                _ => {}
            }
        }
    }

    fn booted(&mut self, now: Moment, news: &mut Vec<News>) {
        // Its two tokens come together.
        if self.stage != Stage::Asking(0) {
            self.restart(now, news);
        }
    }

    /// Everything that the radio knew is gone, or may be.
    fn restart(&mut self, now: Moment, news: &mut Vec<News>) {
        if self.stage == Stage::Open {
            news.push(News::Restarted);
        }
        self.awaiting.clear();
        self.answered.clear();
        self.sending.clear();
        self.may_raise = true;
        self.speeds = 0;
        self.ask(now, 0);
    }

    fn handle_reply(&mut self, now: Moment, reply: Reply, news: &mut Vec<News>) {
        match (self.stage, reply) {
            (Stage::Asking(_), Reply::Ack) => self.enter(Stage::Listening, now + ANSWER_MAX),
            (Stage::Raising, Reply::Ack) => self.enter(Stage::Changing, now + CHANGE_AFTER),
            (Stage::Following, Reply::Ack) => self.enter(Stage::Resting, now + CHANGE_REST),
            (Stage::Raising, _) => self.tune(now, 0),
            (Stage::Tuning(_), Reply::Ack) => {
                self.stage = Stage::Open;
                self.due = None;
                news.push(News::Open(self.description));
            }
            (Stage::Tuning(_), Reply::Nok) => {
                self.close();
                news.push(News::Away(DownReason::Channel(self.options.channel)));
            }
            (Stage::Open, reply) => self.handle_answer(reply, news),
            _ => {}
        }
    }

    fn handle_answer(&mut self, reply: Reply, news: &mut Vec<News>) {
        // An answer that nobody waits for belongs to something that was given up.
        let Some(awaited) = self.awaiting.pop_front() else { return };
        self.unanswered = 0;
        if let Awaited::Slot(label) = awaited {
            self.answered.push(label);
            news.push(News::Answered(label, reply));
        }
        if self.awaiting.is_empty() {
            self.answered.clear();
            self.due = None;
        }
    }

    fn handle_info(&mut self, now: Moment, info: Info) {
        match info {
            Info::Radio(radio) => self.description.radio = Some(radio),
            Info::Firmware(firmware) => self.description.firmware = Some(firmware),
            Info::SlotsWithData(slots) => self.description.slots_with_data = Some(slots),
            Info::SlotsWithout(_) if self.stage == Stage::Listening => self.raise(now),
            _ => {}
        }
    }

    /// What was awaited did not come, or a stage has lasted long enough.
    fn overdue(&mut self, now: Moment, news: &mut Vec<News>) {
        match self.stage {
            Stage::Asking(questions) if questions + 1 < QUESTIONS_MAX => self.ask(now, questions + 1),
            Stage::Asking(_) if self.speeds + 1 < SPEEDS_MAX => {
                self.speeds += 1;
                self.baud = if self.baud == BAUD_SLOW { BAUD_FAST } else { BAUD_SLOW };
                self.ask(now, 0);
            }
            Stage::Asking(_) => {
                self.close();
                news.push(News::Away(DownReason::NoAnswer { questions: QUESTIONS_MAX * SPEEDS_MAX }));
            }
            // A radio that describes itself otherwise, or one that knows no high speed, is a radio.
            Stage::Listening => self.raise(now),
            Stage::Raising => self.tune(now, 0),
            Stage::Changing => {
                self.baud = BAUD_FAST;
                self.enter(Stage::Following, now + ANSWER_MAX);
            }
            // It said that it would change its speed. Wherever it is now, it is left there.
            Stage::Following => self.ask(now, 0),
            Stage::Resting => self.tune(now, 0),
            Stage::Tuning(times) if times + 1 < QUESTIONS_MAX => self.tune(now, times + 1),
            Stage::Tuning(_) => self.ask(now, 0),
            Stage::Open => self.give_up_answers(now, news),
            Stage::Closed => {}
        }
    }

    fn give_up_answers(&mut self, now: Moment, news: &mut Vec<News>) {
        let awaited = self.awaiting.drain(..).filter_map(|awaited| match awaited {
            Awaited::Slot(label) => Some(label),
            Awaited::Block | Awaited::Ping => None,
        });
        let labels: Vec<LabelId> = self.answered.drain(..).chain(awaited).collect();
        if !labels.is_empty() {
            news.push(News::Unanswered(labels));
        }
        self.unanswered += 1;
        if self.unanswered >= UNANSWERED_MAX {
            self.unanswered = 0;
            self.restart(now, news);
        } else {
            self.ping(now);
        }
    }

    fn ping(&mut self, now: Moment) {
        self.awaiting.push_back(Awaited::Ping);
        self.command(now, Command::Ping);
    }

    fn ask(&mut self, now: Moment, questions: u32) {
        self.command(now, Command::Info);
        self.stage = Stage::Asking(questions);
    }

    fn raise(&mut self, now: Moment) {
        if self.options.baud != BAUD_FAST || self.baud == BAUD_FAST || !std::mem::take(&mut self.may_raise) {
            return self.tune(now, 0);
        }
        self.command(now, Command::HighSpeed);
        self.stage = Stage::Raising;
    }

    fn tune(&mut self, now: Moment, times: u32) {
        let LineOptions { channel, power, .. } = self.options;
        self.command(now, Command::Channel { channel, power });
        self.stage = Stage::Tuning(times);
    }

    /// Sends a command by itself. Only the ping of an open line is among those that are awaited in order.
    fn command(&mut self, now: Moment, command: Command) {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        self.due = Some(now + self.answer_max(bytes.len()));
        self.sending.push_back((bytes.freeze(), self.awaiting.len().min(1)));
    }

    fn enter(&mut self, stage: Stage, until: Moment) {
        self.stage = stage;
        self.due = Some(until);
    }

    /// How long an answer may take to something of that many bytes: 10 bits carry a byte.
    fn answer_max(&self, bytes: usize) -> Duration {
        let micros = bytes as u64 * 10_000_000 / u64::from(self.baud);
        ANSWER_MAX + Duration::from_micros(micros)
    }
}
