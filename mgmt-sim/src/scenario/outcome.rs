//! How a scenario came out.

use std::time::Duration;

/// A whole scenario's.
#[derive(Debug)]
pub struct Outcome {
    /// Steps that were played, in order; the last one may have failed.
    pub played: Vec<StepOutcome>,
    /// Titles and lines of those that were not, because one before them failed or they are for the other direction.
    pub skipped: Vec<(String, u64)>,
    /// From the first step to the last.
    pub took: Duration,
}

/// One step's.
#[derive(Debug)]
pub struct StepOutcome {
    /// What it is called.
    pub title: String,
    /// Its line.
    pub line: u64,
    /// How long it took.
    pub took: Duration,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// What was expected, and what came instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In a sentence.
    pub expected: String,
    /// The nearest there was, the last events, the link's state: a line each.
    pub came: Vec<String>,
}

impl Outcome {
    /// True if every step that was to be played went as it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.played.iter().all(|step| step.failure.is_none())
    }
}
