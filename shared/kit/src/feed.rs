//! Serving a feed to watchers: what they are served from, and one stream of it.
//!
//! A service gives the words of its contract ([`Protocol`]) and what a snapshot holds ([`Ledger`]); the order of
//! things, the bounds and the patience are the same for every feed.

mod history;
mod watch;

pub use self::{
    history::{History, KEPT_CHANGES, Ledger, PART, Placed},
    watch::{Answers, Freshness, Heard, Protocol, Source, Start, serve},
};
