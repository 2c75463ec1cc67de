//! The service as its callers meet it: the real stack on free ports, on every engine that is there.

mod administrators;
mod bad_input;
mod credentials;
mod door;
mod grants;
mod harness;
mod lists;
mod names;
mod revisions;
mod seeds;
mod users;
