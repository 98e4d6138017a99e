//! The fields of one JSON object, each read into its type or told as a problem. Absent and null are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use gondola_protocol::Moment;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::error::Problem;
use super::{REVISION_MAX, UNKNOWN_FIELDS_MAX};
use crate::catalog::product::{ATTRIBUTES_MAX, TEXT_CHARS_MAX};

/// Most digits before and after an amount's point. A trillion is more than any shelf price in any currency, six
/// decimals more than any currency's minor digits, and 18 digits leave room to multiply within a decimal's 28.
const AMOUNT_DIGITS_MAX: (usize, usize) = (12, 6);

/// Longest piece of a bad value that is repeated in an error, in characters.
const QUOTE_CHARS_MAX: usize = 48;

const AMOUNT: &str = "an amount as a decimal string such as \"59.90\"";
const INSTANT: &str = "an RFC 3339 instant since 1970 with offset such as \"2026-11-25T00:00:00+08:00\"";
const INTEGER: &str = "an integer between -9007199254740991 and 9007199254740991";
const REVISION: &str = "an integer from 0 to 9007199254740991";

/// One object, with the path to it for its fields' names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: &'static str,
}

impl<'a> Fields<'a> {
    /// The fields of a row.
    pub(super) fn of(value: &'a Value) -> Result<Self, Problem> {
        match value.as_object() {
            Some(object) => Ok(Self { object, path: "" }),
            None => Err(Problem::NotAnObject { found: describe(value) }),
        }
    }

    /// The fields of an object inside this one; `path` is its name and a point.
    pub(super) fn inner(
        &self,
        name: &str,
        path: &'static str,
        expected: &'static str,
    ) -> Result<Option<Self>, Problem> {
        self.read(name, expected, |value| Some(Self { object: value.as_object()?, path }))
    }

    /// Collects the names of fields that `known` does not list, as far as there is room for them.
    pub(super) fn note_unknown(&self, known: &[&str], within: &str, unknown: &mut BTreeSet<String>) {
        for name in self.object.keys().filter(|name| !known.contains(&name.as_str())) {
            if unknown.len() >= UNKNOWN_FIELDS_MAX {
                return;
            }
            unknown.insert(format!("{within}{}{}", self.path, shorten(name)));
        }
    }

    /// A text of at most [`TEXT_CHARS_MAX`] characters, as given.
    pub(super) fn text(&self, name: &str) -> Result<Option<SmolStr>, Problem> {
        self.read(name, "a text of at most 512 characters without control characters", |value| {
            value.as_str().filter(|text| is_text(text)).map(SmolStr::new)
        })
    }

