//! What a handler may know of the call it serves, beside its message.

use std::net::{IpAddr, Ipv6Addr};

use http::{Extensions, HeaderValue};
use identity_guard::services::PeerInfo;
use tonic::Request;

/// The longest part of a `user-agent` that is kept, in characters.
const MAX_USER_AGENT: usize = 200;

/// The id of a call; the server's layers set it as an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// An id of ASCII characters.
    pub(crate) fn new(id: HeaderValue) -> Self {
        Self(id)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

/// The id of a call, from the extensions of its request; empty where no server stands in front.
#[must_use]
pub fn request_id(extensions: &Extensions) -> &str {
    extensions.get().map_or("", RequestId::as_str)
}

/// The address at the other end of the socket. Headers that claim another one are not believed.
#[must_use]
pub fn peer_ip<T>(request: &Request<T>) -> Option<IpAddr> {
    let address = request.extensions().get::<PeerInfo>()?.address?;
    Some(address.ip().to_canonical())
}

/// The network of the caller, as limits count it: one IPv4 address (`/32`) or one IPv6 site (`/64`); `unknown` where
/// there is no socket.
#[must_use]
pub fn peer_network<T>(request: &Request<T>) -> String {
    match peer_ip(request).map(site) {
        Some(IpAddr::V4(address)) => format!("{address}/32"),
        Some(IpAddr::V6(site)) => format!("{site}/64"),
        None => "unknown".to_owned(),
    }
}

/// What limits count as one address: an IPv4 address, or the first of an IPv6 site (`/64`).
pub(crate) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The caller's `user-agent`, cut at 200 characters; empty when there is none.
#[must_use]
pub fn user_agent<T>(request: &Request<T>) -> String {
    request
        .metadata()
        .get("user-agent")
        .and_then(|agent| agent.to_str().ok())
        .map(|agent| agent.chars().take(MAX_USER_AGENT).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(PeerInfo {
            address: Some(address.parse().expect("an address")),
            ..PeerInfo::default()
        });
        request
    }

    #[test]
    fn a_network_is_one_ipv4_address_or_one_ipv6_site() {
        assert_eq!(peer_network(&from("203.0.113.7:1")), "203.0.113.7/32");
        assert_eq!(
            peer_network(&from("[::ffff:203.0.113.7]:1")),
            "203.0.113.7/32"
        );
        assert_eq!(
            peer_network(&from("[2001:db8:1:2:3:4:5:6]:1")),
            "2001:db8:1:2::/64"
        );
        assert_eq!(peer_network(&Request::new(())), "unknown");
    }

    #[test]
    fn a_long_user_agent_is_cut() {
        let mut request = Request::new(());
        request
            .metadata_mut()
            .insert("user-agent", "a".repeat(300).parse().expect("ASCII"));
        assert_eq!(user_agent(&request).len(), 200);
    }
}
