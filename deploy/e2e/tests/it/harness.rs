//! What all tests stand on: stores, running pairs, raw calls, grpcurl.

pub(crate) mod grpcurl;
pub(crate) mod mail;
pub(crate) mod person;
pub(crate) mod raw;
pub(crate) mod replica;
pub(crate) mod requirements;
pub(crate) mod store;
pub(crate) mod world;

pub(crate) use person::Person;
pub(crate) use replica::Replica;
pub(crate) use store::Store;
pub(crate) use world::World;

/// One test for each store from an `async fn(Store)`.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::harness::{Store, requirements};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(Store::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                if let Some(store) = requirements::postgres(stringify!($name)) {
                    super::$name(store).await;
                }
            }
        }
    )+};
}
