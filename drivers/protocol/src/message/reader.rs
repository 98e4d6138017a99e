//! From bytes to fields, with an error that names the field.

use bytes::{Buf as _, Bytes};

use super::{MessageError, SLOTS_MAX, VERSION_MAX};
use crate::id::StationId;
use crate::moment::Moment;
use crate::panel::{Colours, Panel};
use crate::planes::Digest;

/// Takes fields off the front of a message.
pub(super) struct Reader {
    pub(super) rest: Bytes,
}

impl Reader {
    pub(super) fn bytes(&mut self, field: &'static str, length: usize) -> Result<Bytes, MessageError> {
        if self.rest.len() < length { Err(MessageError::Truncated(field)) } else { Ok(self.rest.split_to(length)) }
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], MessageError> {
        let array = *self.rest.first_chunk::<N>().ok_or(MessageError::Truncated(field))?;
        self.rest.advance(N);
        Ok(array)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, MessageError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, MessageError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, MessageError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, MessageError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(super) fn moment(&mut self, field: &'static str) -> Result<Moment, MessageError> {
        let micros = self.u64(field)?;
        let moment = Moment::from_micros(micros);
        let later = || MessageError::Field { field, reason: format!("{micros} lies behind the last moment") };
        (moment.as_micros() == micros).then_some(moment).ok_or_else(later)
    }

    pub(super) fn slot(&mut self) -> Result<u8, MessageError> {
        match self.u8("slot")? {
            slot @ 1..=SLOTS_MAX => Ok(slot),
            _ => Err(MessageError::Field { field: "slot", reason: "is not 1 to 7".to_owned() }),
        }
    }

    pub(super) fn digest(&mut self) -> Result<Digest, MessageError> {
        Ok(Digest(self.array("digest")?))
    }

    pub(super) fn code<T: Copy>(&mut self, field: &'static str, all: &[T]) -> Result<T, MessageError> {
        let code = self.u8(field)?;
        let unknown = || MessageError::Field { field, reason: format!("{code} is not one of version {VERSION_MAX}") };
        all.get(usize::from(code)).copied().ok_or_else(unknown)
    }

    pub(super) fn panel(&mut self) -> Result<Panel, MessageError> {
        let colours = self.code("panel colours", &Colours::ALL)?;
        Panel::new(colours, self.u16("panel width")?, self.u16("panel height")?)
            .map_err(|error| MessageError::Field { field: "panel", reason: format!("is invalid: {error}") })
    }

    pub(super) fn station(&mut self) -> Result<StationId, MessageError> {
        let invalid = |reason: String| MessageError::Field { field: "station", reason };
        let length = usize::from(self.u8("station")?);
        let name = self.bytes("station", length)?;
        let name = std::str::from_utf8(&name).map_err(|_| invalid("is not UTF-8".to_owned()))?;
        name.parse().map_err(|error| invalid(format!("is invalid: {error}")))
    }

    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, MessageError>,
    ) -> Result<Vec<T>, MessageError> {
        let length = self.u16("length")?;
        (0..length).map(|_| item(self)).collect()
    }

    pub(super) fn end<T>(self, message: T) -> Result<T, MessageError> {
        if self.rest.is_empty() { Ok(message) } else { Err(MessageError::Trailing(self.rest.len())) }
    }
}
