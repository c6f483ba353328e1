//! What the shadow file must say after a change, and the look at it.

use super::accounts::{SHADOW, line_in, shadow_now};
use super::crypt::is_hash_of;
use super::user_name::UserName;
use crate::{Secret, System};

/// What the shadow file must say of each user that a plan changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    pub(super) users: Vec<ExpectedUser>,
}

/// One user's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedUser {
    pub(super) name: UserName,
    pub(super) password: ExpectedPassword,
    /// True: a new password is due at the next login. False: it is not.
    pub(super) expired: bool,
}

/// The second field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExpectedPassword {
    /// Exactly this.
    Field(Secret),
    /// A hash of this text, which the machine's own tool made.
    HashOf {
        /// The text.
        text: Secret,
        /// What stood there before; it must be gone.
        before: Secret,
    },
}

/// Looks whether the shadow file says what it must.
pub(crate) fn verify(expectation: &Expectation, system: &dyn System) -> Result<(), String> {
    let lines = match shadow_now(system) {
        Ok(Some(lines)) => lines,
        Ok(None) => return Err(format!("`{SHADOW}` is gone after the change")),
        Err(error) => return Err(error.to_string()),
    };
    for user in &expectation.users {
        let name = &user.name;
        let Some(line) = line_in(&lines, name.as_str()) else {
            return Err(format!("user `{name}` is gone from `{SHADOW}` after the change"));
        };
        if !user.password.is_met_by(line.password()) {
            return Err(format!("the password of `{name}` is not the one that was set: `{SHADOW}` differs"));
        }
        if line.is_expired() != user.expired {
            let state = if user.expired { "is not due for a change" } else { "is still due for a change" };
            return Err(format!("the password of `{name}` {state} at the next login: `{SHADOW}` differs"));
        }
    }
    Ok(())
}

impl ExpectedPassword {
    fn is_met_by(&self, field: &str) -> bool {
        match self {
            Self::Field(expected) => field == expected.expose(),
            Self::HashOf { text, before } => {
                let changed =
                    || field != before.expose() && !field.is_empty() && !field.starts_with(['!', '*']);
                // Where the method is one that cannot be checked here, something must at least have changed.
                is_hash_of(field, text).unwrap_or_else(changed)
            }
        }
    }
}
