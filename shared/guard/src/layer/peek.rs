//! A bounded look into the first message of a request, which is replayed to the handler afterwards.

use bytes::Buf;
use tonic::body::Body;

use super::wire;
use crate::buffered::Buffered;

/// The longest first message that is looked into, in bytes.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// The prefix of a gRPC message: a compression flag and the length.
const HEADER_BYTES: usize = 5;

/// Whether the first message names `subject` at a path of field numbers, and the body as it was.
///
/// Doubt is a no: a message that is compressed, malformed, cut short or longer than [`MAX_MESSAGE_BYTES`] does not
/// name the subject, and the permission decides. A compressed message is not unpacked here, since that would be work
/// for a caller without rights.
pub(super) async fn names(body: Body, path: &[u32], subject: &str) -> (bool, Body) {
    let mut body = Buffered::new(body);
    let named = first_message(&mut body).await.is_some_and(|message| {
        // An empty value is "not said", whatever the subject.
        wire::last_string(message, path)
            .is_ok_and(|value| value.is_some_and(|v| !v.is_empty() && v == subject.as_bytes()))
    });
    (named, Body::new(body))
}

/// The whole first message, when it is one that can be judged.
async fn first_message(body: &mut Buffered) -> Option<&[u8]> {
    if !body.read_at_least(HEADER_BYTES).await {
        return None;
    }
    let mut header = body.buffered().get(..HEADER_BYTES)?;
    let compressed = header.get_u8() != 0;
    let length = usize::try_from(header.get_u32()).ok()?;
    if compressed || length > MAX_MESSAGE_BYTES {
        return None;
    }
    if !body.read_at_least(HEADER_BYTES + length).await {
        return None;
    }
    body.buffered().get(HEADER_BYTES..HEADER_BYTES + length)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::{Body as _, Frame};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Status;

    use super::*;

    /// A gRPC message with its prefix.
    fn message(flag: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short");
        [&[flag], &length.to_be_bytes()[..], payload].concat()
    }

    /// A body of these data frames and a trailers frame.
    fn frames(parts: &[&[u8]]) -> Body {
        let mut frames: VecDeque<Result<Frame<Bytes>, Status>> = parts
            .iter()
            .map(|part| Ok(Frame::data(Bytes::copy_from_slice(part))))
            .collect();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", http::HeaderValue::from_static("yes"));
        frames.push_back(Ok(Frame::trailers(trailers)));
        Body::new(StreamBody::new(tokio_stream::iter(frames)))
    }

    async fn look(parts: &[&[u8]]) -> bool {
        let (named, body) = names(frames(parts), &[1], "own").await;
        // Whatever was decided, the handler gets every byte and the trailers.
        let replayed = body.collect().await.expect("body");
        assert_eq!(replayed.trailers().map(HeaderMap::len), Some(1));
        assert_eq!(replayed.to_bytes(), parts.concat());
        named
    }

    #[tokio::test]
    async fn the_own_id_is_found_however_the_frames_are_cut() {
        let whole = message(0, b"\x0a\x03own");
        assert!(look(&[&whole]).await);
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert!(look(&bytes).await);
        let with_empty = [&b""[..], &whole[..3], b"", &whole[3..7], b"", &whole[7..]];
        assert!(look(&with_empty).await);
        // The second message of a stream does not change the judgement of the first.
        assert!(look(&[&whole, &message(0, b"\x0a\x05other")]).await);
    }

    #[tokio::test]
    async fn doubt_is_a_no() {
        let own = b"\x0a\x03own".as_slice();
        let padding = [b"\x12\xff\x7f".as_slice(), &[b'x'; 16_383]].concat();
        for payload in [
            b"".as_slice(),
            b"\x0a\x00",
            b"\x0a\x05other",
            &[own, b"\x0a\x05other"].concat(),
            &[own, b"\x0a"].concat(),
            b"\x08\x01",
            &[own, &padding].concat(),
            &[&padding, own].concat(),
        ] {
            let whole = message(0, payload);
            assert!(
                !look(&[&whole]).await,
                "{:02x?}",
                &payload[..payload.len().min(16)]
            );
        }
        assert!(!look(&[&message(1, own)]).await, "compressed");
        assert!(!look(&[&message(0, own)[..7]]).await, "cut short");
        assert!(!look(&[]).await, "no message");
    }

    #[tokio::test]
    async fn an_empty_id_never_names_anybody() {
        let body = frames(&[&message(0, b"\x0a\x00")]);
        assert!(!names(body, &[1], "").await.0);
    }

    #[tokio::test]
    async fn an_error_of_the_body_reaches_the_handler() {
        let parts = [
            Ok(Frame::data(Bytes::from_static(b"\x00\x00"))),
            Err(Status::cancelled("left")),
        ];
        let body = Body::new(StreamBody::new(tokio_stream::iter(parts)));
        let (named, mut body) = names(body, &[1], "own").await;
        assert!(!named && !body.is_end_stream());
        let data = body.frame().await.expect("frame").expect("data");
        assert_eq!(data.into_data().ok(), Some(Bytes::from_static(b"\x00\x00")));
        let error = body.frame().await.expect("frame").expect_err("error");
        assert_eq!(error.code(), tonic::Code::Cancelled);
    }

    #[tokio::test]
    async fn the_size_hint_counts_what_was_read() {
        let whole = message(0, b"\x0a\x03own");
        let body = Body::new(
            http_body_util::Full::new(Bytes::from(whole.clone())).map_err(|never| match never {}),
        );
        let (_, body) = names(body, &[1], "own").await;
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
    }
}
