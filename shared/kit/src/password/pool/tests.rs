//! What callers of the pool may rely on.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use super::*;
use crate::{entropy::Entropy, password::candidate};

const TINY: PasswordPolicy = PasswordPolicy {
    m_kib: 64,
    t: 2,
    p: 1,
};

/// Every draw is filled with the next number.
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn pool(threads: usize, queue: usize) -> HashPool {
    HashPool::new(threads, queue, TINY, Arc::new(Counting(AtomicU8::new(1)))).unwrap()
}

fn password() -> NewPassword {
    NewPassword::parse("drei Tassen und Kuchen", &[]).unwrap()
}

/// Lets a call go as far as it comes, and says that it waits.
async fn waits<F: Future>(mut call: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await
}

/// Keeps one thread of the pool busy until it is dropped.
struct Busy {
    release: mpsc::Sender<()>,
    done: oneshot::Receiver<Result<(), HashError>>,
}

impl Busy {
    async fn start(pool: &HashPool) -> Self {
        let (release, released) = mpsc::channel();
        let (entered, running) = oneshot::channel();
        let (answer, done) = oneshot::channel();
        let work = move |_: &mut Hasher| {
            entered.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        };
        pool.shared
            .submit(Box::new(Job { work, answer }), None)
            .unwrap();
        running.await.unwrap();
        Self { release, done }
    }

