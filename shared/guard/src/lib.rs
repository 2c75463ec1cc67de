//! What a backend adds to its own tonic server: verify access tokens locally, follow the live access feed, and
//! enforce the rules that the contract carries.

pub mod clock;
pub mod deadline;
pub mod engine;
pub mod position;
pub mod rules;
pub mod status;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
pub use engine::{AccessState, VerifierConfig};
pub use position::Position;
pub use rules::{Rule, Rules};
pub use status::{ErrorReason, Failure};
