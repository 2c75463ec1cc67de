//! The credentials in a call's metadata, taken only where there is no doubt which one is meant.

use http::{HeaderMap, header::AUTHORIZATION};

use crate::{engine::Refusal, services::SERVICE_KEY_HEADER, status::Failure};

/// The one bearer token of a call.
///
/// Two headers, another scheme and odd characters are refused: a proxy in front may have judged another reading.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| super::refused(Refusal::Missing))?;
    let invalid = || super::refused(Refusal::Invalid);
    if values.next().is_some() {
        return Err(invalid());
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(invalid)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(plain) {
        Ok(token)
    } else {
        Err(invalid())
    }
}

/// The one service key of a call.
pub(super) fn service_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(SERVICE_KEY_HEADER).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::status::ErrorReason;

    fn read(values: &[&[u8]]) -> Result<String, ErrorReason> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_bytes(value).expect("header"),
            );
        }
        bearer(&headers)
            .map(str::to_owned)
            .map_err(|failure| failure.reason())
    }

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        assert_eq!(read(&[b"Bearer a.b-c_9"]), Ok("a.b-c_9".to_owned()));
        assert_eq!(read(&[b"bearer a"]), Ok("a".to_owned()));
        assert_eq!(read(&[]), Err(ErrorReason::TokenMissing));
        for values in [
            &[b"Bearer a".as_slice(), b"Bearer a"][..],
            &[b"Bearer a", b"Basic b"],
            &[b"Bearer a, Bearer b"],
            &[b"Bearer  a"],
            &[b"Bearer\ta"],
            &[b"Bearer a "],
            &[b"Bearer "],
            &[b"Bearer"],
            &[b"Basic a"],
            &[b"a"],
            &[b""],
            &[b"Bearer \xff"],
        ] {
            assert_eq!(read(values), Err(ErrorReason::TokenInvalid), "{values:?}");
        }
    }

    #[test]
    fn two_service_keys_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(service_key(&headers), None);
        headers.append(SERVICE_KEY_HEADER, HeaderValue::from_static("k"));
        assert_eq!(service_key(&headers), Some(&b"k"[..]));
        headers.append(SERVICE_KEY_HEADER, HeaderValue::from_static("k"));
        assert_eq!(service_key(&headers), None);
    }
}
