//! What is made of files, and made anew when they change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::TlsError;
use crate::root_file::Stamp;

/// A value and the files it was made of. Looking costs one `stat` a file.
pub(super) struct Rotating<T> {
    files: Vec<PathBuf>,
    load: Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Of the last attempt, good or bad: a set of broken files is complained about once.
    stamps: Vec<Option<Stamp>>,
    current: Arc<T>,
}

impl<T> Rotating<T> {
    /// Makes the first value.
    pub(super) fn new(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        // Before they are read: what changes meanwhile is seen the next time.
        let stamps = files.iter().map(|file| Stamp::of(file)).collect();
        let current = Arc::new(load()?);
        Ok(Self { files, load: Box::new(load), state: Mutex::new(State { stamps, current }) })
    }

    /// The value for now. If the files have changed and make none, the former goes on.
    pub(super) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<Option<Stamp>> = self.files.iter().map(|file| Stamp::of(file)).collect();
        if stamps != state.stamps {
            state.stamps = stamps;
            match (self.load)() {
                Ok(fresh) => {
                    tracing::info!(files = ?self.files, "certificates have changed and were read again");
                    state.current = Arc::new(fresh);
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "certificates have changed and cannot be used, going on with the former"
                ),
            }
        }
        state.current.clone()
    }
}

impl<T> std::fmt::Debug for Rotating<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotating").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "1").unwrap();
        let path = file.clone();
        let rotating = Rotating::new(vec![file.clone()], move || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.parse::<u32>().map_err(|_| TlsError::NotBuiltIn)
        })
        .unwrap();
        let first = rotating.current();
        assert!(*first == 1 && Arc::ptr_eq(&first, &rotating.current()), "nothing has changed");
        // Another length each time: two writes may share one moment.
        std::fs::write(&file, "22").unwrap();
        assert_eq!(*rotating.current(), 22);
        std::fs::write(&file, "broken").unwrap();
        assert_eq!(*rotating.current(), 22);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(*rotating.current(), 22);
        std::fs::write(&file, "333").unwrap();
        assert_eq!(*rotating.current(), 333);
        assert_eq!(*first, 1, "who has the former keeps it");
    }

    #[test]
    fn the_first_value_has_to_be_good() {
        assert!(Rotating::<()>::new(Vec::new(), || Err(TlsError::NotBuiltIn)).is_err());
    }
}
