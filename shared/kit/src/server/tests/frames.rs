//! HTTP/2 by hand, for what no client library would do.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection over which a test says what it likes.
pub(super) struct Http2(TcpStream);

/// What a server said.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Whether it answers a ping of ours.
    pub(super) fn is_pong(&self) -> bool {
        self.kind == PING && self.flags & ACK != 0
    }
}

impl Http2 {
    /// Connects and says hello.
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("connects");
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        socket.write_all(hello).await.expect("writes");
        let mut connection = Self(socket);
        connection.send(SETTINGS, 0, 0, &[]).await;
        connection
    }

    /// Sends a frame; a server that has closed the connection is met at the next reading.
    pub(super) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        drop(self.0.write_all(&frame).await);
    }

    /// Asks whether the server is there.
    pub(super) async fn ping(&mut self) {
        self.send(PING, 0, 0, b"a test's").await;
    }

    /// Sends the headers of a gRPC call on a stream, and no message.
    pub(super) async fn begin_call(&mut self, stream: u32, path: &str) {
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            // A literal that no table takes up, neither part compressed.
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("short"));
                block.extend(text.bytes());
            }
        }
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// The next frame that says something of calls or of the connection's end; none when it is over.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                PING if !frame.is_pong() => self.send(PING, ACK, 0, &frame.payload).await,
                HEADERS | RST_STREAM | PING | GOAWAY => return Some(frame),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }
}
