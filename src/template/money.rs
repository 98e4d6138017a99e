//! How an amount of a currency is written on a label.

/// A currency's sign and how amounts stand with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notation<'a> {
    /// `¥`, `€`, `$`, … or the code itself.
    pub(crate) sign: &'a str,
    /// Where the sign stands.
    pub(crate) side: Side,
    /// Between the whole part and the decimals.
    pub(crate) separator: char,
}

/// Where a currency's sign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `¥9.90`.
    Before,
    /// `9,90 €`.
    After,
}

/// How amounts of an ISO 4217 currency are written; an unknown one shows its code behind the amount.
pub(crate) fn notation(currency: &str) -> Notation<'_> {
    let (sign, side, separator) = match currency {
        "CNY" | "JPY" => ("¥", Side::Before, '.'),
        "USD" => ("$", Side::Before, '.'),
        "GBP" => ("£", Side::Before, '.'),
        "EUR" => ("€", Side::After, ','),
        code => (code, Side::After, '.'),
    };
    Notation { sign, side, separator }
}

/// An amount (`"59.90"`) as one text: `¥59.90`, `59,90 €`.
pub(crate) fn written(amount: &str, currency: &str) -> String {
    let Notation { sign, side, separator } = notation(currency);
    let amount = amount.replacen('.', separator.encode_utf8(&mut [0; 4]), 1);
    match side {
        Side::Before => format!("{sign}{amount}"),
        // The space does not break: an amount and its sign stay on one line.
        Side::After => format!("{amount}\u{a0}{sign}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_stand_where_the_currency_wants_them() {
        assert_eq!(written("59.90", "CNY"), "¥59.90");
        assert_eq!(written("0.50", "USD"), "$0.50");
        assert_eq!(written("12.00", "EUR"), "12,00\u{a0}€");
        assert_eq!(written("12.00", "SEK"), "12.00\u{a0}SEK");
    }
}
