//! What must be true of a controller and its shop, seen from outside.
//!
//! A checker knows neither the controller nor the simulated world: it is told plain facts, by whoever drives the two,
//! and says which of them cannot be.
//!
//! | | |
//! |---|---|
//! | I1 | a label never shows an image that was never desired for it |
//! | I2 | never a lower edition after a higher one |
//! | I3 | every accepted request and transfer settles exactly once |
//! | I4 | every queue within its bound; radio bytes and check-ins within budget |
//! | I5 | after faults stop, every reachable label shows its desired image within N check-ins |
//! | I6 | a crash at any journal step loses no acknowledged request |
//! | I7 | an in-sync fleet sends nothing but keep-alives |
//! | I8 | no confirmation or proof of display without the picture on the glass |

mod glass;
mod load;
mod requests;

use std::collections::BTreeMap;
use std::fmt;

use gondola_protocol::{Digest, Edition, LabelId, Moment};

use glass::GlassChecker;
use load::LoadChecker;
use requests::RequestChecker;

/// Facts about one label that are kept for a report on it, the newest ones: some pictures' worth.
const TRACE_MAX: usize = 64;

/// Violations that are kept: the first is the one that matters.
const VIOLATIONS_MAX: usize = 16;

/// Something that was seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A label hangs in the shop, and shows this.
    Hung {
        /// The label.
        label: LabelId,
        /// Digest of what it shows.
        digest: Digest,
    },
    /// A picture was meant for a label and went on its way.
    Meant {
        /// The label.
        label: LabelId,
        /// The picture's running number.
        edition: Edition,
        /// Its digest.
        digest: Digest,
    },
    /// A glass changed.
    Glass {
        /// The label.
        label: LabelId,
        /// The edition that it reports.
        edition: Edition,
        /// Digest of what it shows.
        digest: Digest,
        /// Which of the devices with its id, counted from 0.
        device: usize,
    },
    /// A label forgot everything: what comes next starts anew.
    Reset {
        /// The label.
        label: LabelId,
        /// Which of the devices with its id, counted from 0.
        device: usize,
    },
    /// The controller recorded that a label has proven to show a picture.
    Proven {
        /// The label.
        label: LabelId,
        /// The edition.
        edition: Edition,
        /// The digest.
        digest: Digest,
    },
    /// Other systems were told that all labels of a product show its price.
    Confirmed {
        /// The product.
        product: String,
        /// One whose glass shows another picture, if there is one.
        wrong: Option<LabelId>,
    },
    /// Something was asked for, and has to be answered.
    Asked {
        /// Its number.
        number: u64,
        /// What it makes of what.
        claim: Claim,
    },
    /// It was answered.
    Answered {
        /// Its number.
        number: u64,
        /// Whether it is carried out.
        granted: bool,
    },
    /// A base station's driver took a transfer.
    Taken {
        /// The transfer.
        number: u32,
    },
    /// It said what became of it.
    Settled {
        /// The transfer.
        number: u32,
    },
    /// The controller has died, and another one went on with what it had on disk.
    Restarted {
        /// What that one holds true.
        holds: BTreeMap<String, String>,
    },
    /// How full something is.
    Level {
        /// What.
        of: String,
        /// How full.
        value: u64,
        /// Its bound.
        max: u64,
    },
    /// The faults have stopped, and time enough has passed since.
    Recovered {
        /// A label that the shop's sources and its glass disagree about, with its check-ins since the faults stopped.
        wrong: Vec<(LabelId, u64)>,
        /// Check-ins within which it had to agree.
        check_ins_max: u64,
    },
    /// From now on every label agrees, and nothing changes any more.
    Quiet,
    /// Something was sent to a label.
    Sent {
        /// The label.
        label: LabelId,
    },
}

impl Fact {
    const fn label(&self) -> Option<LabelId> {
        match self {
            Self::Hung { label, .. }
            | Self::Meant { label, .. }
            | Self::Glass { label, .. }
            | Self::Reset { label, .. }
            | Self::Proven { label, .. }
            | Self::Sent { label } => Some(*label),
            Self::Confirmed { wrong, .. } => *wrong,
            _ => None,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hung { label, digest } => write!(f, "label {label} hangs and shows {digest}"),
            Self::Meant { label, edition, digest } => write!(f, "edition {edition} of label {label} is {digest}"),
            Self::Glass { label, edition, digest, device } => {
                write!(f, "label {label} shows edition {edition}, {digest}{}", Which(*device))
            }
            Self::Reset { label, device } => write!(f, "label {label} forgets everything{}", Which(*device)),
            Self::Proven { label, edition, digest } => {
                write!(f, "label {label} is said to have proven edition {edition}, {digest}")
            }
            Self::Sent { label } => write!(f, "label {label} is sent something"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Which of the devices with one id: nothing is said of the first.
struct Which(usize);

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " (device {} of that id)", self.0 + 1) }
    }
}

