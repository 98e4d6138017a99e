//! What becomes of a signal between a label and a base station: textbook formulas with their sources.
//!
//! Powers are in dBm, losses and ratios in dB. The mathematics is `libm`'s, so that every machine agrees.

/// The middle of the 2.4 GHz band: channel 18 of IEEE 802.15.4.
const CARRIER_MHZ: f64 = 2_440.0;

/// Power loss coefficient N of commercial premises, 1.9 to 4 GHz (ITU-R P.1238-8, table 2).
const POWER_LOSS_COEFFICIENT: f64 = 22.0;

/// Standard deviation of log-normal shadow fading in commercial premises, 1.8 to 2 GHz (ITU-R P.1238-8, table 4).
const SHADOWING_DB: f64 = 10.0;

/// What labels and base stations send with: 1 mW, as small labels do.
const TRANSMIT_DBM: f64 = 0.0;

/// Thermal noise in the channel's 2 MHz at 290 K, −174 dBm/Hz + 63 dB, and 13.5 dB for the receiver, with which 1 % of
/// frames of 20 bytes are lost at −97 dBm: the sensitivity of common receivers (Texas Instruments SWRS081B, CC2530).
const NOISE_DBM: f64 = -174.0 + 63.0 + 13.5;

/// Loss in free space: 20 log f + 20 log d − 27.55 (ITU-R P.525, f in MHz, d in metres), 40.2 dB at one metre.
pub(crate) fn free_space_loss_db(metres: f64) -> f64 {
    20.0 * libm::log10(CARRIER_MHZ) + 20.0 * libm::log10(metres) - 27.55
}

/// Median loss indoors on one floor, by the logarithm of the distance: L(1 m) + N log d (ITU-R P.1238). Nearer than
/// one metre it is that of one metre.
pub(crate) fn path_loss_db(metres: f64) -> f64 {
    free_space_loss_db(1.0) + POWER_LOSS_COEFFICIENT * libm::log10(metres.max(1.0))
}

/// What arrives over a distance, behind obstacles that take `normal` standard deviations more than the median's.
pub(crate) fn received_dbm(metres: f64, normal: f64) -> f64 {
    TRANSMIT_DBM - path_loss_db(metres) - SHADOWING_DB * normal
}

/// Share of frames of so many bytes that are lost of those that arrive with a power.
pub(crate) fn frame_loss(received_dbm: f64, bytes: u32) -> f64 {
    let right = 1.0 - bit_error_rate(libm::exp10((received_dbm - NOISE_DBM) / 10.0));
    1.0 - libm::pow(right, f64::from(8 * bytes))
}

/// Bit error rate of the 2.4 GHz O-QPSK layer by the ratio of signal to noise and interference (IEEE 802.15.4-2006,
/// E.4.1.8): 8⁄15 · 1⁄16 · Σₖ (−1)ᵏ (16 over k) exp(20 · SINR · (1⁄k − 1)) for k from 2 to 16; half at most.
pub(crate) fn bit_error_rate(sinr: f64) -> f64 {
    let (mut sum, mut binomial, mut sign) = (0.0, 16.0, 1.0);
    for k in 2..=16 {
        let k = f64::from(k);
        binomial *= (17.0 - k) / k;
        sum += sign * binomial * libm::exp(20.0 * sinr * (1.0 / k - 1.0));
        sign = -sign;
    }
    (8.0 / 15.0 / 16.0 * sum).clamp(0.0, 0.5)
}

