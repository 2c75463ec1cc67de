//! What the pool costs over the hash function itself: logins a second against a bare loop on as many threads.
//!
//! Run with `cargo bench -p identity-kit --bench password`; the yardstick is the quotient of the two rates.

use std::{num::NonZero, sync::Arc, thread};

use argon2::{Argon2, Block, Params};
use divan::{Bencher, black_box, counter::ItemsCount};
use identity_kit::{
    entropy::SystemEntropy,
    password::{HashPool, NewPassword, PasswordPolicy, candidate},
};
use tokio::runtime::{Builder, Runtime};

/// Hashes for each thread and sample.
const HASHES: usize = 16;
const PASSWORD: &str = "drei Tassen und Kuchen";

fn main() {
    divan::main();
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The reference: each thread hashes in memory of its own, and does nothing else.
#[divan::bench(sample_count = 10)]
fn bare_hasher(bencher: Bencher) {
    let threads = threads();
    let policy = PasswordPolicy::default();
    let params = Params::new(policy.m_kib, policy.t, policy.p, None)
        .unwrap_or_else(|error| panic!("the default policy: {error}"));
    let hasher = Argon2::from(params);
    let mut arenas = vec![vec![Block::new(); hasher.params().block_count()]; threads];
    bencher
        .counter(ItemsCount::new(threads * HASHES))
        .bench_local(|| {
            thread::scope(|scope| {
                for arena in &mut arenas {
                    scope.spawn(|| {
                        for _ in 0..HASHES {
                            let mut output = [0; 32];
                            let done = hasher.hash_password_into_with_memory(
                                black_box(PASSWORD.as_bytes()),
                                &[7; 16],
                                &mut output,
                                &mut *arena,
                            );
                            assert!(done.is_ok() && black_box(output) != [0; 32]);
                        }
                    });
                }
            });
        });
}

/// The subject: as many verifications as there are hashes above, all waiting at once.
#[divan::bench(sample_count = 10)]
fn pool(bencher: Bencher) {
    let threads = threads();
    let calls = threads * HASHES;
    let runtime = runtime();
    let pool = HashPool::new(0, calls, PasswordPolicy::default(), Arc::new(SystemEntropy))
        .unwrap_or_else(|error| panic!("{error}"));
    let pool = Arc::new(pool);
    let password =
        NewPassword::parse(PASSWORD, &[]).unwrap_or_else(|problem| panic!("it {problem}"));
    let stored = runtime
        .block_on(pool.hash(&password, None))
        .unwrap_or_else(|error| panic!("{error}"));
    bencher.counter(ItemsCount::new(calls)).bench_local(|| {
        runtime.block_on(async {
            let callers: Vec<_> = (0..calls)
                .map(|_| {
                    let (pool, stored) = (Arc::clone(&pool), stored.clone());
                    tokio::spawn(async move {
                        pool.verify(candidate(black_box(PASSWORD)), stored, None)
                            .await
                    })
                })
                .collect();
            for caller in callers {
                let verified = caller.await;
                assert!(matches!(verified, Ok(Ok(found)) if found.matches));
            }
        });
    });
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .build()
        .unwrap_or_else(|error| panic!("{error}"))
}
