//! Serving a feed to watchers: what they are served from, and one stream of it.
//!
//! A service gives the words of its contract ([`Protocol`]) and what a snapshot holds ([`Ledger`]); the order of
//! things, the bounds and the patience are the same for every feed.

mod heard;
mod history;
mod watch;
mod watchers;

pub use self::{
    heard::{Heard, Start},
    history::{History, KEPT_CHANGES, Ledger, PART, Placed},
    watch::{Answers, Freshness, Protocol, Source, serve},
    watchers::{Acknowledged, Watchers, create_table as create_watchers_table},
};
