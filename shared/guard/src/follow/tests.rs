//! The follower against a server that a test plays by hand, on a loopback port.

mod feed;

use identity_proto::auth::v1::{
    AccessChange as WireChange, FeedSource, SessionRevoked, SigningKey, SigningKeyState,
    SourceState, SubjectRevoked,
    access_change::Change,
    watch_request::Message as Said,
    watch_response::{Changes, Checkpoint, Goodbye, Message as Answer, Pong, Reset, Snapshot},
};
use tonic::Code;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    engine::{
        AccessClaims, Refusal,
        testing::{Issuer, claims, config, now},
    },
    position::Position,
};
use feed::{Feed, Stream};

const MAX_STALENESS: Duration = Duration::from_secs(5);

/// A follower, its state and clock, and the server's hand.
struct Bench {
    issuer: Issuer,
    clock: Arc<ManualClock>,
    state: Arc<AccessState>,
    feed: Feed,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(now()));
        let state = Arc::new(AccessState::new(config(), clock.clone(), MAX_STALENESS));
        let feed = Feed::serve().await;
        let cancel = CancellationToken::new();
        let task = Follower::spawn(
            feed.channel(clock.clone()),
            state.clone(),
            clock.clone(),
            watcher("test"),
            cancel.clone(),
        )
        .expect("can be followed");
        Self {
            issuer: Issuer::es256("k1"),
            clock,
            state,
            feed,
            cancel,
            task,
        }
    }

    /// A follower that has a snapshot at revision 1 and is fresh.
    async fn live() -> (Self, Stream) {
        let mut bench = Self::new().await;
        let mut stream = bench.feed.accept().await;
        assert_eq!(stream.start.cursor, None);
        stream.say(Answer::Reset(Reset {}));
        stream.say(Answer::Snapshot(bench.snapshot(1)));
        bench.answer_ping(&mut stream, 1).await;
        bench.until_fresh(true).await;
        (bench, stream)
    }

    fn snapshot(&self, revision: u64) -> Snapshot {
        Snapshot {
            signing_keys: vec![self.key(SigningKeyState::Active)],
            position: Some(cursor(revision)),
            ..Snapshot::default()
        }
    }

    fn key(&self, state: SigningKeyState) -> SigningKey {
        SigningKey {
            key_id: "k1".to_owned(),
            algorithm: "ES256".to_owned(),
            state: state.into(),
            public_jwk: self.issuer.jwk().to_string(),
            ..SigningKey::default()
        }
    }

    async fn answer_ping(&self, stream: &mut Stream, revision: u64) {
        let nonce = stream.ping().await;
        stream.say(pong(nonce, revision, Duration::ZERO));
    }

    /// Whether the token of a session is let through.
    fn check(&self, session: &str) -> Result<(), Refusal> {
        let token = self.issuer.token(&AccessClaims {
            sid: session.to_owned(),
            ..claims()
        });
        self.state.check(&token).map(drop)
    }

    async fn until(&self, condition: impl Fn(&AccessState) -> bool) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while !condition(&self.state) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("the condition comes true");
    }

    async fn until_fresh(&self, fresh: bool) {
        self.until(|state| state.is_fresh() == fresh).await;
    }

    async fn until_at(&self, revision: u64) {
        self.until(|state| state.position() == Some(Position::new("e", revision)))
            .await;
    }
}

fn watcher(name: &str) -> FollowConfig {
    FollowConfig {
        watcher_name: name.to_owned(),
    }
}

fn cursor(revision: u64) -> FeedCursor {
    FeedCursor {
        epoch: "e".to_owned(),
        revision,
        nonce: format!("n{revision}"),
    }
}

fn sources(revision: u64, age: Duration) -> Vec<SourceState> {
    vec![SourceState {
        source: FeedSource::Auth.into(),
        position: Some(cursor(revision)),
        age: prost_types::Duration::try_from(age).ok(),
    }]
}

