//! Calls of any RPC with any bytes, for tests that go through the whole contract.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::Channel,
};

/// Sends these bytes as the one message of a call and answers the bytes of the one message that came back.
pub(crate) async fn call(
    channel: &Channel,
    path: &str,
    message: Vec<u8>,
    metadata: MetadataMap,
) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel.clone());
    let unready = |error| Status::unavailable(format!("not connected: {error}"));
    client.ready().await.map_err(unready)?;
    let mut request = Request::new(Bytes::from(message));
    *request.metadata_mut() = metadata;
    let path: PathAndQuery = path.parse().unwrap();
    let answer = client.unary(request, path, BytesCodec).await?;
    Ok(answer.into_inner())
}

/// Metadata with an access token.
pub(crate) fn bearer(token: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata
}

/// Metadata with a service key.
pub(crate) fn service_key(key: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-service-key", key.parse().unwrap());
    metadata
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
