//! A position in a feed.

use std::cmp::Ordering;

/// How far a feed has come.
///
/// Positions of different epochs do not compare: the epoch changes when the database is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the database, random.
    pub epoch: String,
    /// Grows with every change within the epoch.
    pub revision: u64,
}

impl Position {
    /// A position.
    #[must_use]
    pub fn new(epoch: impl Into<String>, revision: u64) -> Self {
        Self {
            epoch: epoch.into(),
            revision,
        }
    }

    /// Whether this position is of the same epoch as another and not before it.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.revision >= other.revision
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.epoch == other.epoch).then(|| self.revision.cmp(&other.revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_different_epochs_do_not_compare() {
        let old = Position::new("a", 9);
        assert!(old.reaches(&Position::new("a", 9)));
        assert!(!old.reaches(&Position::new("a", 10)));
        assert!(!old.reaches(&Position::new("b", 1)));
        assert!(old > Position::new("a", 8));
        assert_eq!(old.partial_cmp(&Position::new("b", 1)), None);
    }
}
