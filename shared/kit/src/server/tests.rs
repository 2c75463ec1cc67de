//! The server from outside: real sockets, a small service of the contract behind them.

mod calls;
mod end;
mod faces;
mod frames;
mod harness;
mod idle;
mod limits;
mod messages;
mod reflection;
mod shares;
mod tls;
