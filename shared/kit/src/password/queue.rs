//! The queue of a hash pool: who is let in, in what order, and who is told to come back.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The longest that anybody waits, with or without a deadline.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The time of a hash before the first is measured, for each KiB that it fills: 20 ms for the default policy.
const ASSUMED_NANOS_PER_KIB: u64 = 500;
/// The part of a new measurement in the running mean: one eighth.
const SMOOTHING: u32 = 8;

/// Waiting work and what is known about how long it takes. It tells no time: the caller does.
pub(super) struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    capacity: usize,
    threads: usize,
    running: usize,
    policy_work_kib: u64,
    /// The running mean of one hash at the policy's cost.
    hash_time: Duration,
    closed: bool,
}

struct Waiting<T> {
    work: T,
    deadline: Option<Instant>,
}

/// What a thread takes from the queue.
pub(super) enum Next<T> {
    /// To be done now.
    Run(T),
    /// Too late to be done in time; its caller may come back after this long.
    TooLate(T, Duration),
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize, threads: usize, policy_work_kib: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            capacity,
            threads,
            running: 0,
            policy_work_kib,
            hash_time: Duration::from_nanos(policy_work_kib * ASSUMED_NANOS_PER_KIB),
            closed: false,
        }
    }

    /// Says whether new work can be done in time; if not, when its caller may come back.
    pub(super) fn admit(&self, now: Instant, deadline: Option<Instant>) -> Result<(), Duration> {
        let wait = self.wait();
        let too_late = deadline.is_some_and(|deadline| now + wait + self.hash_time > deadline);
        if too_late || wait > MAX_WAIT || self.waiting.len() >= self.capacity {
            return Err(wait.max(self.hash_time));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, work: T, deadline: Option<Instant>) {
        self.waiting.push_back(Waiting { work, deadline });
    }

    /// Drops the waiting work that this says yes to.
    pub(super) fn drop_if(&mut self, abandoned: impl Fn(&T) -> bool) {
        self.waiting.retain(|waiting| !abandoned(&waiting.work));
    }

    /// Takes the oldest work. What is to be run counts as running until [`Self::finish`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Next<T>> {
        let Waiting { work, deadline } = self.waiting.pop_front()?;
        if deadline.is_some_and(|deadline| now + self.hash_time > deadline) {
            return Some(Next::TooLate(work, self.wait().max(self.hash_time)));
        }
        self.running += 1;
        Some(Next::Run(work))
    }

    /// Notes that a thread is free again, and what its work was and took.
    pub(super) fn finish(&mut self, took: Duration, work_kib: u64) {
        self.running -= 1;
        // Work of another cost is scaled to the policy's; what did nothing says nothing.
        let scaled = took
            .as_nanos()
            .saturating_mul(self.policy_work_kib.into())
            .checked_div(work_kib.into());
        if let Some(nanos) = scaled {
            let measured = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.hash_time = (self.hash_time * (SMOOTHING - 1) + measured) / SMOOTHING;
        }
    }

    /// No more work is taken; what waits is dropped.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How long new work would wait for a thread.
    fn wait(&self) -> Duration {
        let free = self.threads - self.running;
        let Some(behind) = self.waiting.len().checked_sub(free) else {
            return Duration::ZERO;
        };
        let ahead = u32::try_from(behind + 1).unwrap_or(u32::MAX);
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        self.hash_time.saturating_mul(ahead) / threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: Duration = Duration::from_millis(20);

    /// Two threads, room for eight, hashes of 20 ms.
    fn queue() -> Queue<u32> {
        Queue::new(8, 2, 40_000)
    }

    /// Lets `count` in and both threads take what they can.
    fn busy(count: u32) -> Queue<u32> {
        let mut queue = queue();
        for work in 0..count {
            queue.push(work, None);
        }
        for _ in 0..count.min(2) {
            assert!(matches!(queue.next(Instant::now()), Some(Next::Run(_))));
        }
        queue
    }

    #[test]
    fn a_free_thread_means_no_wait() {
        let now = Instant::now();
        assert_eq!(queue().admit(now, Some(now + HASH)), Ok(()));
        assert_eq!(busy(1).admit(now, Some(now + HASH)), Ok(()));
    }

    #[test]
    fn work_that_would_miss_its_deadline_is_refused_with_the_time_to_come_back() {
        let now = Instant::now();
        let queue = busy(5);
        // Both threads are busy and three wait: two hashes of time until the fourth begins, and one for itself.
        assert_eq!(queue.admit(now, Some(now + 3 * HASH)), Ok(()));
        assert_eq!(
            queue.admit(now, Some(now + 3 * HASH - Duration::from_micros(1))),
            Err(2 * HASH)
        );
        assert_eq!(queue.admit(now, None), Ok(()));
    }

    #[test]
    fn a_full_queue_refuses_also_without_a_deadline() {
        let now = Instant::now();
        assert_eq!(busy(9).admit(now, None), Ok(()));
        assert_eq!(busy(10).admit(now, None), Err(HASH * 9 / 2));
    }

    #[test]
    fn nobody_waits_for_longer_than_the_bound() {
        let mut queue = Queue::new(10_000, 1, 40_000);
        for work in 0..250 {
            queue.push(work, None);
        }
        assert_eq!(queue.admit(Instant::now(), None), Ok(()));
        queue.push(250, None);
        assert!(queue.admit(Instant::now(), None).is_err());
    }

    #[test]
    fn work_whose_time_has_come_too_late_is_not_begun() {
        let mut queue = queue();
        let now = Instant::now();
        queue.push(1, Some(now + HASH));
        queue.push(2, None);
        let later = now + Duration::from_millis(1);
        assert!(matches!(queue.next(later), Some(Next::TooLate(1, _))));
        assert!(matches!(queue.next(later), Some(Next::Run(2))));
        assert!(queue.next(later).is_none());
    }

    #[test]
    fn the_estimate_follows_what_is_measured_at_any_cost() {
        let mut queue = busy(2);
        queue.finish(HASH * 9, 40_000);
        assert_eq!(queue.hash_time, HASH * 2);
        // Eight times the work in eight times the time says nothing new.
        queue.finish(HASH * 16, 320_000);
        assert_eq!(queue.hash_time, HASH * 2);
    }

    #[test]
    fn work_that_did_nothing_does_not_count_as_fast() {
        let mut queue = busy(1);
        queue.finish(Duration::ZERO, 0);
        assert_eq!(queue.hash_time, HASH);
    }
}