/// Share of messages that others spoil which begin at random, `load` of them in the time of one: 1 − e^(−2G), pure ALOHA
/// (Abramson 1970).
pub(crate) fn collision_rate(load: f64) -> f64 {
    -libm::expm1(-2.0 * load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    #[track_caller]
    fn check(value: f64, textbook: f64, tolerance: f64) {
        assert!((value - textbook).abs() <= tolerance, "{value}, not {textbook} ± {tolerance}");
    }

    #[test]
    fn a_metre_of_free_space_is_the_textbooks() {
        // 20 log(4 π d / λ) with λ = 299.792458 / 2440 m.
        let by_wavelength = 20.0 * libm::log10(4.0 * std::f64::consts::PI * 2_440.0 / 299.792_458);
        check(free_space_loss_db(1.0), by_wavelength, 0.01);
        check(free_space_loss_db(1.0), 40.2, 0.01);
        // Twice as far is 6.02 dB, ten times 20.
        check(free_space_loss_db(2.0) - free_space_loss_db(1.0), 6.02, 0.01);
        check(free_space_loss_db(10.0) - free_space_loss_db(1.0), 20.0, 1e-9);
    }

    #[test]
    fn a_shop_takes_22_db_for_ten_times_the_distance() {
        // P.1238: L = 20 log f + N log d − 28, within half a decibel of the free-space formula's constant.
        for (metres, textbook) in [(1.0, 39.75), (10.0, 61.75), (30.0, 72.25), (100.0, 83.75)] {
            check(path_loss_db(metres), textbook, 0.5);
        }
        check(path_loss_db(0.2), path_loss_db(1.0), 0.0);
    }

    #[test]
    fn bits_go_wrong_as_orthogonal_signals_do() {
        // Proakis, Digital Communications, 5.4: 16 orthogonal signals, detected without their phase.
        let textbook = |sinr: f64| {
            let (mut symbols, mut binomial, mut sign) = (0.0, 1.0, 1.0);
            for n in 1..=15_u32 {
                binomial *= f64::from(16 - n) / f64::from(n);
                let n = f64::from(n);
                symbols += sign * binomial / (n + 1.0) * libm::exp(-n / (n + 1.0) * 20.0 * sinr);
                sign = -sign;
            }
            symbols * 8.0 / 15.0
        };
        for sinr in [0.1, 0.3, 0.5, 1.0, 1.5] {
            let expected = textbook(sinr);
            check(bit_error_rate(sinr), expected, expected * 1e-6 + 1e-12);
        }
        // The first term alone is the union bound, which is tight where few go wrong.
        check(bit_error_rate(1.5) / (4.0 * libm::exp(-15.0)), 1.0, 0.1);
        check(bit_error_rate(0.0), 0.5, 1e-9);
    }

    #[test]
    fn a_receiver_is_as_sensitive_as_its_data_sheet() {
        // CC2530: 1 % of 20-byte frames lost at −97 dBm; the standard asks for −85 dBm.
        let sensitivity =
            (-1_100..-800).map(|tenths| f64::from(tenths) / 10.0).find(|dbm| frame_loss(*dbm, 20) <= 0.01);
        check(sensitivity.unwrap(), -97.0, 0.3);
        assert!(frame_loss(-85.0, 127) < 1e-9);
        check(frame_loss(-110.0, 20), 1.0, 1e-6);
    }

    #[test]
    fn shadows_are_spread_as_the_recommendation_says() {
        const DRAWS: u32 = 20_000;
        let mut dice = Dice::of(7, *b"test    ", 0);
        let losses: Vec<f64> = (0..DRAWS).map(|_| received_dbm(10.0, dice.normal())).collect();
        let mean = losses.iter().sum::<f64>() / f64::from(DRAWS);
        let variance = losses.iter().map(|dbm| (dbm - mean) * (dbm - mean)).sum::<f64>() / f64::from(DRAWS);
        check(mean, -62.2, 0.25);
        check(libm::sqrt(variance), 10.0, 0.2);
        // Within one standard deviation lie 68.27 %.
        let near = losses.iter().filter(|dbm| (*dbm - mean).abs() < 10.0).count();
        check(near as f64 / f64::from(DRAWS), 0.6827, 0.01);
    }

    #[test]
    fn aloha_is_abramsons() {
        check(collision_rate(0.0), 0.0, 0.0);
        // The throughput G e^(−2G) is largest at G = 1⁄2: 1 ⁄ 2e, 18.4 %.
        check(0.5 * (1.0 - collision_rate(0.5)), 0.184, 0.000_1);
    }
}