    async fn end(self) {
        self.release.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_password_verifies_against_its_hash_and_another_does_not() {
    let pool = pool(1, 8);
    let phc = pool.hash(&password(), None).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{phc}");

    let right = pool.verify((&password()).into(), phc.clone(), None).await;
    assert_eq!(
        right,
        Ok(Verification {
            matches: true,
            needs_rehash: false
        })
    );
    for wrong in ["drei Tassen und kuchen", "drei Tassen und Kuchen ", ""] {
        let answer = pool.verify(candidate(wrong), phc.clone(), None).await;
        assert!(!answer.unwrap().matches, "{wrong:?}");
    }
}

#[tokio::test]
async fn two_hashes_of_one_password_differ() {
    let pool = pool(1, 8);
    let one = pool.hash(&password(), None).await.unwrap();
    assert_ne!(pool.hash(&password(), None).await.unwrap(), one);
}

#[tokio::test]
async fn every_bit_of_a_candidate_counts() {
    let pool = pool(1, 8);
    let base = "a\u{0}b".to_owned() + &"c".repeat(100);
    let phc = pool
        .run(None, {
            let base = base.clone();
            move |hasher| hasher.hash(base.as_bytes(), [9; SALT_BYTES])
        })
        .await
        .unwrap()
        .encode();
    let verify = async |text: &str| {
        let answer = pool.verify(candidate(text), phc.clone(), None).await;
        answer.unwrap().matches
    };
    assert!(verify(&base).await);
    assert!(!verify("a").await);
    assert!(!verify(&base.replace('\0', "")).await);
    assert!(!verify(&base[..base.len() - 1]).await);
}

#[tokio::test]
async fn a_hash_of_another_cost_matches_and_asks_to_be_replaced() {
    let dearer = PasswordPolicy { m_kib: 96, ..TINY };
    let phc = Hasher::new(dearer)
        .hash("drei Tassen und Kuchen".as_bytes(), [1; SALT_BYTES])
        .unwrap()
        .encode();
    let answer = pool(1, 8).verify((&password()).into(), phc, None).await;
    assert_eq!(
        answer,
        Ok(Verification {
            matches: true,
            needs_rehash: true
        })
    );
}

#[tokio::test]
async fn an_unusable_stored_hash_is_refused_without_work() {
    let pool = pool(1, 0);
    let phc =
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    // There is no room in the queue, so that anything which asked for work would be told to come back.
    let answer = pool.verify(candidate("x"), phc.into(), None).await;
    assert!(matches!(answer, Err(HashError::Unusable(_))), "{answer:?}");
}

#[tokio::test]
async fn verifying_nothing_does_the_work_of_verifying() {
    let pool = pool(1, 8);
    let phc = pool.hash(&password(), None).await.unwrap();
    let stored = StoredHash::parse(&phc).unwrap();
    let work = async |against: StoredHash| {
        pool.run(None, move |hasher| {
            let matches = hasher.verify(&candidate("wrong"), &against)?;
            assert!(!matches);
            Ok(hasher.take_work_kib())
        })
        .await
    };
    assert_eq!(work(stored).await, Ok(TINY.work_kib()));
    assert_eq!(work(pool.decoy.clone()).await, Ok(TINY.work_kib()));
    assert_eq!(pool.verify_nothing(candidate("wrong"), None).await, Ok(()));
}

#[tokio::test]
async fn who_finds_the_queue_full_is_told_at_once_to_come_back() {
    let pool = pool(1, 1);
    let busy = Busy::start(&pool).await;
    let mut waiting = Box::pin(pool.verify_nothing(candidate("first"), None));
    assert!(waits(waiting.as_mut()).await);

    let refused = pool.verify_nothing(candidate("second"), None).await;
    assert!(
        matches!(refused, Err(HashError::Overloaded { retry_after }) if !retry_after.is_zero()),
        "{refused:?}"
    );
    busy.end().await;
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test]
async fn who_could_not_be_served_by_the_deadline_is_told_at_once() {
    let pool = pool(1, 100);
    let busy = Busy::start(&pool).await;
    let refused = pool
        .verify_nothing(candidate("late"), Some(Instant::now()))
        .await;
    assert!(
        matches!(refused, Err(HashError::Overloaded { .. })),
        "{refused:?}"
    );
    let patient = Instant::now() + Duration::from_mins(10);
    let mut served = Box::pin(pool.verify_nothing(candidate("patient"), Some(patient)));
    assert!(waits(served.as_mut()).await);
    busy.end().await;
    assert_eq!(served.await, Ok(()));
}

#[tokio::test]
async fn the_work_of_a_caller_who_left_is_not_done() {
    let pool = pool(1, 100);
    let busy = Busy::start(&pool).await;
    let done = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&done);
    let mut left = Box::pin(pool.run(None, move |_| {
        mark.store(true, Ordering::SeqCst);
        Ok(())
    }));
    assert!(waits(left.as_mut()).await);
    drop(left);
    busy.end().await;

    // The queue is served in order: once this is answered, the one before would have been done.
    pool.verify_nothing(candidate("next"), None).await.unwrap();
    assert!(!done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn callers_who_left_stand_in_nobodys_way() {
    let pool = pool(1, 1);
    let busy = Busy::start(&pool).await;
    let mut left = Box::pin(pool.verify_nothing(candidate("left"), None));
    assert!(waits(left.as_mut()).await);
    drop(left);

    let mut next = Box::pin(pool.verify_nothing(candidate("next"), None));
    assert!(waits(next.as_mut()).await);
    busy.end().await;
    assert_eq!(next.await, Ok(()));
}

#[tokio::test]
async fn as_many_hashes_run_at_once_as_there_are_threads() {
    let pool = pool(3, 8);
    let meeting = Arc::new(Barrier::new(3));
    let meet = || {
        let meeting = Arc::clone(&meeting);
        pool.run(None, move |_| Ok(meeting.wait().is_leader()))
    };
    // Each waits for the two others, so that fewer threads would never answer.
    let (one, two, three) = tokio::join!(meet(), meet(), meet());
    let leaders = [one, two, three].map(Result::unwrap);
    assert_eq!(leaders.into_iter().filter(|leader| *leader).count(), 1);
}

#[tokio::test]
async fn a_defect_in_one_hash_costs_its_caller_and_nobody_else() {
    let pool = pool(1, 8);
    let broken: Result<(), _> = pool.run(None, |_| panic!("a defect")).await;
    assert_eq!(broken, Err(HashError::Stopped));
    assert_eq!(pool.verify_nothing(candidate("next"), None).await, Ok(()));
}

#[tokio::test]
async fn the_end_of_the_pool_is_told_to_who_waits() {
    let pool = pool(1, 8);
    let busy = Busy::start(&pool).await;
    let (answer, answered) = oneshot::channel();
    let work = |_: &mut Hasher| Ok(());
    pool.shared
        .submit(Box::new(Job { work, answer }), None)
        .unwrap();
    drop(pool);
    assert!(answered.await.is_err());
    busy.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_give_way_to_everything_else() {
    use rustix::process::getpriority_process;

    let before = getpriority_process(None).unwrap();
    let niceness = pool(1, 8)
        .run(None, |_| Ok(getpriority_process(None).unwrap()))
        .await;
    assert_eq!(niceness, Ok(NICENESS));
    assert_eq!(getpriority_process(None).unwrap(), before);
}

#[test]
fn a_policy_out_of_bounds_starts_no_pool() {
    let policy = PasswordPolicy { t: 0, ..TINY };
    let pool = HashPool::new(1, 1, policy, Arc::new(Counting(AtomicU8::new(1))));
    assert!(matches!(pool, Err(HashPoolError::Policy(_))));
}
