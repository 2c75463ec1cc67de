//! Every limit of a connection and a call, since the libraries' own defaults are open.

use std::time::Duration;

use crate::config::Network;

/// The largest message in either direction, in bytes. Services set it on each generated server:
/// `.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES)`.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The limits of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most open connections; a further one is closed at once.
    pub max_connections: usize,
    /// Most open connections of one source address: an IPv4 address, or an IPv6 `/64`. None means all of them.
    pub max_connections_per_address: Option<usize>,
    /// Most calls under way of one source address, to the end of their answers; further ones are refused with
    /// OVERLOADED. None means all of them.
    pub max_calls_per_address: Option<usize>,
    /// Addresses that stand for many callers, as a proxy's do: they have no share of their own.
    pub shared_addresses: Vec<Network>,
    /// Most calls under way on one connection.
    pub max_concurrent_streams: u32,
    /// Most calls under way on one listener; further ones are refused with OVERLOADED.
    pub max_calls: usize,
    /// Most bytes of request headers.
    pub max_header_bytes: u32,
    /// Most lines of request headers over HTTP/1.1.
    pub max_header_lines: usize,
    /// Largest HTTP/2 frame, in bytes.
    pub max_frame_bytes: u32,
    /// Window of a stream, in bytes. Windows do not adapt: an adaptive one may grow to sixteen megabytes.
    pub stream_window_bytes: u32,
    /// Window of a connection, in bytes: what all its calls together can make the server hold unread.
    pub connection_window_bytes: u32,
    /// Most bytes that wait to be sent on one stream.
    pub max_send_buffer_bytes: usize,
    /// Most streams that the peer reset before they were accepted; more end the connection.
    pub max_pending_accept_reset_streams: usize,
    /// Most streams that the server reset for the peer's errors; more end the connection.
    pub max_local_error_reset_streams: usize,
    /// How often a silent HTTP/2 peer is asked whether it lives.
    pub keep_alive_interval: Duration,
    /// How long it may take to answer.
    pub keep_alive_timeout: Duration,
    /// How long a connection may take to say what it wants: the TLS handshake, and the first bytes after it.
    pub handshake_timeout: Duration,
    /// How long the headers of an HTTP/1.1 request may take, also on a connection kept alive.
    pub header_read_timeout: Duration,
    /// How long a connection may be open without a call under way. HTTP/2 pings are no calls. None means its whole age.
    pub idle_timeout: Option<Duration>,
    /// How old a connection may become, give or take a tenth, so that replicas share the callers.
    pub max_connection_age: Duration,
    /// How long its calls may take after that.
    pub max_connection_age_grace: Duration,
    /// How long a call may take when its caller does not say or says more.
    pub max_call_time: Duration,
    /// How long the message of a call that sends one alone may take to arrive, once the call waits for it. None means
    /// as long as the call may take.
    pub message_timeout: Option<Duration>,
    /// The shortest time between two log lines about refused connections.
    pub refusal_log_interval: Duration,
    /// How often the certificate files are read for changes.
    pub certificate_poll: Duration,
}

impl Limits {
    /// The part of a listener that one address may have by default: eight hosts together can fill it, not one, and an
    /// office behind one address still has hundreds of connections.
    pub const SHARE_PARTS: usize = 8;

    /// These limits for a listener that strangers do not reach: no shares of addresses, and idle connections stay.
    pub(super) fn among_peers(&self) -> Self {
        Self {
            max_connections_per_address: None,
            max_calls_per_address: None,
            idle_timeout: None,
            ..self.clone()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let (max_connections, max_calls) = (4096, 8192);
        Self {
            max_connections,
            max_connections_per_address: Some(max_connections / Self::SHARE_PARTS),
            max_calls_per_address: Some(max_calls / Self::SHARE_PARTS),
            shared_addresses: Vec::new(),
            max_concurrent_streams: 100,
            max_calls,
            max_header_bytes: 16 * 1024,
            max_header_lines: 100,
            max_frame_bytes: 16 * 1024,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            max_send_buffer_bytes: 256 * 1024,
            max_pending_accept_reset_streams: 20,
            max_local_error_reset_streams: 128,
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_mins(5)),
            max_connection_age: Duration::from_mins(30),
            max_connection_age_grace: Duration::from_mins(1),
            max_call_time: Duration::from_secs(30),
            message_timeout: Some(Duration::from_secs(5)),
            refusal_log_interval: Duration::from_secs(1),
            certificate_poll: Duration::from_secs(2),
        }
    }
}
