//! The only place that draws random bytes.

/// Random bytes that nobody can guess.
///
/// # Panics
/// The operating system has none: nothing can be kept secret then.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
