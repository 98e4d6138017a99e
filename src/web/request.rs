//! What requests carry: query parameters and JSON bodies, with errors that name the place.

use std::fmt::Display;
use std::str::FromStr;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::BODY_MAX;
use super::problem::Problem;

/// Longest piece of a body that an error repeats.
const QUOTE_CHARS_MAX: usize = 64;

/// Longest text that is read as an id or a size: the longest id has 64 characters.
const PARSED_BYTES_MAX: usize = 256;

/// Query parameters; one that is not known is an error.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| Self(params)).map_err(|error| {
            let text = error.body_text();
            let reason = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, reason)| reason);
            Problem::bad_request(format!("query string: {reason}"))
        })
    }
}

/// A form as a browser sends it; a name may come several times.
pub(super) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// What was written in a field, without the spaces around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// A secret as it was written.
    pub(super) fn secret(&self, name: &str) -> String {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Everything of one name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// What a field holds, if anything.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        self.text(name).parse().map_err(Problem::unprocessable)
    }
}

impl<S: Send + Sync> FromRequest<S> for FormFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        form.map(|Form(fields)| Self(fields)).map_err(|error| Problem::new(error.status(), error.body_text()))
    }
}

/// A JSON body; an empty one counts as `{}`.
pub(super) struct Body(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return too_long();
            }
            Problem::bad_request(format!("the body could not be read: {}", error.body_text()))
        })?;
        if bytes.is_empty() {
            return Ok(Self(Value::Object(Map::new())));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))
    }
}

/// For a body that nobody reads to its end.
pub(super) fn too_long() -> Problem {
    let detail = format!("the body is longer than {BODY_MAX} bytes; send fewer items at once");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Why a JSON value is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    /// Another type.
    #[error("{place} is {found}; expected {expected}")]
    Type { place: String, found: String, expected: String },
    /// A name that means nothing here.
    #[error("{place} has the unknown field `{field}`; expected {expected}")]
    Unknown { place: String, field: String, expected: String },
    /// Something is not there.
    #[error("{place} has no field `{field}`")]
    Missing { place: String, field: &'static str },
    /// A text that does not parse.
    #[error("{place}: {reason}")]
    Invalid { place: String, reason: String },
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::unprocessable(error)
    }
}

/// The fields of a JSON object, taken one by one.
pub(super) struct Fields {
    place: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which must be an object and have no others than `expected`.
    pub(super) fn of(place: &str, value: Value, expected: &[&str]) -> Result<Self, FieldError> {
        let Value::Object(map) = value else { return Err(other_type(place.to_owned(), &value, "an object")) };
        if let Some(field) = map.keys().find(|name| !expected.contains(&name.as_str())) {
            let (field, expected) = (shorten(field), expected.join(", "));
            return Err(FieldError::Unknown { place: place.to_owned(), field, expected });
        }
        Ok(Self { place: place.to_owned(), map })
    }

    /// A field's value; none where it is null or absent.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text of at most `chars_max` characters; none where it is null or absent.
    pub(super) fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, FieldError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= chars_max => Ok(Some(text)),
            Some(other) => Err(other_type(self.at(name), &other, &format!("a text of at most {chars_max} characters"))),
        }
    }

    /// A text that must be there and parse.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Result<T, FieldError> {
        let missing = || FieldError::Missing { place: self.place.clone(), field: name };
        let value = self.map.remove(name).ok_or_else(missing)?;
        parse(&self.at(name), &value)
    }

    /// Yes or no; no where it is null or absent.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, FieldError> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(other_type(self.at(name), &other, "true or false")),
        }
    }

    /// An integer from `low` to `high`; none where it is null or absent.
    pub(super) fn number(&mut self, name: &str, low: u64, high: u64) -> Result<Option<u64>, FieldError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| (low..=high).contains(number));
        number.map(Some).ok_or_else(|| other_type(self.at(name), &value, &format!("an integer from {low} to {high}")))
    }

    /// An array that must be there.
    pub(super) fn array(&mut self, name: &'static str) -> Result<Vec<Value>, FieldError> {
        match self.map.remove(name) {
            None => Err(FieldError::Missing { place: self.place.clone(), field: name }),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(other_type(self.at(name), &other, "an array")),
        }
    }

    /// An array; empty where it is null or absent.
    pub(super) fn array_or_none(&mut self, name: &'static str) -> Result<Vec<Value>, FieldError> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(other_type(self.at(name), &other, "an array")),
        }
    }

    /// How errors call a field.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}: `{name}`", self.place)
    }
}

/// The id or size that a text stands for.
pub(super) fn parse<T: FromStr<Err: Display>>(place: &str, value: &Value) -> Result<T, FieldError> {
    let Value::String(text) = value else { return Err(other_type(place.to_owned(), value, "a text")) };
    // Why it is no id would repeat all of it.
    if text.len() > PARSED_BYTES_MAX {
        return Err(other_type(place.to_owned(), value, &format!("a text of at most {PARSED_BYTES_MAX} bytes")));
    }
    text.parse().map_err(|error: T::Err| FieldError::Invalid { place: place.to_owned(), reason: error.to_string() })
}

fn other_type(place: String, found: &Value, expected: &str) -> FieldError {
    let found = match found {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => shorten(&scalar.to_string()),
    };
    FieldError::Type { place, found, expected: expected.to_owned() }
}

/// The beginning of a text.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
