//! Randomness as a parameter.

use std::sync::Arc;

/// A source of unpredictable bytes; tests give a seeded one.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// One source, shared by everything that draws from it.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The random generator of the operating system, asked each time.
///
/// A generator inside of the process would be seeded by the kernel's and be no better than it; asking the kernel costs
/// the same (one microsecond), shares no state with a forked process or a resumed copy of the machine, and needs no
/// seed of its own first: that of the cryptographic library may take a hundred milliseconds of measuring the processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    ///
    /// When the operating system gives no randomness: nothing that follows could be safe. Until its generator has been
    /// seeded, early in a machine's boot, it waits.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source that everything else is passed"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        assert!(
            getrandom::fill(buffer).is_ok(),
            "the operating system gives no randomness"
        );
    }
}

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
