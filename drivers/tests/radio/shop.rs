//! A small controller, a head, and a site, on one virtual clock. What labels prove is compared with their glass.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::head::{HeadEvent, Outcome, Picture, Wake};
use gondola_drivers::openepaperlink::{RadioHead, RadioOptions as HeadOptions};
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{Digest, Edition, LabelId, Moment, Panel, Planes, TransferNumber};
use gondola_simulator::openepaperlink::{Model, RadioOptions, Site, SiteOptions, TagFault, TagOptions};

/// What the controller knows of a label.
#[derive(Debug)]
struct Known {
    panel: Panel,
    desired: Option<Planes>,
    wanted: Option<Digest>,
    edition: Edition,
    proven: Option<(Digest, Edition)>,
    under_way: Option<TransferNumber>,
    /// Until then a proof is awaited.
    proof_by: Option<Moment>,
    must_resend: bool,
}

#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) now: Moment,
    pub(crate) head: RadioHead,
    pub(crate) site: Site,
    known: BTreeMap<LabelId, Known>,
    transfers: BTreeMap<TransferNumber, LabelId>,
    last: u32,
    /// Every outcome of a picture, in order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Outcomes of what the controller did not send.
    pub(crate) orders: BTreeMap<TransferNumber, Outcome>,
    pub(crate) presses: u32,
    pub(crate) slots_most: usize,
    plugged_in_at: Option<Moment>,
    steps_here: u32,
}

pub(crate) const fn label(number: u64) -> LabelId {
    LabelId(0x0000_021B_6D40_0000 + number)
}

/// A picture that is different for each label and content: some lines of black, some of colour.
pub(crate) fn picture(panel: Panel, number: u64, content: u64) -> Planes {
    let mut bytes = vec![0; panel.picture_bytes()];
    let (row, plane) = (panel.row_bytes(), panel.plane_bytes());
    let mut word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ content.wrapping_mul(0xD1B5_4A32_D192_ED03);
    for y in (4..usize::from(panel.height()) - 4).step_by(9) {
        word = word.rotate_left(17).wrapping_mul(0x2545_F491_4F6C_DD1D) | 1;
        let from = 1 + usize::try_from(word % 5).unwrap();
        let at = if panel.colours().plane_count() > 1 && word & 0x700 == 0 { plane } else { 0 };
        bytes[at + y * row + from..at + (y + 1) * row - 2].fill(0xFF);
        bytes[(y + 1) * row + 1..(y + 1) * row + 9].copy_from_slice(&word.to_be_bytes());
    }
    Planes::new(panel, bytes).unwrap()
}

impl Shop {
    pub(crate) fn new(seed: u64, loss: f64) -> Self {
        Self::with(seed, loss, RadioOptions::default())
    }

    pub(crate) fn with(seed: u64, loss: f64, radio: RadioOptions) -> Self {
        let now = Moment::from_secs(1_000);
        let mut shop = Self {
            now,
            head: RadioHead::new(HeadOptions::default()),
            site: Site::new(now, SiteOptions { seed, loss, radio }),
            known: BTreeMap::new(),
            transfers: BTreeMap::new(),
            last: 0,
            outcomes: Vec::new(),
            orders: BTreeMap::new(),
            presses: 0,
            slots_most: 0,
            plugged_in_at: None,
            steps_here: 0,
        };
        shop.head.connected(now);
        shop
    }

    pub(crate) fn add(&mut self, number: u64, model: u8) {
        self.add_with(number, model, None);
    }

    pub(crate) fn add_with(&mut self, number: u64, model: u8, fault: Option<TagFault>) {
        let model = Model::of(model).unwrap();
        let options = TagOptions { label: label(number), model, firmware: 0x29, fault };
        // Somewhere within the first minute, as they are hung up; not before the radio knows its channel.
        self.site.add(self.now, options, Duration::from_millis(4_000 + number * 7_919 % 56_000));
        self.known.insert(
            options.label,
            Known {
                panel: model.panel(),
                desired: None,
                wanted: None,
                edition: Edition(0),
                proven: None,
                under_way: None,
                proof_by: None,
                must_resend: false,
            },
        );
    }

    /// Every label is to show something else.
    pub(crate) fn change_all(&mut self, content: u64) {
        let labels: Vec<LabelId> = self.known.keys().copied().collect();
        for id in labels {
            let known = self.known.get_mut(&id).unwrap();
            let planes = picture(known.panel, id.0, content);
            known.wanted = Some(planes.digest());
            known.desired = Some(planes);
            known.edition = Edition(known.edition.0 + 1);
            known.proof_by = None;
            match known.under_way {
                Some(number) => self.head.cancel(self.now, number),
                None => self.plan(id),
            }
        }
    }

    /// A label's picture is sent again, although it is proven.
    pub(crate) fn send_again(&mut self, id: LabelId) {
        let known = self.known.get_mut(&id).unwrap();
        known.edition = Edition(known.edition.0 + 1);
        known.must_resend = true;
        self.plan(id);
    }

    fn plan(&mut self, id: LabelId) {
        let known = self.known.get_mut(&id).unwrap();
        let Some(planes) = known.desired.clone() else { return };
        let is_proven = known.proven.is_some_and(|(digest, _)| digest == planes.digest()) && !known.must_resend;
        let waits = known.under_way.is_some() || known.proof_by.is_some_and(|until| until > self.now);
        if is_proven || waits {
            return;
        }
        self.last += 1;
        let number = TransferNumber(self.last);
        let picture = Picture {
            number,
            label: id,
            edition: known.edition,
            lane: Lane::Price,
            planes,
            held: None,
            encodings: u8::MAX,
            packed: None,
        };
        if self.head.submit(self.now, picture).is_ok() {
            known.under_way = Some(number);
            self.transfers.insert(number, id);
        }
    }

