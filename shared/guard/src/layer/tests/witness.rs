//! Who hears of refusals: of those for want of a right, by whom and for what, and of nothing else.

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Witness for Heard {
    fn refused(&self, method: &str, caller: &Caller, lacking: &str, request: &Extensions) {
        assert!(request.get::<PeerInfo>().is_some(), "it is the request's");
        let caller = word(Ok(caller.clone()));
        let mut heard = self.0.lock().expect("lock");
        heard.push(format!("{caller} {method} {lacking}"));
    }
}

#[tokio::test]
async fn a_witness_hears_of_refusals_for_want_of_a_right_alone() {
    let bench = Bench::new();
    let heard = Arc::new(Heard::default());
    let credentials = [
        ("u1", PERMISSION, bench.user("u1"), "u1"),
        ("u1 on another", SELF, bench.user("u1"), "u2"),
        ("a service without the scope", SERVICE, key(FEED_KEY), "u1"),
        ("u1 as self", SELF, bench.user("u1"), "u1"),
        ("holder", PERMISSION, bench.user("holder"), "u1"),
        ("who is not active", PERMISSION, bench.user("gone"), "u1"),
        ("nobody", PERMISSION, Credential::none(), "u1"),
        ("a service", SERVICE, key(CREDENTIALS_KEY), "u1"),
        ("an unknown service", SERVICE, key(&"x".repeat(40)), "u1"),
    ];
    let guard = Guard::new(bench.config).witnessed(heard.clone());
    let guard = Arc::new(guard);
    for (_, path, credential, user) in credentials {
        drop(call(&guard, path, credential, &user_request(user)).await);
    }
    let expected = [
        format!("u1 {PERMISSION} users.create"),
        format!("u1 {SELF} users.read"),
        format!("guard {SERVICE} credentials"),
    ];
    assert_eq!(*heard.0.lock().expect("lock"), expected);
}