fn pong(nonce: u64, revision: u64, age: Duration) -> Answer {
    Answer::Pong(Pong {
        nonce,
        sources: sources(revision, age),
    })
}

fn ended(session: &str) -> Change {
    Change::SessionRevoked(SessionRevoked {
        session_id: session.to_owned(),
        user_id: "u1".to_owned(),
        retain_until_time: Some(now().plus(Duration::from_mins(10)).into()),
    })
}

fn changes(changes: impl IntoIterator<Item = (u64, Option<Change>)>) -> Answer {
    Answer::Changes(Changes {
        changes: changes
            .into_iter()
            .map(|(revision, change)| WireChange {
                position: Some(cursor(revision)),
                change,
            })
            .collect(),
    })
}

#[tokio::test]
async fn it_starts_stale_and_a_revocation_counts_at_once() {
    let mut bench = Bench::new().await;
    let mut stream = bench.feed.accept().await;
    assert_eq!(stream.start.watcher_name, "test");
    assert_eq!(stream.start.max_staleness.map(|span| span.seconds), Some(5));
    stream.say(Answer::Reset(Reset {}));
    // In two parts: only the last one makes it whole.
    stream.say(Answer::Snapshot(Snapshot {
        position: None,
        ..bench.snapshot(1)
    }));
    bench.answer_ping(&mut stream, 1).await;
    assert_eq!(bench.state.position(), None);
    stream.say(Answer::Snapshot(Snapshot {
        signing_keys: Vec::new(),
        ..bench.snapshot(1)
    }));
    bench.until_at(1).await;
    assert!(!bench.state.is_fresh(), "a snapshot is no proof of its age");
    bench.answer_ping(&mut stream, 1).await;
    bench.until_fresh(true).await;
    assert_eq!(bench.check("s1"), Ok(()));

    stream.say(changes([(2, Some(ended("s1")))]));
    bench.until_at(2).await;
    assert_eq!(bench.check("s1"), Err(Refusal::Revoked));
    assert_eq!(bench.check("s2"), Ok(()));
    assert_eq!(stream.acknowledged(2).await, cursor(2));
}

#[tokio::test]
async fn generations_and_keys_count_at_once_and_an_old_change_changes_nothing() {
    let (bench, stream) = Bench::live().await;
    stream.say(changes([(
        2,
        Some(Change::SubjectRevoked(SubjectRevoked {
            user_id: "u1".to_owned(),
            generation: 2,
            retain_until_time: Some(now().into()),
        })),
    )]));
    bench.until_at(2).await;
    assert_eq!(bench.check("s1"), Err(Refusal::Revoked));

    let withdrawn = bench.key(SigningKeyState::Withdrawn);
    stream.say(changes([(3, Some(Change::SigningKeyChanged(withdrawn)))]));
    let active = bench.key(SigningKeyState::Active);
    stream.say(changes([
        (2, Some(Change::SigningKeyChanged(active))),
        (4, Some(ended("s9"))),
    ]));
    bench.until_at(4).await;
    assert_eq!(bench.check("s2"), Err(Refusal::Revoked));
}

#[tokio::test]
async fn a_reset_keeps_the_revocations() {
    let (bench, mut stream) = Bench::live().await;
    stream.say(changes([(2, Some(ended("s1")))]));
    bench.until_at(2).await;
    // A restored database: another epoch, and it has forgotten the logout.
    stream.say(Answer::Reset(Reset {}));
    stream.say(Answer::Snapshot(Snapshot {
        position: Some(FeedCursor {
            epoch: "restored".to_owned(),
            revision: 7,
            nonce: "r".to_owned(),
        }),
        ..bench.snapshot(1)
    }));
    bench
        .until(|state| state.position() == Some(Position::new("restored", 7)))
        .await;
    assert_eq!(bench.check("s1"), Err(Refusal::Revoked));
    assert_eq!(bench.check("s2"), Ok(()));
    assert_eq!(stream.acknowledged(7).await.epoch, "restored");
}

