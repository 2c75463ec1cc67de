//! How gRPC looks on the wire: which requests are gRPC, and errors as headers and trailers.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use identity_guard::status::Failure;
use tonic::{Code, Status};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Whether a request is a gRPC call; gRPC-Web has been translated before the layers see it.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// A failed call that has nothing but its status.
pub(super) fn refusal<B: Default>(failure: Failure) -> Response<B> {
    Status::from(failure).into_http()
}

/// The trailers of a failed call.
pub(super) fn trailers(failure: Failure) -> HeaderMap {
    let mut headers = HeaderMap::new();
    write(&mut headers, failure);
    headers
}

/// Puts a failure in the place of whatever status the headers or trailers carry.
pub(super) fn write(headers: &mut HeaderMap, failure: Failure) {
    headers.remove(MESSAGE);
    headers.remove(DETAILS);
    let status = Status::from(failure);
    if status.add_header(headers).is_err() {
        // A text that no header can carry: the code alone still tells the caller what happened.
        headers.insert(STATUS, HeaderValue::from(status.code() as i32));
    }
}

/// Puts in the place of whatever status the headers or trailers carry that nobody waits for the call.
pub(super) fn write_cancelled(headers: &mut HeaderMap) {
    headers.remove(MESSAGE);
    headers.remove(DETAILS);
    headers.insert(STATUS, HeaderValue::from(Code::Cancelled as i32));
}

/// The status in headers or trailers; `None` where they carry none.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(STATUS)
        .map(|code| Code::from_bytes(code.as_bytes()))
}
