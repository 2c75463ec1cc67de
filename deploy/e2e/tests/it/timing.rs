//! How long refused logins take: wrong password, unknown user, suspended user, interleaved.
//!
//! It reports and never fails on time, since the machine is shared. Run it with `--ignored timing --nocapture`.

use std::time::{Duration, Instant};

use identity_proto::user::v1::SuspendUserRequest;

use crate::harness::{Store, World, person::log_in, requirements};

/// How many resamplings a confidence interval stands on.
const RESAMPLINGS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: it reports and decides nothing"]
async fn timing_of_refused_logins() {
    let tries = requirements::rounds("E2E_TIMING_TRIES", 500);
    let world = World::running(Store::Sqlite).await;
    let wrong = "a wrong password, long enough";
    // Few tries with one identifier and from one address, so that no throttle answers in place of the hash.
    let mut samples = [const { Vec::new() }; 3];
    let names = ["wrong password", "unknown user", "suspended user"];
    for number in 0..tries.div_ceil(TRIES_EACH) {
        let known = world.person(&format!("known-{number}")).await;
        let suspended = world.person(&format!("suspended-{number}")).await;
        let request = SuspendUserRequest {
            user_id: suspended.id.clone(),
            ..SuspendUserRequest::default()
        };
        let mut users = world.api.users(&world.admin);
        users.suspend_user(request).await.unwrap();
        let unknown = format!("unknown-{number}");
        let api = world.api_from(number);
        for turn in 0..TRIES_EACH {
            let identifiers = [&known.username, &unknown, &suspended.username];
            // Each kind goes first as often as the others.
            for at in (0..3).map(|at| (at + turn) % 3) {
                let begin = Instant::now();
                let status = log_in(&api, identifiers[at], wrong).await.unwrap_err();
                samples[at].push(begin.elapsed());
                assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status:?}");
            }
        }
    }
    println!("refused logins, {} tries of each kind:", samples[0].len());
    let reference = median(&mut samples[0].clone());
    for (name, sample) in names.iter().zip(&samples) {
        let (low, high) = confidence(sample);
        let middle = median(&mut sample.clone());
        let difference = 100.0 * (middle.as_secs_f64() / reference.as_secs_f64() - 1.0);
        println!(
            "  {name:15} median {middle:?}, 95 % interval {low:?} to {high:?}, {difference:+.1} % of a wrong password"
        );
    }
    world.dispose().await;
}

/// Tries with one identifier: fewer than the throttle lets pass.
const TRIES_EACH: usize = 3;

/// The bootstrap interval of the median that holds it 95 times of 100.
fn confidence(sample: &[Duration]) -> (Duration, Duration) {
    // A small generator of its own: the same sample gives the same interval.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut medians: Vec<_> = (0..RESAMPLINGS)
        .map(|_| {
            let mut resample: Vec<_> = sample
                .iter()
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let at = state % u64::try_from(sample.len()).unwrap();
                    sample[usize::try_from(at).unwrap()]
                })
                .collect();
            median(&mut resample)
        })
        .collect();
    medians.sort();
    (
        medians[RESAMPLINGS / 40],
        medians[RESAMPLINGS - 1 - RESAMPLINGS / 40],
    )
}

fn median(sample: &mut [Duration]) -> Duration {
    let middle = sample.len() / 2;
    *sample.select_nth_unstable(middle).1
}
