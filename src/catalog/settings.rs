//! What a store's configuration says about its prices. Nothing here is read from a file.

use jiff::tz::TimeZone;

use super::currency::Currency;
use super::guard::GuardRules;
use super::text_form::word_enum;

word_enum! {
    /// Whose law on price tags holds.
    Market, "market", MarketError {
        /// China: Order 56.
        China = "CN",
        /// European Union: 98/6/EC as amended by 2019/2161.
        Europe = "EU",
        /// United States.
        UnitedStates = "US",
    }
}

word_enum! {
    /// What kind of shop a store is.
    Format, "format", FormatError {
        /// A shop for some weeks.
        PopUp = "pop-up",
        /// On a university's ground.
        Campus = "campus",
        /// In a community mall.
        Community = "community",
        /// The large one.
        Flagship = "flagship",
    }
}

/// A store's settings that decide what its shelf prices look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of every amount in the store.
    pub currency: Currency,
    /// Decides which struck-through price is lawful.
    pub market: Market,
    /// Dates on labels are in this zone; decisions are not.
    pub time_zone: TimeZone,
    /// Which price changes wait for a person.
    pub guard: GuardRules,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variants_are_inverse() {
        for market in Market::ALL {
            assert_eq!(market.to_string().parse(), Ok(*market));
        }
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
            let json = serde_json::to_string(format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&json).unwrap(), *format);
        }
        assert_eq!(
            "mall".parse::<Format>().unwrap_err().to_string(),
            "format `mall` is not known; expected one of pop-up, campus, community, flagship"
        );
    }
}
