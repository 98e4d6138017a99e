//! Currencies: how many minor digits an amount has, and how it is written. No symbols and no exchange.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

use super::text_form::serde_as_text;

/// An ISO 4217 code, for example `CNY`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is no currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("currency `{text}` is not three upper-case letters of ISO 4217, for example `CNY`")]
pub struct CurrencyError {
    text: String,
}

impl Currency {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency holds three ASCII letters")
    }

    /// Digits after the decimal point, by ISO 4217 list one; 2 for a code that it does not single out.
    #[must_use]
    pub fn minor_digits(self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }

    /// The amount rounded half up to the minor unit.
    #[must_use]
    pub fn round(self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.minor_digits(), RoundingStrategy::MidpointAwayFromZero)
    }

    /// The amount with exactly the minor digits: `49.90`, or `500` in yen.
    #[must_use]
    pub fn format(self, amount: Decimal) -> String {
        let digits = self.minor_digits();
        let mut rounded = self.round(amount);
        rounded.rescale(digits);
        rounded.to_string()
    }

    /// Whether the amount is a whole number of minor units, so that writing it loses nothing.
    #[must_use]
    pub fn can_write(self, amount: Decimal) -> bool {
        amount.normalize().scale() <= self.minor_digits()
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(CurrencyError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

serde_as_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(currency: &str, amount: &str, written: &str) {
        let currency: Currency = currency.parse().unwrap();
        assert_eq!(currency.format(amount.parse().unwrap()), written);
    }

    #[test]
    fn amounts_have_the_currencys_minor_digits() {
        check("CNY", "49.9", "49.90");
        check("CNY", "49.900", "49.90");
        check("CNY", "0", "0.00");
        check("CNY", "0.005", "0.01");
        check("JPY", "500", "500");
        check("JPY", "499.5", "500");
        check("KRW", "12000.00", "12000");
        check("KWD", "1.25", "1.250");
        check("EUR", "12999", "12999.00");
    }

    #[test]
    fn an_amount_finer_than_the_minor_unit_cannot_be_written() {
        let yuan: Currency = "CNY".parse().unwrap();
        assert!(yuan.can_write("1.230".parse().unwrap()));
        assert!(!yuan.can_write("1.234".parse().unwrap()));
    }

    #[test]
    fn a_code_is_three_capital_letters() {
        for text in ["", "CN", "cny", "CNYX", "人民", "C1Y"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
        assert_eq!(
            "元".parse::<Currency>().unwrap_err().to_string(),
            "currency `元` is not three upper-case letters of ISO 4217, for example `CNY`"
        );
    }
}