#[tokio::test]
async fn a_broken_stream_goes_stale_in_time_and_resumes() {
    let (mut bench, stream) = Bench::live().await;
    stream.say(changes([(2, Some(ended("s1")))]));
    bench.until_at(2).await;
    drop(stream);
    let mut stream = bench.feed.accept().await;
    assert_eq!(stream.start.cursor, Some(cursor(2)));
    assert_eq!(bench.check("s2"), Ok(()), "not yet stale");
    bench.clock.advance(MAX_STALENESS);
    assert_eq!(bench.check("s2"), Ok(()), "exactly the bound");
    bench.clock.advance(Duration::from_micros(1));
    assert_eq!(bench.check("s2"), Err(Refusal::Stale));
    assert_eq!(bench.check("s1"), Err(Refusal::Revoked));

    // Pings from before that moment prove nothing new; the next one does.
    stream.say(changes([(3, Some(ended("s2")))]));
    bench.until_at(3).await;
    while !bench.state.is_fresh() {
        bench.answer_ping(&mut stream, 3).await;
    }
    assert_eq!(bench.check("s2"), Err(Refusal::Revoked));
    assert_eq!(bench.check("s3"), Ok(()));
}

#[tokio::test]
async fn an_unknown_change_forces_a_new_snapshot_and_is_stale_meanwhile() {
    for unknown in [
        changes([(2, Some(ended("s1"))), (3, None)]),
        changes([(2, Some(ended("")))]),
        Answer::Snapshot(Snapshot::default()),
        Answer::Changes(Changes {
            changes: vec![WireChange {
                position: Some(FeedCursor {
                    epoch: "other".to_owned(),
                    ..cursor(2)
                }),
                change: Some(ended("s1")),
            }],
        }),
    ] {
        let (mut bench, stream) = Bench::live().await;
        stream.say(unknown);
        bench.until_fresh(false).await;
        let mut stream = bench.feed.accept().await;
        assert_eq!(stream.start.cursor, None);
        assert_eq!(bench.check("s2"), Err(Refusal::Stale));
        stream.say(Answer::Reset(Reset {}));
        stream.say(Answer::Snapshot(bench.snapshot(3)));
        bench.answer_ping(&mut stream, 3).await;
        bench.until_fresh(true).await;
        assert_eq!(bench.check("s2"), Ok(()));
    }
}

#[tokio::test]
async fn a_message_of_an_unknown_kind_forces_a_new_snapshot() {
    let (mut bench, stream) = Bench::live().await;
    stream.say_nothing_known();
    bench.until_fresh(false).await;
    assert_eq!(bench.feed.accept().await.start.cursor, None);
}

#[tokio::test]
async fn nothing_that_the_server_says_makes_the_state_younger_than_measured() {
    let (bench, mut stream) = Bench::live().await;
    let age = || {
        let source = bench
            .state
            .source(crate::engine::Source::Auth)
            .expect("observed");
        source.age.expect("proven")
    };
    let old = stream.ping().await;
    bench.clock.advance(Duration::from_secs(3));
    // Late for its ping, unasked, of a future ping, without an age, with a negative one, and a bare checkpoint.
    stream.say(pong(old, 1, Duration::ZERO));
    stream.say(pong(old, 1, Duration::ZERO));
    stream.say(pong(u64::MAX, 1, Duration::ZERO));
    stream.say(Answer::Checkpoint(Checkpoint {
        sources: sources(1, Duration::ZERO),
    }));
    for wrong in [
        None,
        Some(prost_types::Duration {
            seconds: -9,
            nanos: 0,
        }),
    ] {
        // Pings of now: those before were sent before the clock moved.
        let mut nonce = stream.ping().await;
        while stream.pings_waiting() {
            nonce = stream.ping().await;
        }
        let mut sources = sources(1, Duration::ZERO);
        sources[0].age = wrong;
        stream.say(Answer::Pong(Pong { nonce, sources }));
    }
    stream.say(changes([(2, Some(ended("s1")))]));
    bench.until_at(2).await;
    assert!(age() >= Duration::from_secs(3), "{:?}", age());

    // An age from upstream is grown, not replaced: two seconds there, and what passed since the ping.
    let before = bench.clock.elapsed();
    let nonce = stream.ping().await;
    stream.say(pong(nonce, 2, Duration::from_secs(2)));
    stream.say(changes([(3, Some(ended("s1")))]));
    bench.until_at(3).await;
    assert_eq!(bench.clock.elapsed(), before);
    assert!(age() >= Duration::from_secs(2), "{:?}", age());
}

