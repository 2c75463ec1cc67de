//! The server from outside: real sockets, a small service of the contract behind them.

mod calls;
mod end;
mod faces;
mod harness;
mod limits;
mod tls;
