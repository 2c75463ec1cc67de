//! What a hash costs: the parameters of Argon2id and the bounds of what is ever computed.

use argon2::Params;
use thiserror::Error;

/// The most memory that any hash may declare, in KiB: 256 MiB.
const MAX_M_KIB: u32 = 256 * 1024;
/// The most passes that any hash may declare.
const MAX_T: u32 = 10;
/// The most lanes that any hash may declare.
const MAX_P: u32 = 16;
/// The least memory of Argon2 for each lane, in KiB.
const MIN_M_KIB_PER_LANE: u32 = 8;

/// The cost of an Argon2id hash. The default is the least that is recommended: 19 MiB, two passes, one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Memory in KiB: 8 for each lane to 262,144.
    pub m_kib: u32,
    /// Passes over the memory: 1 to 10.
    pub t: u32,
    /// Lanes: 1 to 16. They are computed one after the other: a login takes one core.
    pub p: u32,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            m_kib: 19 * 1024,
            t: 2,
            p: 1,
        }
    }
}

/// A cost outside the bounds, with what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// The memory is out of bounds.
    #[error("{0} KiB of memory: use 8 for each lane to 262144")]
    Memory(u32),
    /// The passes are out of bounds.
    #[error("{0} passes: use 1 to 10")]
    Passes(u32),
    /// The lanes are out of bounds.
    #[error("{0} lanes: use 1 to 16")]
    Lanes(u32),
}

impl PasswordPolicy {
    /// The parameters as the hash function takes them, if they are within the bounds.
    pub(super) fn params(self) -> Result<Params, PolicyError> {
        if !(1..=MAX_P).contains(&self.p) {
            return Err(PolicyError::Lanes(self.p));
        }
        if !(1..=MAX_T).contains(&self.t) {
            return Err(PolicyError::Passes(self.t));
        }
        if !(MIN_M_KIB_PER_LANE * self.p..=MAX_M_KIB).contains(&self.m_kib) {
            return Err(PolicyError::Memory(self.m_kib));
        }
        Params::new(self.m_kib, self.t, self.p, None).map_err(|_| PolicyError::Memory(self.m_kib))
    }

    /// The work of one hash: KiB filled, over all passes.
    pub(super) fn work_kib(self) -> u64 {
        u64::from(self.m_kib) * u64::from(self.t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_recommended_minimum() {
        let params = PasswordPolicy::default().params().unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (19_456, 2, 1)
        );
    }

    #[test]
    fn a_cost_outside_the_bounds_is_refused_by_name() {
        let of = |m_kib, t, p| PasswordPolicy { m_kib, t, p }.params().err();
        assert_eq!(of(262_144, 10, 16), None);
        assert_eq!(of(8, 1, 1), None);
        assert_eq!(of(7, 1, 1), Some(PolicyError::Memory(7)));
        assert_eq!(of(15, 1, 2), Some(PolicyError::Memory(15)));
        assert_eq!(of(262_145, 1, 1), Some(PolicyError::Memory(262_145)));
        assert_eq!(of(8, 0, 1), Some(PolicyError::Passes(0)));
        assert_eq!(of(8, 11, 1), Some(PolicyError::Passes(11)));
        assert_eq!(of(8, 1, 0), Some(PolicyError::Lanes(0)));
        assert_eq!(of(1024, 1, 17), Some(PolicyError::Lanes(17)));
    }
}
