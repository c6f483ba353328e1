//! How a push came out.

use cloud_channel_handlers::{Held, Outcome};
use cloud_channel_protocol::EventResult;

/// How a push came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ending {
    pub(crate) result: EventResult,
    /// What the finish event adds to the result; no secrets. `None` if the result says all.
    pub(crate) remark: Option<String>,
    /// What the module holds now; `None` if nothing was applied.
    pub(crate) held: Option<Held>,
}

impl Ending {
    /// Nothing was applied, for this reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self { result: EventResult::Fail, remark: Some(reason.into()), held: None }
    }

    /// There was nothing to do, which is as good as done.
    pub(super) fn nothing_done(remark: &str) -> Self {
        Self { result: EventResult::Success, remark: Some(remark.to_owned()), held: None }
    }

    /// What applying a plan has come to. The remark is for what went well; what did not tells of itself.
    pub(super) fn of(outcome: Outcome, remark: Option<&str>) -> Self {
        let told = Some(outcome.to_string());
        match outcome {
            Outcome::Done { held, warnings } if warnings.is_empty() => {
                Self { result: EventResult::Success, remark: remark.map(str::to_owned), held: Some(held) }
            }
            Outcome::Done { held, .. } => Self { result: EventResult::Warn, remark: told, held: Some(held) },
            Outcome::Failed { .. } => Self { result: EventResult::Fail, remark: told, held: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(warnings: &[&str]) -> Outcome {
        let warnings = warnings.iter().copied().map(str::to_owned).collect();
        Outcome::Done { warnings, held: Held::nothing() }
    }

    #[test]
    fn a_remark_is_for_what_went_well() {
        let plain = Ending::of(done(&[]), None);
        assert_eq!((plain.result, plain.remark), (EventResult::Success, None));
        let remarked = Ending::of(done(&[]), Some("taken back"));
        assert_eq!((remarked.result, remarked.remark.as_deref()), (EventResult::Success, Some("taken back")));
        let warned = Ending::of(done(&["no carrier"]), Some("taken back"));
        assert_eq!(
            (warned.result, warned.remark.as_deref()),
            (EventResult::Warn, Some("done, but no carrier"))
        );
        let outcome = Outcome::Failed { reason: "no netplan".to_owned(), undone: Ok(Vec::new()) };
        let failed = Ending::of(outcome, Some("taken back"));
        assert_eq!((failed.result, failed.held), (EventResult::Fail, None));
        assert!(failed.remark.unwrap().starts_with("no netplan"));
    }
}
