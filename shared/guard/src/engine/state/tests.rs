//! What is known decides: keys, revocations, and how old they are.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    engine::{
        AccessClaims, SessionRevocation, SubjectRevocation,
        testing::{Issuer, NOW, claims, config, now},
    },
};

const MAX_STALENESS: Duration = Duration::from_secs(5);

struct Fixture {
    clock: Arc<ManualClock>,
    state: AccessState,
    issuer: Issuer,
}

/// A state that has the issuer's key and is fresh.
fn fixture() -> Fixture {
    let fixture = stale_fixture();
    let Fixture { state, issuer, .. } = &fixture;
    state.apply_snapshot(snapshot(vec![valid(issuer)], 1));
    state.observe_source(Source::Auth, Position::new("a", 1), Duration::ZERO);
    fixture
}

fn stale_fixture() -> Fixture {
    let clock = Arc::new(ManualClock::new(now()));
    Fixture {
        state: AccessState::new(config(), Arc::clone(&clock) as SharedClock, MAX_STALENESS),
        clock,
        issuer: Issuer::eddsa("k1"),
    }
}

fn valid(issuer: &Issuer) -> KeyChange {
    KeyChange::Valid(Arc::new(issuer.key()))
}

fn withdrawn(kid: &str) -> KeyChange {
    KeyChange::Withdrawn {
        kid: kid.to_owned(),
    }
}

fn snapshot(keys: Vec<KeyChange>, revision: u64) -> Snapshot {
    Snapshot {
        keys,
        position: Position::new("a", revision),
        ..Snapshot::default()
    }
}

fn session(id: &str) -> AccessChange {
    AccessChange::Session(SessionRevocation {
        session_id: id.to_owned(),
        retain_until: Timestamp::from_seconds(NOW + 600),
    })
}

fn subject(id: &str, generation: u64) -> AccessChange {
    AccessChange::Subject(SubjectRevocation {
        user_id: id.to_owned(),
        generation,
        retain_until: Timestamp::from_seconds(NOW + 600),
    })
}

fn of_session(id: &str) -> AccessClaims {
    AccessClaims {
        sid: id.to_owned(),
        ..claims()
    }
}

impl Fixture {
    fn token(&self) -> String {
        self.issuer.token(&claims())
    }

    /// The answer to a token, first seen and then from the cache.
    fn check(&self, token: &str) -> Result<(), Refusal> {
        let first = self.state.check(token).map(drop);
        assert_eq!(self.state.check(token).map(drop), first);
        first
    }
}

#[test]
fn a_good_token_passes_and_comes_from_the_cache_the_second_time() {
    let fixture = fixture();
    let token = fixture.token();
    let first = fixture.state.check(&token).expect("passes");
    let second = fixture.state.check(&token).expect("passes");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(fixture.state.position(), Some(Position::new("a", 1)));
}

#[test]
fn a_state_starts_stale_and_becomes_stale_again() {
    let fixture = stale_fixture();
    let token = fixture.token();
    let Fixture { state, clock, .. } = &fixture;
    assert_eq!(
        fixture.check(&token),
        Err(Refusal::Stale),
        "no key is known yet"
    );
    state.apply_snapshot(snapshot(vec![valid(&fixture.issuer)], 1));
    assert_eq!(
        fixture.check(&token),
        Err(Refusal::Stale),
        "a snapshot proves no freshness"
    );
    assert!(state.verify_signature_only(&token).is_ok());
    state.observe_source(Source::User, Position::new("u", 1), Duration::ZERO);
    assert_eq!(
        fixture.check(&token),
        Err(Refusal::Stale),
        "the other source"
    );
    state.observe_source(Source::Auth, Position::new("a", 1), Duration::from_secs(3));
    assert_eq!(fixture.check(&token), Ok(()));
    clock.advance(Duration::from_secs(2));
    assert_eq!(fixture.check(&token), Ok(()));
    assert_eq!(
        state.source(Source::Auth).and_then(|source| source.age),
        Some(MAX_STALENESS)
    );
    clock.advance(Duration::from_micros(1));
    assert!(!state.is_fresh());
    assert_eq!(fixture.check(&token), Err(Refusal::Stale));
}

