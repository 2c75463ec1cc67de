//! A network as settings name it: an address, or an address and the length of its prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The addresses that begin with the same bits, as `203.0.113.0/24` or `2001:db8::/32`; an address alone is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an address, or the first address of a network with the length of its prefix, as 203.0.113.0/24"
)]
pub struct InvalidNetwork;

impl Network {
    /// Whether an address is of this network. An IPv4 address written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        first(address.to_canonical(), self.prefix) == Some(self.first)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let address = address.to_canonical();
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| InvalidNetwork)?,
            None => whole,
        };
        // An address with bits behind the prefix is most likely a slip.
        match first(address, prefix) {
            Some(first) if first == address => Ok(Self { first, prefix }),
            _ => Err(InvalidNetwork),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The first address with the same `prefix` bits; none when an address has fewer.
fn first(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let rest = Ipv4Addr::BITS.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let rest = Ipv6Addr::BITS.checked_sub(prefix)?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv6Addr::from_bits(address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_is_what_begins_with_its_prefix() {
        for (text, inside, outside) in [
            ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
            ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("::1", "::1", "::2"),
        ] {
            let network = network(text);
            assert!(
                network.contains(inside.parse().expect("an address")),
                "{text}"
            );
            assert!(
                !network.contains(outside.parse().expect("an address")),
                "{text}"
            );
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        for text in [
            "",
            "/",
            "a",
            "203.0.113.0/33",
            "203.0.113.1/24",
            "::/129",
            "::1/",
            "1.2.3/8",
        ] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text:?}");
        }
    }
}
