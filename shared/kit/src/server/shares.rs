//! The share of each source address: how many connections and calls of a listener it may have.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::Limits;
use crate::{config::Network, context::site};

/// The addresses that have connections of a listener. It holds no others, so open connections bound it.
pub(super) struct Shares {
    max_connections: usize,
    max_calls: usize,
    exempt: Vec<Network>,
    taken: Mutex<HashMap<IpAddr, Share>>,
}

/// What one address has.
struct Share {
    connections: usize,
    calls: Arc<AtomicUsize>,
}

/// An address has all the connections that it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShareTaken;

impl Shares {
    /// The shares that these limits give; none where they give no bound.
    pub(super) fn within(limits: &Limits) -> Option<Arc<Self>> {
        if limits.max_connections_per_address.is_none() && limits.max_calls_per_address.is_none() {
            return None;
        }
        Some(Arc::new(Self {
            max_connections: limits.max_connections_per_address.unwrap_or(usize::MAX),
            max_calls: limits.max_calls_per_address.unwrap_or(usize::MAX),
            exempt: limits.shared_addresses.clone(),
            taken: Mutex::default(),
        }))
    }

    /// A place for a connection of this address; `None` for an address without a share.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Option<Place>, ShareTaken> {
        if self.exempt.iter().any(|network| network.contains(address)) {
            return Ok(None);
        }
        let site = site(address);
        let mut taken = self.taken();
        let share = taken.entry(site).or_insert_with(|| Share {
            connections: 0,
            calls: Arc::default(),
        });
        if share.connections >= self.max_connections {
            return Err(ShareTaken);
        }
        share.connections += 1;
        Ok(Some(Place {
            calls: Arc::clone(&share.calls),
            shares: Arc::clone(self),
            site,
        }))
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, Share>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection in the share of its address.
pub(super) struct Place {
    shares: Arc<Shares>,
    site: IpAddr,
    calls: Arc<AtomicUsize>,
}

impl Place {
    /// Counts a call that begins; false when it is one more than the address may have.
    pub(super) fn begin_call(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) < self.shares.max_calls
    }

    /// Counts a call that ended.
    pub(super) fn end_call(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        if let Some(share) = taken.get_mut(&self.site) {
            share.connections -= 1;
            if share.connections == 0 {
                taken.remove(&self.site);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Arc<Shares> {
        let limits = Limits {
            max_connections_per_address: Some(2),
            max_calls_per_address: Some(1),
            shared_addresses: vec!["198.51.100.0/24".parse().expect("a network")],
            ..Limits::default()
        };
        Shares::within(&limits).expect("bounds")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let shares = shares();
        let places = [
            shares.take(ip("203.0.113.7")),
            shares.take(ip("::ffff:203.0.113.7")),
        ];
        assert!(places.iter().all(|place| matches!(place, Ok(Some(_)))));
        assert!(shares.take(ip("203.0.113.7")).is_err());
        assert!(shares.take(ip("203.0.113.8")).is_ok());
        drop(places);
        assert!(shares.take(ip("203.0.113.7")).is_ok());
    }

    #[test]
    fn a_site_is_one_address() {
        let shares = shares();
        let _places = [
            shares.take(ip("2001:db8:1:2::1")),
            shares.take(ip("2001:db8:1:2:ffff::1")),
        ];
        assert!(shares.take(ip("2001:db8:1:2::3")).is_err());
        assert!(shares.take(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn only_addresses_with_connections_are_remembered() {
        let shares = shares();
        for last in 0..=255_u8 {
            drop(shares.take(IpAddr::from([203, 0, 113, last])));
        }
        assert!(shares.taken().is_empty());
        let kept = shares.take(ip("203.0.113.7"));
        assert_eq!(shares.taken().len(), 1);
        drop(kept);
        assert!(shares.taken().is_empty());
    }

    #[test]
    fn the_connections_of_an_address_share_its_calls() {
        let shares = shares();
        let place = || shares.take(ip("203.0.113.7")).ok().flatten().expect("room");
        let (one, other) = (place(), place());
        assert!(one.begin_call());
        assert!(!other.begin_call());
        one.end_call();
        other.end_call();
        assert!(other.begin_call());
    }

    #[test]
    fn an_address_of_many_callers_has_no_share() {
        let shares = shares();
        for _ in 0..10 {
            assert!(matches!(shares.take(ip("198.51.100.1")), Ok(None)));
        }
        assert!(shares.taken().is_empty());
    }

    #[test]
    fn without_bounds_nothing_is_counted() {
        assert!(Shares::within(&Limits::default().among_peers()).is_none());
    }
}
