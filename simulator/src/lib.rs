//! Simulated labels, base stations and radio.
