//! An account of one's own: begun, proven by the mailed token, and moved to another address.

use identity_dev::administrator::random_password;
use serde_json::{Value, json};

use super::story::{Story, says, text};

const REGISTER: &str = "UserService/RegisterUser";
const CONFIRM: &str = "UserService/ConfirmEmail";
const CHANGE: &str = "UserService/RequestEmailChange";
const GET: &str = "UserService/GetUser";
const CLAIM: &str = "CredentialService/ClaimPendingMails";

pub(super) fn begin_and_move(story: &Story) {
    let password = random_password().unwrap();
    let begun = json!({
        "username": "ada", "email": "ada@example.org", "first_name": "Ada",
        "last_name": "Lovelace",
    });
    let until = story.by(None, REGISTER, begun.clone());
    text(&until, "/expireTime");
    story.refused(None, REGISTER, begun, "USERNAME_TAKEN");
    story.login_refused("ada", &password, "INVALID_CREDENTIALS");

    let mails = story.service(CLAIM, json!({"limit": 10}));
    says(
        &mails,
        &[
            ("/mails/0/purpose", json!("MAIL_PURPOSE_REGISTRATION")),
            ("/mails/0/email", json!("ada@example.org")),
            ("/mails/0/expireTime", until["expireTime"].clone()),
        ],
    );
    let token = text(&mails, "/mails/0/token");
    story.refused(None, CONFIRM, json!({"token": token}), "INVALID_FIELDS");
    let proof = json!({"token": token, "password": password});
    let confirmed = story.by(None, CONFIRM, proof.clone());
    let id = text(&confirmed, "/userId");
    story.refused(None, CONFIRM, proof, "EMAIL_TOKEN_INVALID");
    let token = story.log_in("ada", &password);
    let read = |min_revision: &Value| {
        let own = json!({"user_id": id, "min_revision": min_revision});
        story.by(Some(&token), GET, own)
    };
    says(
        &read(&confirmed["revision"]),
        &[
            ("/user/username", json!("ada")),
            ("/user/email", json!("ada@example.org")),
            ("/user/emailVerified", json!(true)),
        ],
    );

    let change = json!({"email": "countess@example.org"});
    story.refused(None, CHANGE, change.clone(), "TOKEN_MISSING");
    text(&story.by(Some(&token), CHANGE, change), "/expireTime");
    let held = story.by(
        Some(&token),
        "UserService/ExportUser",
        json!({"user_id": id}),
    );
    says(&held, &[("/waitingEmail", json!("countess@example.org"))]);
    let sent = json!({"limit": 10, "sent_mail_ids": [text(&mails, "/mails/0/mailId")]});
    let mails = story.service(CLAIM, sent);
    says(
        &mails,
        &[
            ("/mails/0/purpose", json!("MAIL_PURPOSE_EMAIL_CHANGE")),
            ("/mails/0/email", json!("countess@example.org")),
        ],
    );
    let proof = json!({"token": text(&mails, "/mails/0/token")});
    let confirmed = story.by(None, CONFIRM, proof);
    assert_eq!(text(&confirmed, "/userId"), id);
    says(
        &read(&confirmed["revision"]),
        &[
            ("/user/email", json!("countess@example.org")),
            ("/user/emailVerified", json!(true)),
        ],
    );
    story.service_refused(CLAIM, json!({"limit": 101}), "INVALID_FIELDS");
}
