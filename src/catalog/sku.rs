//! The ids that sources give to products and promotions.

use std::fmt;
use std::str::FromStr;

use gondola_protocol::text::serde_as_text;
use smol_str::SmolStr;

/// Longest id that a source may give.
pub const SOURCE_ID_MAX: usize = 64;

/// A text that is no id of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{text}` is not 1 to {SOURCE_ID_MAX} printable ASCII characters without spaces")]
pub struct SourceIdError {
    kind: &'static str,
    text: String,
}

macro_rules! source_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SourceIdError;

            fn from_str(text: &str) -> Result<Self, SourceIdError> {
                if text.is_empty() || text.len() > SOURCE_ID_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(SourceIdError { kind: $kind, text: text.to_owned() });
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        serde_as_text!($name);
    };
}

source_id!(
    /// Names a product within a store.
    Sku,
    "sku"
);
source_id!(
    /// Names a promotion.
    PromotionId,
    "promotion_id"
);
