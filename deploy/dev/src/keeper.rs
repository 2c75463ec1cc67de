//! Keeps a session alive for as long as it may live, whatever happens in between.

use std::time::Duration;

use identity_proto::auth::v1::TokenSet;
use tokio::time::sleep;

use crate::{
    problem::Problem,
    session::{self, RefreshError},
};

/// The first wait after a refresh that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest of these waits. The answer of a refresh that got lost can be had again for ten seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What keeping a session needs of the world.
pub trait Tokens {
    /// Trades the refresh token for new tokens.
    ///
    /// # Errors
    ///
    /// The session has ended, or there was no answer.
    fn refresh(
        &self,
        refresh_token: &str,
    ) -> impl Future<Output = Result<TokenSet, RefreshError>> + Send;

    /// Puts new tokens where others find them.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn keep(&self, tokens: &TokenSet) -> Result<(), Problem>;
}

/// Replaces the tokens before they end. What fails is tried again, and told once until it works; the end of the session
/// is told by returning.
pub async fn stay_logged_in(tokens: TokenSet, world: &impl Tokens, say: &impl Fn(&str)) {
    let mut held = tokens;
    loop {
        sleep(session::renewal_after(&held)).await;
        let Some(renewed) = renew(&held.refresh_token, world, say).await else {
            return;
        };
        held = renewed;
        if let Err(problem) = world.keep(&held) {
            say(&format!(
                "the new access token is not where it should be: {problem}"
            ));
        }
    }
}

/// New tokens, sooner or later; `None` when the session has ended.
async fn renew(refresh_token: &str, world: &impl Tokens, say: &impl Fn(&str)) -> Option<TokenSet> {
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        match world.refresh(refresh_token).await {
            Ok(tokens) => {
                if told {
                    say("the session is refreshed again");
                }
                return Some(tokens);
            }
            Err(RefreshError::Ended(_)) => return None,
            Err(RefreshError::Failed(problem)) if !told => {
                say(&format!(
                    "the session is not refreshed, trying again: {problem}"
                ));
                told = true;
            }
            Err(RefreshError::Failed(_)) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::Mutex,
        time::{Duration, SystemTime},
    };

    use tokio::time::Instant;

    use super::*;

    /// Answers by a script, and keeps a record.
    #[derive(Default)]
    struct Script {
        answers: Mutex<VecDeque<Result<TokenSet, RefreshError>>>,
        asked: Mutex<Vec<String>>,
        kept: Mutex<Vec<String>>,
        is_disk_full: bool,
    }

    impl Tokens for Script {
        async fn refresh(&self, refresh_token: &str) -> Result<TokenSet, RefreshError> {
            self.asked.lock().unwrap().push(refresh_token.to_owned());
            self.answers.lock().unwrap().pop_front().unwrap()
        }

        fn keep(&self, tokens: &TokenSet) -> Result<(), Problem> {
            if self.is_disk_full {
                return Err(Problem::new("the disk is full"));
            }
            self.kept.lock().unwrap().push(tokens.refresh_token.clone());
            Ok(())
        }
    }

    impl Script {
        fn of(answers: impl IntoIterator<Item = Result<TokenSet, RefreshError>>) -> Self {
            Self {
                answers: Mutex::new(answers.into_iter().collect()),
                ..Self::default()
            }
        }

        /// What is said until the session ends.
        async fn played(&self) -> Vec<String> {
            let said = Mutex::new(Vec::new());
            let say = |text: &str| said.lock().unwrap().push(text.to_owned());
            stay_logged_in(tokens("first"), self, &say).await;
            said.into_inner().unwrap()
        }
    }

    fn tokens(refresh_token: &str) -> TokenSet {
        let end = SystemTime::now() + Duration::from_mins(10);
        TokenSet {
            refresh_token: refresh_token.to_owned(),
            access_token_expire_time: Some(end.into()),
            ..TokenSet::default()
        }
    }

    fn failed() -> Result<TokenSet, RefreshError> {
        Err(RefreshError::Failed(Problem::new("nobody answers")))
    }

    fn ended() -> Result<TokenSet, RefreshError> {
        Err(RefreshError::Ended(Problem::new("logged out")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_fails_is_tried_again_and_told_once() {
        let answers = std::iter::repeat_with(failed).take(20);
        let answers = answers.chain([Ok(tokens("second")), Ok(tokens("third")), ended()]);
        let script = Script::of(answers);
        let begin = Instant::now();
        let said = script.played().await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("nobody answers"), "{said:?}");
        assert_eq!(*script.kept.lock().unwrap(), ["second", "third"]);
        let asked = script.asked.lock().unwrap();
        assert_eq!(asked[20..], ["first", "second", "third"]);
        // Three halves of ten minutes, and twenty waits that stay bounded.
        let bound = Duration::from_mins(15) + 20 * LONGEST_PAUSE;
        assert!(begin.elapsed() < bound, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_session_ends_the_keeping_and_nothing_else() {
        let script = Script::of([ended()]);
        let said = script.played().await;
        assert!(said.is_empty(), "{said:?}");
        assert!(script.kept.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_cannot_be_written_are_still_refreshed() {
        let script = Script {
            is_disk_full: true,
            ..Script::of([Ok(tokens("second")), ended()])
        };
        let said = script.played().await;
        assert!(said[0].contains("the disk is full"), "{said:?}");
        assert_eq!(*script.asked.lock().unwrap(), ["first", "second"]);
    }
}
