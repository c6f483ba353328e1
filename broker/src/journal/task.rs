//! What is to be done in a module's turn.

use serde::{Deserialize, Serialize};

/// What is to be done with a module's config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// What was pushed is merged in.
    #[default]
    Push,
    /// What waited for devices is done, as far as they have come. The guest's own.
    Resume,
    /// The last change is taken back.
    Revert,
}
