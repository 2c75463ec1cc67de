//! The threads that hash: as many as cores, of the lowest priority, behind a queue of their own.
//!
//! At normal priority a storm of logins triples the slowest answers of everything else; at the lowest it costs two
//! logins in a hundred.

use std::{
    io,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use thiserror::Error;
use tokio::{sync::oneshot, time::Instant};
use zeroize::Zeroizing;

use super::{
    hasher::{HashError, Hasher},
    phc::{OUTPUT_BYTES, SALT_BYTES, StoredHash},
    policy::{PasswordPolicy, PolicyError},
    queue::{Next, Queue},
    scheme::{HashProblem, Scheme},
    text::{Candidate, NewPassword},
};
use crate::entropy::{self, SharedEntropy};

/// The niceness of the threads: the lowest priority.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

/// Why a pool could not be made.
#[derive(Debug, Error)]
pub enum HashPoolError {
    /// The policy is out of bounds.
    #[error("the password policy: {0}")]
    Policy(#[from] PolicyError),
    /// A thread could not be started.
    #[error("starting a hash thread: {0}")]
    Thread(#[from] io::Error),
}

/// What came of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verification {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether the stored hash should be replaced by one of the current policy, now that the password is known.
    pub needs_rehash: bool,
}

/// Hashes and verifies passwords on threads of its own. Dropping it ends them; who waits gets [`HashError::Stopped`].
pub struct HashPool {
    shared: Arc<Shared>,
    policy: PasswordPolicy,
    /// What an unknown user's password is compared with.
    decoy: StoredHash,
    entropy: SharedEntropy,
}

struct Shared {
    queue: Mutex<Queue<Box<dyn Task>>>,
    /// Told when work waits or the queue is closed.
    wake: Condvar,
}

/// Work that somebody waits for.
trait Task: Send {
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
    fn run(self: Box<Self>, hasher: &mut Hasher);
    fn refuse(self: Box<Self>, error: HashError);
}

struct Job<T, F> {
    work: F,
    answer: oneshot::Sender<Result<T, HashError>>,
}

impl<T, F> Task for Job<T, F>
where
    T: Send,
    F: FnOnce(&mut Hasher) -> Result<T, HashError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>, hasher: &mut Hasher) {
        // The caller may have left meanwhile: then nobody misses the answer.
        let _ = self.answer.send((self.work)(hasher));
    }

    fn refuse(self: Box<Self>, error: HashError) {
        let _ = self.answer.send(Err(error));
    }
}

