//! The key under which a successor is kept for a retry: it comes from the traded token, which nobody stores.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::opaque_token::OpaqueToken;

/// Keeps this use of the secret apart from any other.
const INFO: &[u8] = b"identity refresh token retry v1";

/// The key that a traded token gives.
#[must_use]
pub fn retry_key(traded: &OpaqueToken) -> Zeroizing<[u8; 32]> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, traded.id().as_str().as_bytes());
    let mut key = Zeroizing::new([0; 32]);
    let filled = salt
        .extract(traded.secret())
        .expand(&[INFO], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(key.as_mut_slice()));
    // One block of the hash: the only error there is, an output of another length, cannot happen.
    debug_assert!(filled.is_ok(), "HKDF gives one block");
    key
}

#[cfg(test)]
mod tests {
    use identity_kit::entropy::SystemEntropy;

    use super::retry_key;
    use crate::domain::opaque_token::{OpaqueToken, TokenKind};

    #[test]
    fn each_token_gives_a_key_of_its_own_again_and_again() {
        let one = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
        let other = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
        assert_eq!(retry_key(&one), retry_key(&one));
        assert_ne!(retry_key(&one), retry_key(&other));
        assert_ne!(*retry_key(&one), [0; 32]);
    }
}
