//! Which key of version 1 each key of the converted document came from: faults are told at the former.

use super::super::place::Place;
use crate::Refusal;

/// What came from where. Paths of version 2 do not begin with the name of the document's top.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Vec<Origin>);

#[derive(Debug, Clone)]
struct Origin {
    converted: String,
    sent: String,
    /// What stands below is the same in both: elements of a list that was taken over.
    same_below: bool,
}

impl Trace {
    /// What stands at `converted`, and below it, came from a place.
    pub(crate) fn note(&mut self, converted: String, sent: &Place) {
        self.0.push(Origin { converted, sent: sent.path().to_owned(), same_below: false });
    }

    /// As [`Self::note`], for a list or map that was taken over as it is.
    pub(crate) fn note_same(&mut self, converted: String, sent: &Place) {
        self.0.push(Origin { converted, sent: sent.path().to_owned(), same_below: true });
    }

    /// The fault, told where the sender wrote what is wrong.
    pub(crate) fn tell(&self, refusal: Refusal, top: &str) -> Refusal {
        let path = refusal.path().strip_prefix(top).unwrap_or_else(|| refusal.path());
        let path = path.strip_prefix("network").unwrap_or(path).trim_start_matches(['.', ':']);
        let above = self.0.iter().filter_map(|origin| {
            let rest = path.strip_prefix(origin.converted.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some((origin, rest))
        });
        let Some((origin, rest)) = above.max_by_key(|(origin, _)| origin.converted.len()) else {
            return refusal;
        };
        let rest = if origin.same_below { rest } else { "" };
        let sent = format!("{}{rest}", origin.sent);
        refusal.moved_to(sent)
    }
}
