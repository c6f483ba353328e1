//! What becomes of a change that was on trial.

/// What becomes of a change that was on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrialEnd {
    /// It stays: the machine can still be reached, or somebody says so.
    Keep,
    /// It is taken back, for this reason.
    TakeBack(String),
}