/// What a request makes of something: for example of a label's binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of what.
    pub key: String,
    /// What; none when it is no more.
    pub value: Option<String>,
}

/// What must be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A label never shows an image that was never desired for it.
    Desired,
    /// Never a lower edition after a higher one.
    Monotone,
    /// Every accepted request settles exactly once.
    Once,
    /// Every queue within its bound, bytes and check-ins within budget.
    Bounded,
    /// After faults stop, every reachable label comes to show its desired image.
    Recovers,
    /// A crash loses no acknowledged request.
    Durable,
    /// An in-sync fleet sends nothing but keep-alives.
    Quiet,
    /// No confirmation or proof without the picture on the glass.
    Proven,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}", *self as u8 + 1)
    }
}

/// Something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What it violates.
    pub invariant: Invariant,
    /// When it was seen.
    pub at: Moment,
    /// The label concerned, if it is about one.
    pub label: Option<LabelId>,
    /// A sentence.
    pub text: String,
    /// The newest facts about that label, oldest first.
    pub trace: Vec<(Moment, Fact)>,
}

/// What one checker found.
pub(crate) type Found = Option<(Invariant, Option<LabelId>, String)>;

/// All checkers over one shop.
#[derive(Debug, Default)]
pub struct Checkers {
    glass: GlassChecker,
    requests: RequestChecker,
    load: LoadChecker,
    traces: BTreeMap<LabelId, Vec<(Moment, Fact)>>,
    violations: Vec<Violation>,
}

impl Checkers {
    /// Takes in a fact.
    pub fn see(&mut self, at: Moment, fact: Fact) {
        let found = [self.glass.see(&fact), self.requests.see(&fact), self.load.see(&fact)];
        if let Some(label) = fact.label() {
            let trace = self.traces.entry(label).or_default();
            if trace.len() == TRACE_MAX {
                trace.remove(0);
            }
            trace.push((at, fact));
        }
        for (invariant, label, text) in found.into_iter().flatten() {
            let trace = label.and_then(|label| self.traces.get(&label)).cloned().unwrap_or_default();
            if self.violations.len() < VIOLATIONS_MAX {
                self.violations.push(Violation { invariant, at, label, text, trace });
            }
        }
    }

    /// The end: whatever was asked for has its answer by now.
    pub fn finish(&mut self, at: Moment) {
        if let Some((invariant, label, text)) = self.requests.finish() {
            self.violations.push(Violation { invariant, at, label, text, trace: Vec::new() });
        }
    }

    /// What was found, the first things first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

#[cfg(test)]
mod tests {
    use gondola_protocol::{Panel, Planes};

    use super::*;

    const LABEL: LabelId = LabelId(7);

    fn digest(ink: u8) -> Digest {
        let panel: Panel = "bw-8x1".parse().unwrap();
        Planes::new(panel, vec![ink]).unwrap().digest()
    }

