//! A body whose beginning can be looked at before it is passed on whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tonic::{Status, body::Body};

/// A body of which the beginning may have been read: as a body it is the whole, from its beginning.
pub(crate) struct Buffered {
    read: BytesMut,
    /// A frame that is not data, or an error, met while reading.
    met: Option<Result<Frame<Bytes>, Status>>,
    rest: Body,
}

impl Buffered {
    pub(crate) fn new(rest: Body) -> Self {
        Self {
            read: BytesMut::new(),
            met: None,
            rest,
        }
    }

    /// What has been read so far.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.read
    }

    /// Reads until this many bytes are buffered; false when the body ends or fails before.
    ///
    /// Never holds more than that and the frame that went beyond it, however small the frames are.
    pub(crate) async fn read_at_least(&mut self, bytes: usize) -> bool {
        while self.read.len() < bytes {
            if self.met.is_some() {
                return false;
            }
            match self.rest.frame().await {
                None => return false,
                Some(Err(status)) => self.met = Some(Err(status)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.read.extend_from_slice(&data),
                    Err(frame) => self.met = Some(Ok(frame)),
                },
            }
        }
        true
    }

    /// The whole body, when it is of at most this many bytes of data; else the body to pass on.
    pub(crate) async fn whole(mut self, at_most: usize) -> Result<Bytes, Self> {
        if self.read_at_least(at_most + 1).await || self.met.is_some() {
            return Err(self);
        }
        Ok(self.read.freeze())
    }
}

impl http_body::Body for Buffered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.read.is_empty() {
            let data = self.read.split().freeze();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(met) = self.met.take() {
            return Poll::Ready(Some(met));
        }
        Pin::new(&mut self.rest).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.len() as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.met.is_none() && self.rest.is_end_stream()
    }
}
