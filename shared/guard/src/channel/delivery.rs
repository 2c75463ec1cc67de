//! Whether a call that failed in transport can have reached the server.

use std::{error::Error, fmt, sync::Arc};

use tonic::{ConnectError, Status, TimeoutExpired};

/// How far a call came that the server did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It never reached the server: nothing happened.
    NeverSent,
    /// The connection was lost while the call was on its way: it may have happened.
    Unknown,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverSent => "the call was not sent",
            Self::Unknown => "the connection was lost and the outcome is unknown",
        })
    }
}

impl Error for Delivery {}

/// How far a call came whose status was made by this side; `None` where the server answered, and for deadlines,
/// after which a call may have happened.
#[must_use]
pub fn delivery(status: &Status) -> Option<Delivery> {
    status.source()?.downcast_ref().copied()
}

/// Puts the verdict into a status.
pub(super) fn mark(mut status: Status, delivery: Delivery) -> Status {
    status.set_source(Arc::new(delivery));
    status
}

/// What a transport error says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The transport's own copy of the deadline passed first.
    Deadline,
    Connection(Delivery),
}

pub(super) fn classify(error: &(dyn Error + 'static)) -> Lost {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<TimeoutExpired>() {
            return Lost::Deadline;
        }
        if error.is::<ConnectError>() {
            return Lost::Connection(Delivery::NeverSent);
        }
        // Cancelled means: still queued when the connection went.
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return Lost::Connection(if error.is_canceled() {
                Delivery::NeverSent
            } else {
                Delivery::Unknown
            });
        }
        next = error.source();
    }
    Lost::Connection(Delivery::Unknown)
}