    /// Texts by name.
    pub(super) fn texts(&self, name: &str) -> Result<BTreeMap<SmolStr, SmolStr>, Problem> {
        let texts = self.read(name, "an object of at most 64 texts without control characters", |value| {
            let object = value.as_object().filter(|object| object.len() <= ATTRIBUTES_MAX)?;
            let pair = |(name, value): (&'a String, &'a Value)| {
                let text = value.as_str().filter(|text| is_text(name) && is_text(text))?;
                Some((name.into(), text.into()))
            };
            object.iter().map(pair).collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// Texts by name, null among them where one is taken away.
    pub(super) fn text_changes(&self, name: &str) -> Result<BTreeMap<SmolStr, Option<SmolStr>>, Problem> {
        let texts = self.read(name, "an object of at most 64 texts or nulls", |value| {
            let object = value.as_object().filter(|object| object.len() <= ATTRIBUTES_MAX)?;
            let pair = |(name, value): (&'a String, &'a Value)| {
                let text = match value {
                    Value::Null => None,
                    value => Some(value.as_str().filter(|text| is_text(name) && is_text(text))?.into()),
                };
                Some((name.into(), text))
            };
            object.iter().map(pair).collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// Whether the field is there, be it null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// An amount that is not negative.
    pub(super) fn amount(&self, name: &str) -> Result<Option<Decimal>, Problem> {
        self.read(name, AMOUNT, |value| amount(value.as_str()?))
    }

    /// An amount that must be there.
    pub(super) fn required_amount(&self, name: &str) -> Result<Decimal, Problem> {
        self.amount(name)?.ok_or_else(|| self.missing(name, AMOUNT))
    }

    /// An instant that must be there.
    pub(super) fn instant(&self, name: &str) -> Result<Moment, Problem> {
        let instant = self.read(name, INSTANT, |value| instant(value.as_str()?))?;
        instant.ok_or_else(|| self.missing(name, INSTANT))
    }

    /// The source's number, which must be there.
    pub(super) fn revision(&self) -> Result<u64, Problem> {
        self.number("revision")?.ok_or_else(|| self.missing("revision", REVISION))
    }

    /// A number of the source's: not negative, and one that a JSON number holds exactly in every language.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.read(name, REVISION, |value| value.as_u64().filter(|number| *number <= REVISION_MAX))
    }

    /// An integer that a JSON number holds exactly in every language.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Problem> {
        self.read(name, INTEGER, |value| value.as_i64().filter(|integer| integer.unsigned_abs() <= REVISION_MAX))
    }

    /// An integer that must be there.
    pub(super) fn required_integer(&self, name: &str) -> Result<i64, Problem> {
        self.integer(name)?.ok_or_else(|| self.missing(name, INTEGER))
    }

    /// A text that must be there and not be empty.
    pub(super) fn required_text(&self, name: &str, expected: &'static str) -> Result<SmolStr, Problem> {
        match self.text(name)? {
            Some(text) if text.is_empty() => Err(self.unexpected(name, expected)),
            Some(text) => Ok(text),
            None => Err(self.missing(name, expected)),
        }
    }

    /// Something with a text form, which must be there.
    pub(super) fn required<T: FromStr>(&self, name: &str, expected: &'static str) -> Result<T, Problem> {
        self.optional(name, expected)?.ok_or_else(|| self.missing(name, expected))
    }

    /// Something with a text form.
    pub(super) fn optional<T: FromStr>(&self, name: &str, expected: &'static str) -> Result<Option<T>, Problem> {
        self.read(name, expected, |value| value.as_str()?.parse().ok())
    }

    /// Many ids, at most `max`, if they are there; an id that stands twice counts once.
    pub(super) fn ids<T: FromStr + Ord>(
        &self,
        name: &str,
        max: usize,
        expected: &'static str,
    ) -> Result<Option<BTreeSet<T>>, Problem> {
        let Some(list) = self.value(name) else { return Ok(None) };
        let items = list.as_array().ok_or_else(|| self.bad(name, describe(list), expected))?;
        if items.len() > max {
            return Err(self.bad(name, format!("an array of {} items", items.len()), expected));
        }
        let id = |item: &Value| item.as_str().and_then(|text| text.parse().ok());
        items
            .iter()
            .map(|item| id(item).ok_or_else(|| self.bad(name, format!("an array with {}", describe(item)), expected)))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The items of an array, at most `max`; none when it is absent.
    pub(super) fn list(&self, name: &str, max: usize, expected: &'static str) -> Result<&'a [Value], Problem> {
        let Some(value) = self.value(name) else { return Ok(&[]) };
        match value.as_array() {
            Some(items) if items.len() <= max => Ok(items),
            Some(items) => Err(self.bad(name, format!("an array of {} items", items.len()), expected)),
            None => Err(self.bad(name, describe(value), expected)),
        }
    }

    /// Whether the row removes what it names.
    pub(super) fn is_deleted(&self) -> Result<bool, Problem> {
        Ok(self.read("deleted", "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// The problem that a field's value, as it stands, is not what was expected.
    pub(super) fn unexpected(&self, name: &str, expected: &'static str) -> Problem {
        let found = self.value(name).map_or_else(|| "null".to_owned(), describe);
        self.bad(name, found, expected)
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| self.bad(name, describe(value), expected))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// The problem that a field is not there.
    pub(super) fn missing(&self, name: &str, expected: &'static str) -> Problem {
        Problem::Missing { field: format!("{}{name}", self.path), expected }
    }

    fn bad(&self, name: &str, found: String, expected: &'static str) -> Problem {
        Problem::Field { field: format!("{}{name}", self.path), found, expected }
    }
}

/// A value in words, cut where it is long.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => format!("the boolean {it}"),
        Value::Number(it) => format!("the number {it}"),
        Value::String(it) => format!("the text \"{}\"", shorten(it)),
        Value::Array(items) => format!("an array of {} items", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The beginning of a text, safe to print: what a source sends must not move a terminal's cursor.
pub(super) fn shorten(text: &str) -> String {
    let plain = |it: char| if it.is_control() { '\u{fffd}' } else { it };
    let mut short: String = text.chars().take(QUOTE_CHARS_MAX).map(plain).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Digits, and a point with digits after it if there is one: no sign, no exponent, no separators.
fn amount(text: &str) -> Option<Decimal> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str, max| (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole_max, decimals_max) = AMOUNT_DIGITS_MAX;
    if !is_digits(whole, whole_max) || !is_digits(decimals, decimals_max) {
        return None;
    }
    Decimal::from_str(text).ok()
}

/// RFC 3339 and no more: the library also reads blanks, missing seconds and zone names.
fn instant(text: &str) -> Option<Moment> {
    let head = text.get(..19)?;
    let is_date_time = head.bytes().zip(*b"dddd-dd-ddTdd:dd:dd").all(|(byte, shape)| fits(byte, shape));
    let rest = &text[19..];
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|it: char| it.is_ascii_digit()),
        None => rest,
    };
    let is_fraction = rest.len() - offset.len() != 1;
    let is_zone = matches!(offset, "Z" | "z")
        || offset.len() == 6 && offset.bytes().zip(*b"+dd:dd").all(|(byte, shape)| fits(byte, shape));
    if !is_date_time || !is_fraction || !is_zone {
        return None;
    }
    let timestamp: Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_microsecond()).ok().map(Moment::from_micros)
}

fn fits(byte: u8, shape: u8) -> bool {
    match shape {
        b'd' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        b'T' => matches!(byte, b'T' | b't'),
        literal => byte == literal,
    }
}