#[test]
fn an_old_proof_takes_no_freshness_away_and_a_reset_takes_it_all() {
    let fixture = fixture();
    let Fixture { state, clock, .. } = &fixture;
    clock.advance(Duration::from_mins(1));
    state.observe_source(Source::Auth, Position::new("a", 2), Duration::ZERO);
    state.observe_source(Source::Auth, Position::new("a", 1), Duration::from_secs(40));
    assert!(state.is_fresh());
    assert_eq!(state.position(), Some(Position::new("a", 2)));
    state.mark_stale();
    assert!(!state.is_fresh());
    state.observe_source_at(
        Source::Auth,
        Position::new("b", 1),
        clock.elapsed() + MAX_STALENESS,
    );
    assert_eq!(
        state.position(),
        Some(Position::new("b", 1)),
        "a new epoch begins anew"
    );
    clock.advance(MAX_STALENESS + Duration::from_micros(1));
    assert!(!state.is_fresh(), "nothing is read in the future");
}

#[test]
fn what_speaks_against_a_token_is_said_also_when_stale() {
    let fixture = fixture();
    let Fixture {
        state,
        clock,
        issuer,
    } = &fixture;
    let ended = issuer.token(&of_session("ended"));
    assert_eq!(fixture.check(&ended), Ok(()));
    state.apply_change(session("ended"));
    clock.advance(Duration::from_mins(1));
    assert_eq!(fixture.check(&ended), Err(Refusal::Revoked));
    assert_eq!(fixture.check("x.y.z"), Err(Refusal::Invalid));
    assert_eq!(fixture.check(&fixture.token()), Err(Refusal::Stale));
    clock.advance(Duration::from_mins(10));
    assert_eq!(fixture.check(&fixture.token()), Err(Refusal::Expired));
}

#[test]
fn a_token_ends_in_the_cache_too() {
    let fixture = fixture();
    let token = fixture.token();
    assert_eq!(fixture.check(&token), Ok(()));
    fixture.clock.advance(Duration::from_secs(630));
    fixture
        .state
        .observe_source(Source::Auth, Position::new("a", 2), Duration::ZERO);
    assert_eq!(fixture.check(&token), Err(Refusal::Expired));
}

#[test]
fn only_older_generations_of_the_subject_are_refused() {
    let fixture = fixture();
    let of_generation = |generation| {
        fixture.issuer.token(&AccessClaims {
            generation,
            ..claims()
        })
    };
    let (old, new) = (of_generation(4), of_generation(5));
    fixture.state.apply_change(subject("u2", 9));
    assert_eq!(fixture.check(&old), Ok(()));
    fixture.state.apply_change(subject("u1", 5));
    fixture.state.apply_change(subject("u1", 2));
    assert_eq!(fixture.check(&old), Err(Refusal::Revoked));
    assert_eq!(fixture.check(&new), Ok(()));
}

#[test]
fn a_snapshot_drops_no_revocation() {
    let fixture = fixture();
    let Fixture { state, issuer, .. } = &fixture;
    state.apply_change(session("s1"));
    state.apply_change(subject("u2", 5));
    state.apply_snapshot(Snapshot {
        sessions: vec![SessionRevocation {
            session_id: "s3".to_owned(),
            retain_until: now(),
        }],
        subjects: vec![SubjectRevocation {
            user_id: "u2".to_owned(),
            generation: 3,
            retain_until: now(),
        }],
        ..snapshot(vec![valid(issuer)], 1)
    });
    let of = |sid: &str, sub: &str, generation| {
        issuer.token(&AccessClaims {
            sid: sid.to_owned(),
            sub: sub.to_owned(),
            generation,
            ..claims()
        })
    };
    assert_eq!(fixture.check(&of("s1", "u1", 9)), Err(Refusal::Revoked));
    assert_eq!(fixture.check(&of("s3", "u1", 9)), Err(Refusal::Revoked));
    assert_eq!(fixture.check(&of("s2", "u2", 4)), Err(Refusal::Revoked));
    assert_eq!(fixture.check(&of("s2", "u2", 5)), Ok(()));
}

#[test]
fn a_withdrawn_key_stays_refused_whatever_a_later_key_set_shows() {
    let fixture = fixture();
    let Fixture { state, issuer, .. } = &fixture;
    let token = fixture.token();
    assert_eq!(fixture.check(&token), Ok(()));
    state.apply_change(AccessChange::Key(withdrawn("k1")));
    assert_eq!(fixture.check(&token), Err(Refusal::Revoked));
    state.apply_change(AccessChange::Key(valid(issuer)));
    assert_eq!(fixture.check(&token), Err(Refusal::Revoked));
    state.apply_snapshot(snapshot(vec![valid(issuer)], 9));
    assert_eq!(fixture.check(&token), Err(Refusal::Revoked));
    state.apply_snapshot(snapshot(Vec::new(), 10));
    assert_eq!(fixture.check(&token), Err(Refusal::Revoked));
}