    #[track_caller]
    fn check(facts: impl IntoIterator<Item = Fact>, expected: &[(Invariant, &str)]) {
        let mut checkers = Checkers::default();
        for (second, fact) in (0..).zip(facts) {
            checkers.see(Moment::from_secs(second), fact);
        }
        checkers.finish(Moment::from_secs(1_000));
        let found: Vec<_> = checkers.violations().iter().map(|found| (found.invariant, found.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    fn meant(edition: u64, ink: u8) -> Fact {
        Fact::Meant { label: LABEL, edition: Edition(edition), digest: digest(ink) }
    }

    fn glass(edition: u64, ink: u8) -> Fact {
        Fact::Glass { label: LABEL, edition: Edition(edition), digest: digest(ink), device: 0 }
    }

    fn proven(edition: u64, ink: u8) -> Fact {
        Fact::Proven { label: LABEL, edition: Edition(edition), digest: digest(ink) }
    }

    fn asked(number: u64, value: Option<&str>) -> Fact {
        Fact::Asked { number, claim: Claim { key: "7".to_owned(), value: value.map(str::to_owned) } }
    }

    fn restarted(value: Option<&str>) -> Fact {
        Fact::Restarted { holds: value.map(|value| ("7".to_owned(), value.to_owned())).into_iter().collect() }
    }

    #[test]
    fn what_a_glass_shows_was_meant_for_it_and_is_not_older_than_before() {
        let hung = || Fact::Hung { label: LABEL, digest: digest(0) };
        check([hung(), meant(5, 1), glass(5, 1), proven(5, 1), meant(6, 2), glass(6, 2)], &[]);
        check([hung(), meant(5, 1), glass(5, 2)], &[(Invariant::Desired, "a label shows what was never meant for it")]);
        let back = [hung(), meant(5, 1), meant(6, 2), glass(6, 2), glass(5, 1)];
        check(back, &[(Invariant::Monotone, "a label shows edition 5 after 6")]);
        check([hung(), meant(6, 2), glass(6, 2), Fact::Reset { label: LABEL, device: 0 }, glass(0, 0)], &[]);
    }

    #[test]
    fn two_devices_with_one_id_each_go_forward() {
        let hung = Fact::Hung { label: LABEL, digest: digest(0) };
        let twin =
            |edition, ink| Fact::Glass { label: LABEL, edition: Edition(edition), digest: digest(ink), device: 1 };
        let both = [hung, meant(5, 1), glass(5, 1), meant(6, 2), twin(6, 2), proven(6, 2), proven(5, 1), twin(6, 2)];
        check(both.clone(), &[]);
        let back = both.into_iter().chain([twin(5, 1)]);
        check(back, &[(Invariant::Monotone, "a label shows edition 5 after 6")]);
        let foreign = [meant(5, 1), twin(5, 2)];
        check(foreign, &[(Invariant::Desired, "a label shows what was never meant for it")]);
    }

    #[test]
    fn a_proof_needs_the_picture_on_the_glass() {
        let early = [meant(5, 1), proven(5, 1), glass(5, 1)];
        check(early, &[(Invariant::Proven, "a proof of edition 5, which the label never showed")]);
        let wrong = Fact::Confirmed { product: "P1".to_owned(), wrong: Some(LABEL) };
        check([wrong], &[(Invariant::Proven, "the price of P1 is confirmed, and a label shows another picture")]);
        check([Fact::Confirmed { product: "P1".to_owned(), wrong: None }], &[]);
    }

    #[test]
    fn everything_is_answered_once() {
        let answered = |number| Fact::Answered { number, granted: true };
        check([asked(1, None), answered(1)], &[]);
        check([asked(1, None)], &[(Invariant::Once, "request 1 was never answered")]);
        let twice = [asked(1, None), answered(1), answered(1)];
        check(twice, &[(Invariant::Once, "request 1 was answered, and nobody waited for that")]);
        let (taken, settled) = (Fact::Taken { number: 3 }, Fact::Settled { number: 3 });
        check([taken.clone(), settled.clone()], &[]);
        check([taken], &[(Invariant::Once, "transfer 3 was never settled")]);
        check([settled], &[(Invariant::Once, "transfer 3 was settled, and nobody waited for that")]);
    }

    #[test]
    fn what_was_acknowledged_outlives_a_crash() {
        let granted = |number| Fact::Answered { number, granted: true };
        check([asked(1, Some("P1")), granted(1), restarted(Some("P1"))], &[]);
        let lost = [(Invariant::Durable, "7 was acknowledged to be P1, and after a crash it is nothing")];
        check([asked(1, Some("P1")), granted(1), restarted(None)], &lost);
        // What nobody was told of may be either.
        for after in ["P1", "P2"] {
            check([asked(1, Some("P1")), granted(1), asked(2, Some("P2")), restarted(Some(after))], &[]);
        }
        let refused = [asked(1, Some("P1")), Fact::Answered { number: 1, granted: false }, restarted(None)];
        check(refused, &[]);
    }

    #[test]
    fn bounds_recovery_and_quiet() {
        let level = |value| Fact::Level { of: "the line".to_owned(), value, max: 8 };
        check([level(8)], &[]);
        check([level(9)], &[(Invariant::Bounded, "the line is at 9, its bound is 8")]);
        let recovered = |check_ins| Fact::Recovered { wrong: vec![(LABEL, check_ins)], check_ins_max: 10 };
        check([recovered(10)], &[]);
        check([recovered(11)], &[(Invariant::Recovers, "the glass is wrong 11 check-ins after the faults stopped")]);
        let sent = || Fact::Sent { label: LABEL };
        check([sent(), Fact::Quiet], &[]);
        check([Fact::Quiet, sent()], &[(Invariant::Quiet, "every label agrees, and something is sent to one")]);
    }
}
