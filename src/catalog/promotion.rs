//! A promotion: a price or text that holds for some products between two instants.

use std::collections::BTreeSet;

use gondola_protocol::Moment;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::currency::Currency;
use super::sku::{PromotionId, Sku};
use super::text_form::word_enum;

word_enum! {
    /// What a promotion does.
    Kind, "kind", KindError {
        /// Its price replaces the base price.
        SpecialPrice = "special_price",
        /// A share of the base price is taken off.
        PercentOff = "percent_off",
        /// Its price is for members.
        MemberPrice = "member_price",
        /// Its price holds for some hours.
        LimitedTime = "limited_time",
        /// Its price is a shop's own, which the web does not have.
        StoreExclusive = "store_exclusive",
        /// It brings a text and no price.
        TextOnly = "text_only",
    }
}

word_enum! {
    /// Whom a promotion is for.
    Audience, "audience", AudienceError {
        /// Everyone.
        All = "all",
        /// Members, beside the price for everyone.
        Member = "member",
    }
}

word_enum! {
    /// Where a promotion holds.
    Channel, "channel", ChannelError {
        /// In shops alone.
        Store = "store",
        /// On the web alone: a label never shows it.
        Online = "online",
        /// In shops and on the web.
        Both = "both",
    }
}

/// What a promotion makes of a base price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// This price, in the store's currency, not negative.
    Price(Decimal),
    /// The base price less this many hundredths of it: above 0 and below 100.
    Percent(Decimal),
    /// Nothing: the promotion brings its text alone.
    Text,
}

impl Reduction {
    /// The price that results from a base price, rounded half up to the currency's minor unit; none where it is
    /// not below the base price, so that only the text counts.
    #[must_use]
    pub fn result(self, base: Decimal, currency: Currency) -> Option<Decimal> {
        let result = match self {
            Self::Price(price) => price,
            Self::Percent(percent) => currency.round(base * (Decimal::ONE_HUNDRED - percent) / Decimal::ONE_HUNDRED),
            Self::Text => return None,
        };
        (result < base).then_some(result)
    }
}

/// One promotion, whole. Its serde form is what the view keeps on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Names it.
    pub id: PromotionId,
    /// The source's number for this state of the promotion.
    pub revision: u64,
    /// The products that it names, known or not.
    pub skus: BTreeSet<Sku>,
    /// What it does.
    pub kind: Kind,
    /// What it makes of the base price.
    pub reduction: Reduction,
    /// The first instant at which it holds.
    #[serde(with = "micros")]
    pub start: Moment,
    /// The first instant at which it no longer holds.
    #[serde(with = "micros")]
    pub end: Moment,
    /// What the source says of it, for example `双十一`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<SmolStr>,
    /// Whom it is for.
    pub audience: Audience,
    /// Where it holds.
    pub channel: Channel,
    /// The highest wins.
    #[serde(default)]
    pub priority: i64,
}

impl Promotion {
    /// Whether it holds at this instant: from its start on, and no longer at its end.
    #[must_use]
    pub fn holds(&self, at: Moment) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether shops have it at all.
    #[must_use]
    pub fn is_in_shops(&self) -> bool {
        matches!(self.channel, Channel::Store | Channel::Both)
    }

    /// The next instant after `at` from which it holds, or no longer holds.
    #[must_use]
    pub fn next_boundary(&self, at: Moment) -> Option<Moment> {
        [self.start, self.end].into_iter().find(|boundary| *boundary > at)
    }
}

/// Moments on disk: microseconds since the Unix epoch.
pub(super) mod micros {
    use gondola_protocol::Moment;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::catalog) fn serialize<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(moment.as_micros())
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        u64::deserialize(deserializer).map(Moment::from_micros)
    }
}
