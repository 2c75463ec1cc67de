//! Reserved usernames: those that pretend to be the operator.

use std::collections::HashSet;

use super::{
    look_alike::{SEPARATOR, skeleton},
    problem::Problem,
    username::Username,
};

/// The names of every installation.
const LIST: &str = include_str!("reserved_usernames.txt");

/// Names that are refused to callers of an RPC. The verbs of the operator may use them.
#[derive(Clone, Debug)]
pub struct ReservedUsernames(HashSet<String>);

impl ReservedUsernames {
    /// The names of every installation and an operator's own.
    ///
    /// # Errors
    /// One of the operator's is no username.
    pub fn with(more: &[String]) -> Result<Self, Problem> {
        let more = more
            .iter()
            .map(|name| Username::parse(name).map(|name| form(&name.key())));
        let listed = LIST
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|name| Ok(form(name)));
        Ok(Self(listed.chain(more).collect::<Result<_, _>>()?))
    }

    /// Whether a name, or what it looks like, is reserved; separators do not count.
    #[must_use]
    pub fn contains(&self, name: &Username) -> bool {
        [name.as_str(), &name.key()]
            .into_iter()
            .any(|name| self.0.contains(&form(name)))
    }
}

fn form(name: &str) -> String {
    skeleton(name).replace(SEPARATOR, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_reserved(reserved: &ReservedUsernames, name: &str) -> bool {
        reserved.contains(&Username::parse(name).unwrap())
    }

    #[test]
    fn the_operators_names_and_their_look_alikes_are_reserved() {
        let reserved = ReservedUsernames::with(&["acme-bot".to_owned()]).unwrap();
        for name in [
            "admin",
            "Admin",
            "adrnin",
            "AD.MIN",
            "r00t",
            "post_master",
            "supp0rt",
            "no-reply",
            "acme.bot",
            "AcmeB0t",
        ] {
            assert!(is_reserved(&reserved, name), "{name}");
        }
    }

    #[test]
    fn a_name_that_contains_a_reserved_one_is_free() {
        let reserved = ReservedUsernames::with(&[]).unwrap();
        for name in ["ada", "anna.root", "testa", "support-fan", "acme-bot"] {
            assert!(!is_reserved(&reserved, name), "{name}");
        }
    }

    #[test]
    fn an_operator_reserves_usernames_and_nothing_else() {
        assert!(ReservedUsernames::with(&["a b".to_owned()]).is_err());
    }
}