    /// Labels that have proven what they are to show.
    pub(crate) fn proven(&self) -> usize {
        self.known.values().filter(|known| known.is_settled()).count()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.transfers.len()
    }

    /// The line is gone for a while.
    pub(crate) fn unplug(&mut self, time: Duration) {
        self.head.disconnected(self.now);
        self.plugged_in_at = Some(self.now + time);
        self.hear();
    }

    /// Runs until every label has proven its picture.
    #[track_caller]
    pub(crate) fn settle(&mut self, within: Duration) {
        let until = self.now + within;
        while self.proven() < self.known.len() {
            let open: Vec<&LabelId> =
                self.known.iter().filter(|(_, known)| !known.is_settled()).map(|(id, _)| id).collect();
            assert!(self.now < until, "{} of {} do not settle: {open:?}", open.len(), self.known.len());
            self.step(until);
        }
        for (id, known) in &self.known {
            assert_eq!(Some(&self.site.label(*id).unwrap().planes), known.desired.as_ref(), "{id}");
        }
    }

    /// Runs until every glass shows its picture, proven or not.
    #[track_caller]
    pub(crate) fn show(&mut self, within: Duration) -> Moment {
        let until = self.now + within;
        while self.known.iter().any(|(id, known)| Some(&self.site.label(*id).unwrap().planes) != known.desired.as_ref())
        {
            assert!(self.now < until, "not every glass shows its picture");
            self.step(until);
        }
        self.now
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step(until);
        }
    }

    /// Goes on to the next moment at which something happens.
    fn step(&mut self, until: Moment) {
        self.exchange();
        let next = [self.site.poll_timeout(), self.head.poll_timeout(), self.plugged_in_at];
        self.steps_here = if next.into_iter().flatten().min() > Some(self.now) { 0 } else { self.steps_here + 1 };
        assert!(self.steps_here < 1_000, "time stands still: {next:?} at {}: {:?}", self.now, self.head);
        self.now = next.into_iter().flatten().min().unwrap_or(until).max(self.now).min(until);
        if self.plugged_in_at.is_some_and(|at| at <= self.now) {
            self.plugged_in_at = None;
            self.head.connected(self.now);
        }
        self.site.handle_timeout(self.now);
        if self.head.poll_timeout().is_some_and(|at| at <= self.now) {
            self.head.handle_timeout(self.now);
        }
        self.exchange();
        self.slots_most = self.slots_most.max(self.site.slots());
    }

    /// Moves what is on the line.
    fn exchange(&mut self) {
        loop {
            let baud = self.head.baud();
            let up = self.site.poll_transmit(baud);
            if self.plugged_in_at.is_some() {
                return;
            }
            if let Some(bytes) = &up {
                self.head.handle_bytes(self.now, bytes);
            }
            while let Some(packing) = self.head.poll_packing() {
                self.head.packed(self.now, packing.run());
            }
            let mut down = false;
            while let Some(bytes) = self.head.poll_transmit() {
                self.site.handle_bytes(self.now, &bytes, self.head.baud());
                down = true;
            }
            self.hear();
            if self.head.wants_disconnect() && self.plugged_in_at.is_none() {
                self.head.disconnected(self.now);
                self.plugged_in_at = Some(self.now + Duration::from_secs(1));
                self.hear();
            }
            if up.is_none() && !down {
                return;
            }
        }
    }

    fn hear(&mut self) {
        while let Some(event) = self.head.poll_event() {
            match event {
                HeadEvent::Outcome { number, outcome } => self.hear_outcome(number, outcome),
                HeadEvent::CheckIn(proof) => {
                    let glass = self.site.label(proof.label).unwrap().planes;
                    assert_eq!(glass.digest(), proof.digest, "{} proves what it does not show", proof.label);
                    let known = self.known.get_mut(&proof.label).unwrap();
                    known.proven = Some((proof.digest, proof.edition));
                    if proof.edition >= known.edition {
                        (known.proof_by, known.must_resend) = (None, false);
                    }
                }
                HeadEvent::Heard(said) => {
                    self.presses += u32::from(matches!(said.wake, Wake::Button(_)));
                    assert_eq!(Some(said.panel), self.known.get(&said.label).map(|known| known.panel));
                    if said.wake.has_started() {
                        let known = self.known.get_mut(&said.label).unwrap();
                        (known.proven, known.proof_by) = (None, None);
                    }
                    self.plan(said.label);
                }
                HeadEvent::Present(id) => self.plan(id),
                HeadEvent::Dropped(dropped) => panic!("{dropped}"),
                _ => {}
            }
        }
    }

    fn hear_outcome(&mut self, number: TransferNumber, outcome: Outcome) {
        let Some(id) = self.transfers.remove(&number) else {
            self.orders.insert(number, outcome);
            return;
        };
        self.outcomes.push(outcome);
        let known = self.known.get_mut(&id).unwrap();
        assert_eq!(known.under_way.take(), Some(number));
        match outcome {
            Outcome::Taken { proof_by } => known.proof_by = Some(proof_by),
            Outcome::Lost | Outcome::Status(Status::Cancelled) => self.plan(id),
            // Its next sign of life brings it back.
            Outcome::Status(_) => {}
        }
    }
}

impl Known {
    fn is_settled(&self) -> bool {
        self.wanted.is_some() && self.wanted == self.proven.map(|(digest, _)| digest) && !self.must_resend
    }
}
