//! What a request changes of one user.

use super::accounts::ShadowLine;
use super::user_name::UserName;
use crate::Secret;

/// What has to change for one user.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: UserName,
    /// The user's line as it is.
    pub(super) before: ShadowLine,
    /// The new password; `None` if it stands there already and only its expiry changes.
    pub(super) new: Option<New>,
    /// The text to show, if it was made up here.
    pub(super) shown: Option<Secret>,
}

/// A new password.
#[derive(Debug)]
pub(super) enum New {
    Hash(Secret),
    Text(Secret),
}
