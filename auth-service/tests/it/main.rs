//! The whole service in this process, on each engine, before a user directory in memory.

mod control;
mod directory;
mod feed;
mod harness;
mod input;
mod keys;
mod login;
mod refresh;
mod replicas;
mod sessions;
mod throttle;
