//! Counting of login attempts: each is counted before it is made, so that many at once do not slip through.

mod counter;
mod key;
mod limits;
mod login;

pub use self::{
    counter::{Admission, Counter},
    key::{LoginKeys, ThrottleKey, ThrottleKeys},
    limits::{Limit, ThrottleLimits},
    login::{LoginAdmission, LoginCounters},
};