#[tokio::test]
async fn a_pong_during_a_reset_proves_nothing() {
    let (bench, mut stream) = Bench::live().await;
    bench.clock.advance(MAX_STALENESS + Duration::from_secs(1));
    stream.say(Answer::Reset(Reset {}));
    stream.ping().await;
    bench.answer_ping(&mut stream, 9).await;
    stream.say(Answer::Snapshot(bench.snapshot(9)));
    bench.until_at(9).await;
    assert!(!bench.state.is_fresh());
}

#[tokio::test]
async fn a_goodbye_is_followed_by_a_resumption() {
    let (mut bench, stream) = Bench::live().await;
    stream.say(Answer::Goodbye(Goodbye {
        reconnect_delay: None,
    }));
    assert_eq!(bench.feed.accept().await.start.cursor, Some(cursor(1)));
    assert!(bench.state.is_fresh());
}

#[tokio::test]
async fn it_ends_when_cancelled() {
    let (bench, mut stream) = Bench::live().await;
    bench.cancel.cancel();
    bench.task.await.expect("ends without a panic");
    stream.closed().await;
}

#[tokio::test]
async fn what_no_server_takes_is_an_error_before_it_is_asked() {
    let clock = Arc::new(ManualClock::new(now()));
    let feed = Feed::serve().await;
    let spawn = |max_staleness, name: &str| {
        let state = AccessState::new(config(), clock.clone(), max_staleness);
        let channel = feed.channel(clock.clone());
        let cancel = CancellationToken::new();
        Follower::spawn(
            channel,
            Arc::new(state),
            clock.clone(),
            watcher(name),
            cancel,
        )
    };
    for wrong in [
        Duration::ZERO,
        Duration::from_millis(99),
        Duration::from_secs(301),
        Duration::MAX,
    ] {
        let error = spawn(wrong, "test").expect_err("is refused");
        assert_eq!(error, FollowError::Staleness(wrong));
    }
    for wrong in ["Test", "a b", &"a".repeat(65)] {
        let error = spawn(MAX_STALENESS, wrong).expect_err("is refused");
        assert_eq!(error, FollowError::WatcherName);
    }
    for right in [Duration::from_millis(100), Duration::from_mins(5)] {
        spawn(right, "").expect("can be followed").abort();
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_asked_far_more_rarely_than_one_that_is_away() {
    for code in [
        Code::PermissionDenied,
        Code::Unauthenticated,
        Code::InvalidArgument,
    ] {
        let (mut refusing, mut away) = (Bench::new().await, Bench::new().await);
        refusing.feed.refuse(code).await;
        for _ in 0..4 {
            away.feed.refuse(Code::Unavailable).await;
        }
        // The first was refused before all these tries, and would have been back.
        assert!(!refusing.feed.is_asked());
    }
}

#[tokio::test]
async fn a_refused_cursor_is_left_out_and_only_then_it_waits_long() {
    let (mut bench, stream) = Bench::live().await;
    drop(stream);
    bench.feed.refuse(Code::InvalidArgument).await;
    assert_eq!(bench.feed.accept().await.start.cursor, None);
}
