//! Types whose text form is their form everywhere: `FromStr` and `Display` are inverse, and serde uses both.

/// Implements `Serialize` through `Display` and `Deserialize` through `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Defines an enum by its words: `FromStr`, `Display` and serde all use them, and an error lists them.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $error:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        #[doc = concat!("A text that is no ", $noun, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{} `{text}` is not known; expected one of {}", $noun, $name::WORDS.join(", "))]
        pub struct $error {
            text: String,
        }

        impl $name {
            /// Every variant, in the order of its words.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The words of all variants.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word that stands for it on the wire and on disk.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::ALL.iter().copied().find(|it| it.as_str() == text).ok_or_else(|| $error { text: text.to_owned() })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::catalog::text_form::serde_as_text!($name);
    };
}

pub(crate) use {serde_as_text, word_enum};