impl HashPool {
    /// Starts the threads: as many as the machine has cores when `threads` is 0. At most `queue` callers wait.
    ///
    /// # Errors
    ///
    /// The policy is out of bounds, or the system gives no thread.
    pub fn new(
        threads: usize,
        queue: usize,
        policy: PasswordPolicy,
        entropy: SharedEntropy,
    ) -> Result<Self, HashPoolError> {
        policy.params()?;
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let pool = Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue::new(queue, threads, policy.work_kib())),
                wake: Condvar::new(),
            }),
            policy,
            decoy: StoredHash {
                scheme: Scheme::Own(policy),
                salt: entropy::bytes::<SALT_BYTES>(&*entropy).to_vec(),
                output: entropy::bytes::<OUTPUT_BYTES>(&*entropy).to_vec(),
            },
            entropy,
        };
        for index in 0..threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new()
                .name(format!("hash-{index}"))
                .spawn(move || shared.work(Hasher::new(policy)))?;
        }
        Ok(pool)
    }

    /// Says whether work that came now would be let in, so that a caller is refused before anything is done for it.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] when it could not be done by the deadline.
    pub fn has_room(&self, deadline: Option<Instant>) -> Result<(), HashError> {
        self.shared.admitting(deadline).map(drop)
    }

    /// Hashes a new password under a new salt: a PHC string to store.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] at once when it could not be done by the deadline.
    pub async fn hash(
        &self,
        password: &NewPassword,
        deadline: Option<Instant>,
    ) -> Result<String, HashError> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let salt = entropy::bytes(&*self.entropy);
        self.run(deadline, move |hasher| {
            hasher.hash(&password, salt).map(|hash| hash.encode())
        })
        .await
    }

    /// Hashes a candidate that [`Self::verify`] found to match, to replace what it matched. It need not keep the policy
    /// of new passwords: its owner has it already, and a weak hash would make nothing better.
    ///
    /// # Errors
    ///
    /// As of [`Self::hash`]; [`HashError::Unusable`] when the candidate cannot have matched anything.
    pub async fn hash_proven(
        &self,
        candidate: &Candidate,
        deadline: Option<Instant>,
    ) -> Result<String, HashError> {
        if !candidate.is_possible() {
            return Err(HashError::Unusable(HashProblem::Malformed(
                "it is of no possible password",
            )));
        }
        let candidate = candidate.clone();
        let salt = entropy::bytes(&*self.entropy);
        self.run(deadline, move |hasher| {
            hasher
                .hash(candidate.as_bytes(), salt)
                .map(|hash| hash.encode())
        })
        .await
    }

    /// Says whether the candidate is the password of a stored hash, in the time of the policy's cost at least.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] at once when it could not be done by the deadline; [`HashError::Unusable`] without
    /// any work when the string is none that [`Self::hash`] or [`import_hash`](super::import_hash) writes, or declares
    /// a cost out of bounds.
    pub async fn verify(
        &self,
        candidate: Candidate,
        stored: String,
        deadline: Option<Instant>,
    ) -> Result<Verification, HashError> {
        let stored = StoredHash::parse(&stored).map_err(HashError::Unusable)?;
        let needs_rehash = stored.differs_from(self.policy);
        let matches = self
            .run(deadline, move |hasher| hasher.verify(&candidate, &stored))
            .await?;
        Ok(Verification {
            matches,
            needs_rehash,
        })
    }

    /// Does the whole work of verifying and finds that nothing matches: for a user who does not exist or has no
    /// password, so that the time tells nothing.
    ///
    /// # Errors
    ///
    /// As of [`Self::verify`].
    pub async fn verify_nothing(
        &self,
        candidate: Candidate,
        deadline: Option<Instant>,
    ) -> Result<(), HashError> {
        let decoy = self.decoy.clone();
        self.run(deadline, move |hasher| {
            hasher.verify(&candidate, &decoy).map(drop)
        })
        .await
    }

    /// Queues work and waits for its answer. A caller that stops waiting takes its work back.
    async fn run<T, F>(&self, deadline: Option<Instant>, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Hasher) -> Result<T, HashError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.shared
            .submit(Box::new(Job { work, answer }), deadline)?;
        answered.await.unwrap_or(Err(HashError::Stopped))
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.lock().close();
        self.shared.wake.notify_all();
    }
}

impl Shared {
    /// The queue, when it takes work of this deadline now.
    fn admitting(
        &self,
        deadline: Option<Instant>,
    ) -> Result<MutexGuard<'_, Queue<Box<dyn Task>>>, HashError> {
        let now = Instant::now();
        let mut queue = self.lock();
        if queue.admit(now, deadline).is_err() {
            // Those who left stand in nobody's way.
            queue.drop_if(|task| task.is_abandoned());
            queue
                .admit(now, deadline)
                .map_err(|retry_after| HashError::Overloaded { retry_after })?;
        }
        Ok(queue)
    }

    fn submit(&self, task: Box<dyn Task>, deadline: Option<Instant>) -> Result<(), HashError> {
        let mut queue = self.admitting(deadline)?;
        queue.push(task, deadline);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// The life of one thread.
    fn work(&self, mut hasher: Hasher) {
        lower_priority();
        while let Some(task) = self.take() {
            let begun = Instant::now();
            // A defect in one hash must not cost the pool a thread; its caller gets `Stopped`.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run(&mut hasher)));
            self.lock().finish(begun.elapsed(), hasher.take_work_kib());
        }
    }

    /// Waits for work that somebody still wants and that can be done in time; nothing when the pool has ended.
    fn take(&self) -> Option<Box<dyn Task>> {
        let mut queue = self.lock();
        loop {
            if queue.is_closed() {
                return None;
            }
            queue.drop_if(|task| task.is_abandoned());
            match queue.next(Instant::now()) {
                Some(Next::Run(task)) => return Some(task),
                Some(Next::TooLate(task, retry_after)) => {
                    task.refuse(HashError::Overloaded { retry_after });
                }
                None => {
                    queue = self
                        .wake
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// The queue, also after a panic: each of its steps leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Queue<Box<dyn Task>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives way to everything else. Linux counts niceness by thread; elsewhere it would be the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "hash threads keep their priority");
    }
}

#[cfg(test)]
mod tests;
