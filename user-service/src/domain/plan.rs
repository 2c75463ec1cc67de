//! Plans: what a subscription can be to, and what it entitles to.

use std::collections::{BTreeMap, BTreeSet};

use super::{name::FeatureName, problem::Problem};

/// The longest name of a plan, in characters.
const MAX_NAME: usize = 50;
/// The most plans.
const MAX_PLANS: usize = 100;
/// The most features of a plan: a snapshot carries them all.
const MAX_FEATURES: usize = 200;

super::text::text_type! {
    /// The name of a plan, such as `PREMIUM`.
    PlanName
}
super::text::stored_type!(PlanName);

impl PlanName {
    /// Reads a name: 1 to 50 of `A-Z`, `0-9` and `_`, beginning with a letter.
    ///
    /// # Errors
    /// When it breaks the rule.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let inner = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        match raw.bytes().next() {
            None => Err(Problem::Empty),
            _ if raw.len() > MAX_NAME => Err(Problem::TooLong(MAX_NAME)),
            _ if raw.chars().any(char::is_control) => Err(Problem::ControlCharacter),
            _ if !raw.bytes().all(inner) => {
                Err(Problem::Format("must consist of A-Z, 0-9 and '_'"))
            }
            Some(first) if !first.is_ascii_uppercase() => {
                Err(Problem::Format("must begin with a letter"))
            }
            Some(_) => Ok(Self(raw.to_owned())),
        }
    }
}

/// The plans that there are, each with its features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans(BTreeMap<PlanName, BTreeSet<FeatureName>>);

impl Plans {
    /// Reads plans; the error is a sentence that names the plan, or the feature, that breaks a rule.
    ///
    /// # Errors
    /// When a name breaks its rule, or there are too many of something.
    pub fn parse(raw: impl IntoIterator<Item = (String, Vec<String>)>) -> Result<Self, String> {
        let mut plans = BTreeMap::new();
        for (name, features) in raw {
            let plan = PlanName::parse(&name)
                .map_err(|problem| format!("the name of the plan `{name}` {problem}"))?;
            if features.len() > MAX_FEATURES {
                return Err(format!(
                    "the plan `{name}` has more than {MAX_FEATURES} features"
                ));
            }
            let features = features
                .iter()
                .map(|feature| {
                    FeatureName::parse(feature).map_err(|problem| {
                        format!("the feature `{feature}` of the plan `{name}` {problem}")
                    })
                })
                .collect::<Result<_, _>>()?;
            plans.insert(plan, features);
        }
        match plans.len() {
            0 => Err("there is no plan".to_owned()),
            1..=MAX_PLANS => Ok(Self(plans)),
            _ => Err(format!("there are more than {MAX_PLANS} plans")),
        }
    }

    /// Whether there is such a plan.
    #[must_use]
    pub fn has(&self, name: &PlanName) -> bool {
        self.0.contains_key(name)
    }

    /// What a plan entitles to, sorted; nothing when it is not there any more.
    pub fn features(&self, name: &PlanName) -> impl Iterator<Item = &FeatureName> {
        self.0.get(name).into_iter().flatten()
    }
}

impl Default for Plans {
    /// `FREE`, `BASIC` and `PREMIUM`.
    fn default() -> Self {
        let plan = |name: &str, features: &[&str]| {
            let features = features
                .iter()
                .map(|&feature| FeatureName::stored(feature.to_owned()));
            (PlanName::stored(name.to_owned()), features.collect())
        };
        Self(BTreeMap::from([
            plan("FREE", &["community.support"]),
            plan(
                "BASIC",
                &["community.support", "email.support", "reports.read"],
            ),
            plan(
                "PREMIUM",
                &[
                    "community.support",
                    "email.support",
                    "phone.support",
                    "reports.export",
                    "reports.read",
                ],
            ),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &[(&str, &[&str])]) -> Result<Plans, String> {
        Plans::parse(raw.iter().map(|(name, features)| {
            let features = features.iter().map(|&feature| feature.to_owned());
            ((*name).to_owned(), features.collect())
        }))
    }

    #[test]
    fn a_plan_has_its_features_sorted_and_each_once() {
        let plans = parse(&[("GOLD_1", &["b.c", "a", "b.c"]), ("NONE", &[])]).unwrap();
        let gold = PlanName::parse("GOLD_1").unwrap();
        let names: Vec<_> = plans.features(&gold).map(FeatureName::as_str).collect();
        assert_eq!(names, ["a", "b.c"]);
        assert!(plans.has(&gold));
        let absent = PlanName::parse("FREE").unwrap();
        assert!(!plans.has(&absent));
        assert_eq!(plans.features(&absent).count(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_named() {
        for (raw, named) in [
            (("gold", &["a"] as &[&str]), "`gold`"),
            (("", &[]), "``"),
            (("GOLD", &["A b"]), "`A b`"),
            (("GOLD", &["a"; 201]), "`GOLD`"),
        ] {
            let problem = parse(&[raw]).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
        assert_eq!(parse(&[]), Err("there is no plan".to_owned()));
    }

    #[test]
    fn the_plans_that_come_along_are_well_formed() {
        for (name, features) in Plans::default().0 {
            assert_eq!(PlanName::parse(name.as_str()), Ok(name.clone()));
            for feature in features {
                assert_eq!(FeatureName::parse(feature.as_str()), Ok(feature.clone()));
            }
        }
    }
}
