//! I4, I5, I7: how much there is, how long it takes, and that it ends.

use super::{Fact, Found, Invariant};

/// Whether it should be quiet.
#[derive(Debug, Default)]
pub(super) struct LoadChecker {
    is_quiet: bool,
}

impl LoadChecker {
    pub(super) fn see(&mut self, fact: &Fact) -> Found {
        match fact {
            Fact::Level { of, value, max } if value > max => {
                Some((Invariant::Bounded, None, format!("{of} is at {value}, its bound is {max}")))
            }
            Fact::Recovered { wrong, check_ins_max } => {
                let (label, check_ins) = wrong.iter().find(|(_, check_ins)| check_ins > check_ins_max)?;
                let text = format!("the glass is wrong {check_ins} check-ins after the faults stopped");
                Some((Invariant::Recovers, Some(*label), text))
            }
            Fact::Quiet => {
                self.is_quiet = true;
                None
            }
            Fact::Sent { label } if self.is_quiet => {
                let text = "every label agrees, and something is sent to one".to_owned();
                Some((Invariant::Quiet, Some(*label), text))
            }
            _ => None,
        }
    }
}
