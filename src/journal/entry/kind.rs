//! Reads entries. Their kind stands first, as it was written, so the rest is read as that kind at once. Serde itself would
//! keep every field until it has seen all of them, and a start reads three records of each label.

use std::fmt;

use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Entry, OfKind};

/// The field with the kind.
const KIND: &str = "kind";

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
        let first: String = fields.next_key()?.ok_or_else(|| A::Error::missing_field(KIND))?;
        if first == KIND {
            let kind = fields.next_value()?;
            return OfKind::deserialize(EnumAccessDeserializer::new(Fields { kind, fields }));
        }
        // Somebody else has put it in another order.
        let mut all = Map::from_iter([(first, fields.next_value()?)]);
        while let Some((name, value)) = fields.next_entry::<String, Value>()? {
            all.insert(name, value);
        }
        let Some(Value::String(kind)) = all.remove(KIND) else { return Err(A::Error::missing_field(KIND)) };
        let fields = serde::de::value::MapDeserializer::new(all.into_iter());
        OfKind::deserialize(EnumAccessDeserializer::new(Fields { kind, fields }))
            .map_err(|error: serde_json::Error| A::Error::custom(error))
    }
}

/// What follows the kind.
struct Fields<A> {
    kind: String,
    fields: A,
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Fields<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), A::Error> {
        let kind: StringDeserializer<A::Error> = std::mem::take(&mut self.kind).into_deserializer();
        Ok((seed.deserialize(kind)?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.fields)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.fields))
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
    fn an_entry_is_read_in_any_order_of_its_fields() {
        let removed = Ok("label 000000000000002A removed");
        check(r#"{"kind":"removed","label":"000000000000002A"}"#, removed);
        check(r#"{"label":"000000000000002A","kind":"removed"}"#, removed);
        check(r#"{"label":"000000000000002A","since":[1,{}],"kind":"removed","by":"nobody"}"#, removed);
        let used = Ok("token 0123456789ab used");
        check(r#"{"kind":"account","change":"token_used","token":"0123456789ab"}"#, used);
        check(r#"{"change":"token_used","token":"0123456789ab","kind":"account"}"#, used);
    }

    #[test]
    fn what_is_no_entry_is_named() {
        check("{}", Err("missing field `kind` at line 1 column 2"));
        check(r#"{"label":"000000000000002A"}"#, Err("missing field `kind` at line 1 column 28"));
        check(r#"{"kind":"removed"}"#, Err("missing field `label` at line 1 column 18"));
        check("[]", Err("invalid type: sequence, expected an entry with its kind at line 1 column 0"));
        check(r#"{"kind":7}"#, Err("invalid type: integer `7`, expected a string at line 1 column 9"));
        let unknown = serde_json::from_str::<Entry>(r#"{"kind":"lost","label":"000000000000002A"}"#).unwrap_err();
        assert!(unknown.to_string().starts_with("unknown variant `lost`, expected one of `registered`, "), "{unknown}");
    }
}
