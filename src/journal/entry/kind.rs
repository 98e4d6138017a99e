//! Reads entries. Each is written with its kind first, so the rest is read as that kind at once. Serde's own reader would
//! keep every field until it has seen all of them, and a start reads three records of each label.

use std::fmt;

use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Entry, OfKind};

/// The name of an entry's first field.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum First {
    Kind,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry with its kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Entry, A::Error> {
        match fields.next_key()? {
            Some(First::Kind) => OfKind::deserialize(EnumAccessDeserializer::new(Fields(fields))),
            None => Err(A::Error::missing_field("kind")),
        }
    }
}

/// What follows the name of the first field: the kind, and then the fields that this kind has.
struct Fields<A>(A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Fields<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, kind: S) -> Result<(S::Value, Self), A::Error> {
        Ok((self.0.next_value_seed(kind)?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.0))
    }

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(A::Error::custom("no kind of entry is without fields"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(A::Error::custom("no kind of entry is a row"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let read = serde_json::from_str::<Entry>(text).map(|entry| entry.to_string());
        let read = read.map_err(|error| error.to_string());
        assert_eq!(read.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn an_entry_is_read_by_its_kind_and_what_a_later_version_adds_is_passed_over() {
        check(r#"{"kind":"removed","label":"000000000000002A"}"#, Ok("label 000000000000002A removed"));
        let newer = r#"{"kind":"removed","since":[1,{}],"label":"000000000000002A","by":"nobody"}"#;
        check(newer, Ok("label 000000000000002A removed"));
        let used = r#"{"kind":"account","change":"token_used","token":"0123456789ab"}"#;
        check(used, Ok("token 0123456789ab used"));
    }

    #[test]
    fn what_is_no_entry_is_named() {
        check("{}", Err("missing field `kind` at line 1 column 2"));
        let later = r#"{"label":"000000000000002A","kind":"removed"}"#;
        check(later, Err("unknown variant `label`, expected `kind` at line 1 column 8"));
        check(r#"{"kind":"removed"}"#, Err("missing field `label` at line 1 column 18"));
        check("[]", Err("invalid type: sequence, expected an entry with its kind at line 1 column 0"));
        check(r#"{"kind":7}"#, Err("invalid type: integer `7`, expected variant identifier at line 1 column 9"));
        let unknown = serde_json::from_str::<Entry>(r#"{"kind":"lost","label":"000000000000002A"}"#).unwrap_err();
        assert!(unknown.to_string().starts_with("unknown variant `lost`, expected one of `registered`, "), "{unknown}");
    }
}
