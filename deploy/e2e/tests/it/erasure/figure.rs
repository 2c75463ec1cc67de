//! People of whom everything is distinctive: each value stands nowhere but where it was given.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use identity_proto::user::v1::Address;

use super::needles::Fact;

/// How somebody came to be a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Created by an administrator.
    Created,
    /// Imported with the password hash of another program.
    Imported,
    /// Begun by themselves.
    Registered,
}

/// What is known of somebody at one time or another.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) origin: Origin,
    /// Stands in every name of theirs, whatever is done to it: no form of a name changes its letters.
    pub(super) stem: &'static str,
    number: u8,
    pub(super) username: String,
    /// The first address, with a domain that is compared in another form.
    pub(super) email: String,
    /// The second address.
    pub(super) mail: String,
    /// The one that waits for its proof.
    pub(super) waiting: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) second_last_name: String,
    pub(super) phone: String,
    pub(super) second_phone: String,
    pub(super) street: String,
    pub(super) extra: String,
    pub(super) city: String,
    pub(super) region: String,
    pub(super) postal_code: String,
    pub(super) external_id: String,
    pub(super) first_password: String,
    pub(super) password: String,
    pub(super) wrong_password: String,
    pub(super) suspension: String,
    pub(super) activation: String,
    pub(super) user_agent: String,
}

impl Figure {
    pub(super) fn all() -> [Self; 3] {
        [
            Self::new("zebedee", 1, Origin::Created),
            Self::new("quintus", 2, Origin::Imported),
            Self::new("phyrne", 3, Origin::Registered),
        ]
    }

    fn new(stem: &'static str, number: u8, origin: Origin) -> Self {
        let name = format!("{}{}", stem[..1].to_uppercase(), &stem[1..]);
        Self {
            origin,
            stem,
            number,
            username: format!("{stem}.quux"),
            email: format!("{name}.First@exämple.org"),
            mail: format!("{stem}.second@post.example"),
            waiting: format!("{stem}.waits@post.example"),
            first_name: format!("Señor {name}"),
            last_name: format!("{name}worth"),
            second_last_name: format!("{name}son Øster"),
            phone: format!("+417912345{number:02}"),
            second_phone: format!("+417898765{number:02}"),
            street: format!("{name} Street 7"),
            extra: format!("Tower of {name}"),
            city: format!("{name}stadt"),
            region: format!("{name}land"),
            postal_code: format!("{}-4711", stem.to_uppercase()),
            external_id: format!("employee {stem}"),
            first_password: format!("plum tractor violin {number} quasar"),
            password: format!("walnut {number} glacier trombone"),
            wrong_password: format!("mango cathedral {number} bicycle"),
            suspension: format!("caught {name} with the keys"),
            activation: format!("the keys were those of {name}"),
            user_agent: format!("{stem}-browser/1.0"),
        }
    }

    /// Where the person calls from.
    pub(super) fn network(&self) -> [u8; 4] {
        [127, 77, 113, self.number]
    }

    pub(super) fn address(&self) -> Address {
        Address {
            street: self.street.clone(),
            extra: self.extra.clone(),
            city: self.city.clone(),
            region: self.region.clone(),
            postal_code: self.postal_code.clone(),
            country_code: "CH".to_owned(),
        }
    }

    /// The hash that another program has of the first password, as LDAP writes it.
    pub(super) fn foreign_hash(&self) -> String {
        let salt = [self.number; 4];
        let salted = [self.first_password.as_bytes(), &salt].concat();
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted);
        let text = STANDARD.encode([digest.as_ref(), &salt].concat());
        format!("{{SSHA}}{text}")
    }

    /// Each value with its name, and with the forms in which it is compared.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let network = std::net::Ipv4Addr::from(self.network()).to_string();
        let foreign_hash = self.foreign_hash();
        let named = [
            ("stem", self.stem),
            ("username", &self.username),
            ("email", &self.email),
            ("mail address", &self.mail),
            ("email that is waited for", &self.waiting),
            ("first name", &self.first_name),
            ("last name", &self.last_name),
            ("second last name", &self.second_last_name),
            ("first phone", &self.phone),
            ("phone", &self.second_phone),
            ("street", &self.street),
            ("extra", &self.extra),
            ("city", &self.city),
            ("region", &self.region),
            ("postal code", &self.postal_code),
            ("external id", &self.external_id),
            ("first password", &self.first_password),
            ("password", &self.password),
            ("wrong password", &self.wrong_password),
            ("foreign hash", &foreign_hash),
            ("reason of the suspension", &self.suspension),
            ("reason of the activation", &self.activation),
            ("user agent", &self.user_agent),
            ("network", &network),
        ];
        let facts = named.into_iter().map(|(name, value)| {
            let forms = [value.to_owned(), canonical(value)];
            Fact {
                what: format!("{}: {name}", self.stem),
                forms: forms.to_vec(),
            }
        });
        facts.collect()
    }
}

/// A value without what the services take from it to compare it: case, accents, and letters of a domain.
fn canonical(value: &str) -> String {
    let value = value.replace("exämple.org", "xn--exmple-cua.org");
    let value = value.replace('Ø', "o").replace('ñ', "n");
    value.to_lowercase()
}
