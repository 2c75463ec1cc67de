//! Y5: logins through both services beside a bare loop of the same hasher.

use std::{error::Error, thread};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use identity_dev::{api::Api, session};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{ratio::compare, report::Row, rig::Rig};

/// Enough to keep the queue of hashes filled, and below every throttle.
const CALLERS: usize = 6;
const LOGINS: u32 = 120;

/// Measures on one store.
pub(crate) fn logins(
    runtime: &Runtime,
    store: &'static str,
    rig: &Rig,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let pair = runtime.block_on(rig.start())?;
    let (_, password) = runtime.block_on(rig.administrator())?;
    let threads = thread::available_parallelism()?.get();
    let ratio = compare(
        LOGINS,
        |operations| runtime.block_on(log_in(&rig.api, &password, operations as usize)),
        |operations| hash(threads, operations as usize),
    );
    drop(pair);
    Ok(vec![Row::of_speed(
        "Y5",
        format!("logins on {store} ÷ the bare hasher on {threads} threads"),
        "≥ 0.92 (0.97)",
        &ratio,
    )])
}

async fn log_in(api: &Api, password: &str, operations: usize) {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (api, password) = (api.clone(), password.to_owned());
        callers.spawn(async move {
            for _ in 0..operations / CALLERS {
                let outcome = session::begin(&api, "admin", &password).await;
                assert!(outcome.is_ok(), "a login failed: {:?}", outcome.err());
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        assert!(ended.is_ok());
    }
}

/// The same parameters, memory reused, nothing else.
fn hash(threads: usize, operations: usize) {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let params = Params::DEFAULT;
                let mut memory = vec![Block::default(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut output = [0; 32];
                for _ in 0..operations / threads {
                    let outcome = argon2.hash_password_into_with_memory(
                        b"a password of the usual length",
                        b"sixteen bytes of",
                        &mut output,
                        &mut memory,
                    );
                    assert!(outcome.is_ok());
                }
            });
        }
    });
}
