//! Y5: logins through both services beside a bare loop of the same hasher.
//!
//! The client shares the cores with what it measures, so it is the cheapest one there is: one thread, one connection a run.

use std::{cell::Cell, error::Error, net::SocketAddr, process, thread, time::Duration};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use identity_dev::{
    administrator::{self, Administrator},
    api::Api,
    problem::Problem,
    service::Service,
    session,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    ratio::compare,
    report::Row,
    rig::{Rig, processor_time},
};

/// Users who log in; each stays below the bound of attempts under way for one identifier.
const USERS: [&str; 2] = ["ada", "bob"];
/// Callers of each: enough to keep the queue of hashes filled.
const CALLERS: usize = 4;
/// Enough that the first and the last hash, which leave a core idle, do not count.
const LOGINS: u32 = 320;

/// Measures on one store.
pub(crate) fn logins(
    runtime: &Runtime,
    store: &'static str,
    rig: &Rig,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let pair = runtime.block_on(rig.start())?;
    let [user_service, auth_service] = &rig.launches;
    let users = USERS
        .map(|name| administrator::create(user_service, name))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let client = Builder::new_current_thread().enable_all().build()?;
    let listeners = [user_service.endpoints.public, auth_service.endpoints.public];
    client.block_on(prepare(listeners, &users))?;

    let threads = thread::available_parallelism()?.get();
    let services = Service::BOTH.map(|service| pair.id(service));
    let spent = || -> Duration {
        let processes = services.into_iter().chain([process::id()]);
        // One that is gone has failed the logins too.
        processes.filter_map(|id| processor_time(id).ok()).sum()
    };
    let (by_logins, by_hashes) = (Cell::new(Duration::ZERO), Cell::new(Duration::ZERO));
    let ratio = compare(
        LOGINS,
        |operations| {
            let before = spent();
            let outcome = client.block_on(log_in(listeners, &users, operations as usize));
            assert!(outcome.is_ok(), "a login failed: {:?}", outcome.err());
            by_logins.set(by_logins.get() + spent().saturating_sub(before));
        },
        |operations| {
            let before = spent();
            hash(threads, operations as usize);
            by_hashes.set(by_hashes.get() + spent().saturating_sub(before));
        },
    );
    drop(pair);
    let mut row = Row::of_speed(
        "Y5",
        format!("logins on {store} ÷ the bare hasher on {threads} threads"),
        "≥ 0.92 (0.97)",
        &ratio,
    );
    row.note = format!(
        "{}; processor time, with both services and the client: {:.2}",
        row.note,
        by_hashes.get().as_secs_f64() / by_logins.get().as_secs_f64()
    );
    Ok(vec![row])
}

/// Logs each user in once, which meets what a first login asks for.
async fn prepare(
    [user, auth]: [SocketAddr; 2],
    users: &[Administrator],
) -> Result<(), Box<dyn Error>> {
    let api = Api::at(user, auth)?;
    for user in users {
        user.log_in(&api).await?;
    }
    Ok(())
}

/// On a connection of its own: between two runs nobody would answer the server's pings.
async fn log_in(
    [user, auth]: [SocketAddr; 2],
    users: &[Administrator],
    operations: usize,
) -> Result<(), Box<dyn Error>> {
    let api = Api::at(user, auth)?;
    let each = operations / (users.len() * CALLERS);
    let mut callers = JoinSet::new();
    for user in users.iter().cycle().take(users.len() * CALLERS) {
        let (api, user) = (api.clone(), user.clone());
        callers.spawn(async move {
            for _ in 0..each {
                session::begin(&api, &user.username, &user.password).await?;
            }
            Ok::<_, Problem>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
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