#[test]
fn a_key_that_left_the_set_verifies_nothing_in_the_cache() {
    let fixture = fixture();
    let token = fixture.token();
    assert_eq!(fixture.check(&token), Ok(()));
    // Another key under the same id.
    fixture
        .state
        .apply_snapshot(snapshot(vec![valid(&Issuer::eddsa("k1"))], 2));
    assert_eq!(fixture.check(&token), Err(Refusal::Invalid));
    fixture.state.apply_snapshot(snapshot(Vec::new(), 3));
    assert_eq!(fixture.check(&token), Err(Refusal::Invalid));
    fixture
        .state
        .apply_snapshot(snapshot(vec![valid(&fixture.issuer)], 4));
    assert_eq!(fixture.check(&token), Ok(()));
}

#[test]
fn setting_the_wall_clock_back_revives_no_revoked_token() {
    let fixture = fixture();
    let Fixture {
        state,
        clock,
        issuer,
    } = &fixture;
    let ended = issuer.token(&of_session("ended"));
    state.apply_change(session("ended"));
    clock.step_to(Timestamp::from_seconds(NOW + 10_000));
    // Enough to make every shard look for what can be forgotten.
    for index in 0..20_000 {
        state.apply_change(session(&format!("other{index}")));
    }
    clock.step_to(now());
    assert_ne!(fixture.check(&ended), Ok(()));
    assert_eq!(
        fixture.check(&issuer.token(&AccessClaims {
            exp: NOW + 20_000,
            ..claims()
        })),
        Ok(())
    );
}

/// For many sessions, one thread ends them in order while another checks their tokens: a check that begins after the
/// revocation was applied never passes.
#[test]
fn no_check_that_begins_after_a_revocation_passes() {
    const PAIRS: u32 = 200_000;
    const BATCH: u32 = 500;
    let fixture = fixture();
    let Fixture { state, issuer, .. } = &fixture;
    let model = issuer.verified(&claims());
    let key = Arc::new(issuer.key());
    let text = |pair: u32| format!("token{pair}");
    // How many tokens may be ended, and how many have been.
    let ready = AtomicU32::new(0);
    let ended = AtomicU32::new(0);
    let mut allowed = 0_u32;
    thread::scope(|scope| {
        scope.spawn(|| {
            for pair in 0..PAIRS {
                while ready.load(Ordering::SeqCst) <= pair {
                    thread::yield_now();
                }
                match pair % 3 {
                    0 => state.apply_change(session(&format!("s{pair}"))),
                    1 => state.apply_change(subject(&format!("u{pair}"), 2)),
                    _ => state.apply_snapshot(Snapshot {
                        sessions: vec![SessionRevocation {
                            session_id: format!("s{pair}"),
                            retain_until: Timestamp::from_seconds(NOW + 600),
                        }],
                        ..snapshot(vec![KeyChange::Valid(Arc::clone(&key))], 2)
                    }),
                }
                ended.store(pair + 1, Ordering::SeqCst);
            }
        });
        for first in (0..PAIRS).step_by(BATCH as usize) {
            let batch = first..first + BATCH;
            for pair in batch.clone() {
                // As if verified before: a signature for each pair would take the time, and leave no race.
                let verified = model.with_claims(AccessClaims {
                    sub: format!("u{pair}"),
                    ..of_session(&format!("s{pair}"))
                });
                state
                    .cache
                    .insert(cache::key_of(&text(pair)), Arc::new(verified));
            }
            ready.store(batch.end, Ordering::SeqCst);
            loop {
                let last_round = ended.load(Ordering::SeqCst) == batch.end;
                for pair in batch.clone() {
                    let over = ended.load(Ordering::SeqCst) > pair;
                    let outcome = state.check(&text(pair)).map(drop);
                    if over {
                        assert_eq!(outcome, Err(Refusal::Revoked), "a stale allow");
                    }
                    allowed += u32::from(outcome.is_ok());
                }
                if last_round {
                    break;
                }
            }
        }
    });
    assert!(allowed > 0, "some checks come before their revocation");
}

#[test]
fn a_withdrawal_seen_by_one_thread_is_seen_by_all() {
    let fixture = fixture();
    let token = fixture.token();
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let before = done.load(Ordering::SeqCst);
                    let outcome = fixture.state.check(&token).map(drop);
                    if before == 1 {
                        assert_eq!(outcome, Err(Refusal::Revoked));
                        break;
                    }
                }
            });
        }
        fixture
            .state
            .apply_change(AccessChange::Key(withdrawn("k1")));
        done.store(1, Ordering::SeqCst);
    });
}
